"""The host's own program behind tables or a folder: it shows its books, and takes up orders in its own time."""

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from drivers.host_link.codec import ProblemCode
from drivers.simlot.books import Booking
from drivers.simlot.world import World
from parking.errors import Code, Refused
from parking.money import yen

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.01
WORLD_SAYS: Final = {
    Code.STAY_UNKNOWN: ProblemCode.UNKNOWN_TICKET,
    Code.ALREADY_PAID: ProblemCode.ALREADY_PAID,
    Code.CONFLICT: ProblemCode.CODE_REUSED,
    Code.WRONG_AMOUNT: ProblemCode.AMOUNT_TOO_LOW,
}


@dataclass
class ClerkFaults:
    """What goes wrong; set by attribute at any time, and in force within a round or two.

    `stopped`: orders lie there; `no_export`: what is shown gets old; `slow_ms`: each order waits so long;
    `refuse_once`: the next order is refused; `unplugged`: file or folder is not there; `locked` (tables alone): the
    host keeps them to itself; `half_once` (folder alone): the next answer is half written at first; `silent`
    (folder alone): the next order is taken away and answered when the fault is over.
    """

    stopped: bool = False
    no_export: bool = False
    slow_ms: int = 0
    refuse_once: bool = False
    unplugged: bool = False
    locked: bool = False
    half_once: bool = False
    silent: bool = False


class Clerk:
    """Works in rounds on a thread of its own, until it is stopped. A round that fails is tried anew.

    `pause` is how long it rests between two of them, in seconds; set at any time.
    """

    def __init__(self, world: World) -> None:
        """Begins with `start`."""
        self.faults = ClerkFaults()
        self.pause = ROUND_SECONDS
        self.world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="host-clerk", daemon=True)

    def start(self) -> None:
        """Show the books once, then go on by itself."""
        self.round()
        self._thread.start()

    def stop(self) -> None:
        """End; idempotent."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.leave()

    def round(self) -> None:
        """Take up orders, show the books."""
        raise NotImplementedError

    def give_up(self) -> None:
        """A round failed: begin anew with the next."""

    def leave(self) -> None:
        """Put everything back."""

    def judge(self, ticket: str, amount: int, reference: str) -> Booking | Refused:
        """Book an order, once per reference, or say no."""
        if self.faults.refuse_once:
            self.faults.refuse_once = False
            return Refused(Code.DEVICE_REFUSED, "the till is closed")
        try:
            return self.world.host_pay(ticket, yen(amount), reference)
        except Refused as error:
            return error

    def dawdle(self) -> None:
        """As long as an order waits for this clerk."""
        self._over.wait(self.faults.slow_ms / 1000)

    def _work(self) -> None:
        while not self._over.wait(self.pause):
            try:
                self.round()
            except Exception:  # whatever a database says: a host's program goes on
                log.debug("the clerk begins anew", exc_info=True)
                with contextlib.suppress(Exception):
                    self.give_up()
                time.sleep(ROUND_SECONDS)


def word(no: Refused) -> str:
    """The host's word for a refusal."""
    return WORLD_SAYS.get(no.code, ProblemCode.BAD_REQUEST).value
