"""The seams inside the bridge: what the uplink and the local API may ask of its core (bridge.app wires them).

All methods are thread-safe. None of them touches a device or the network.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from parking.commands import Command, CommandReply, Redeem, RedeemReply, SignedIn, SignIn, SignOut
from parking.desk import Event, Snapshot, Timeline
from parking.reports import Report
from parking.stay import LotId
from parking.wire import Answer, Ask, Entry


class Inbox(Protocol):
    """What the uplink brings in and takes out."""

    def cursor(self, lot: LotId) -> int:
        """The highest number below which no completion is missing; 0 at first."""
        ...

    def accept(self, lot: LotId, entries: Sequence[Entry]) -> None:
        """Journal completions; they are synced to disk when this returns, and only then may they be called received.

        A known number is a no-op. A completion that does not verify is kept aside, reported as refused, and never
        blocks those behind it. Raises Environment(JOURNAL | DISK) if nothing was committed: do not acknowledge then.
        """
        ...

    def ask(self, lot: LotId, ask: Ask, answer: Callable[[Answer], None]) -> None:
        """Have the legacy asked for a fee; `answer` is called once, from another thread, unless the ask expires."""
        ...

    def reports(self, lot: LotId, limit: int) -> tuple[int, tuple[Report, ...]]:
        """The oldest unaccepted reports and the sequence number of the first; (0, ()) if there are none."""
        ...

    def accepted(self, lot: LotId, through: int) -> None:
        """The cloud has committed all reports up to `through`."""
        ...

    def disowned(self, lot: LotId) -> None:
        """The cloud has other reports under the numbers of ours: this journal is an older copy."""
        ...

    def wait_for_reports(self, lot: LotId, seconds: float) -> None:
        """Return when there are unaccepted reports, or after `seconds`, or when the bridge stops."""
        ...

    def cloud_link(self, lot: LotId, up: bool, detail: str, latency_ms: float | None) -> None:
        """What the uplink knows of the connection, for the console."""
        ...


class Desk(Protocol):
    """What the console sees and orders."""

    def snapshot(self) -> Snapshot:
        """Everything at one sequence number."""
        ...

    def events(self, after: int) -> Sequence[Event] | None:
        """All events above `after`; None if they are no longer held (the console then takes a snapshot)."""
        ...

    def wait_for_event(self, after: int, seconds: float) -> None:
        """Return when there is an event above `after`, or after `seconds`, or when the bridge stops."""
        ...

    def timeline(self, lot: LotId, stay_key: str) -> Timeline:
        """What happened to one stay, oldest first."""
        ...

    def command(self, command: Command) -> CommandReply:
        """Take an order on, or refuse it; a repeated `command_id` gets the first answer again."""
        ...

    def redeem(self, redeem: Redeem) -> RedeemReply:
        """Act on a code that a driver showed, or say what is wrong with it; a repeated `redeem_id` changes nothing."""
        ...

    def sign_in(self, request: SignIn) -> SignedIn:
        """Begin an operator's session; slow on purpose. Raises Refused(SIGN_IN | LOCKED_OUT)."""
        ...

    def sign_out(self, request: SignOut) -> CommandReply:
        """End a session; one that has ended already is no error."""
        ...
