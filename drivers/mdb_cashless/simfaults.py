"""What is wrong with a simulated pay station, its adapter or what lies between and behind them."""

from collections.abc import Callable
from dataclasses import dataclass

from drivers.simlot.mishaps import Mishaps


@dataclass
class Faults(Mishaps):
    """What is wrong with the machine, the adapter or its line; set at any time, from any thread.

    Those that end in `_once` and the others that are no state (`reset_…`, `fail_…`, `cancel_…`, `restart_…`) happen at
    the next occasion and are then used up. `reset_before_approval`: the machine is reset while an approval waits for
    its poll; `reset_after_approval`: when it has it. `cancel_first`: the customer cancels just before the adapter heeds
    our approval; `cancel_second`: just after. `restart`: the adapter, now; `restart_on_approval`: as it reads one;
    `restart_after_approval`: once the machine has it. `garbage`: on the adapter's line; `bus_garbage`: on the bus.
    `byte_us`: microseconds that each byte takes to us.

    How adapters differ, as public host programs show: `two_digits`: it writes amounts with two digits behind the point
    where none were agreed on; `tells_cancel`: it says VEND 1 when the machine cancels; `tells_reset`: VEND 5 when it is
    reset in a vend; `is_on`: to `C,1` while it is on it says only so. `refuse_approval_once`: it can make nothing of
    an approval (VEND -2), and the vend goes on; `switched_off`: somebody switches it off, by another line.
    """

    unplugged: bool = False
    silent: bool = False
    drop_approval_once: bool = False
    drop_success_once: bool = False
    drop_said_once: bool = False
    reset_before_approval: bool = False
    reset_after_approval: bool = False
    fail_after_approval: bool = False
    cancel_first: bool = False
    cancel_second: bool = False
    restart: bool = False
    restart_on_approval: bool = False
    restart_after_approval: bool = False
    garbage: bool = False
    bus_garbage: bool = False
    two_digits: bool = False
    tells_cancel: bool = False
    tells_reset: bool = False
    is_on: bool = False
    refuse_approval_once: bool = False
    switched_off: bool = False
    byte_us: int = 0
    late_success_ms: int = 0

    def __setattr__(self, name: str, value: bool | int) -> None:
        """Change one; who watches is told before this returns."""
        self.learn(name, value)
        watch: Callable[[str], None] | None = vars(self).get("_watch")
        if watch is not None:
            watch(name)

    def watched_by(self, watch: Callable[[str], None]) -> None:
        """From now on `watch` is called with the name of each fault that changes, by whoever changes it."""
        vars(self)["_watch"] = watch  # no field: nobody lists, sets or clears it

    def learn(self, name: str, value: bool | int) -> None:
        """Change one without telling."""
        object.__setattr__(self, name, value)
