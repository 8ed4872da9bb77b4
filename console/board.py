"""What every part of the window sees: the state, the language, and the orders it may give. Lives on the UI thread."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from msgspec.structs import replace
from PySide6.QtCore import QObject, QTimer, Signal

from console.i18n import Language, Phrases, zone_of
from console.inputs import Acknowledged, Input, OrderAnswered, OrderGiven, SignedOff, SignedOn, Tick
from console.link import Link
from console.rows import shown_name
from console.state import State, advance
from parking.commands import Command, Redeem, SignedIn, SignIn, SignOut
from parking.stay import NameKind, StayRef


class Board(QObject):
    """Holds the one `State`, the lot looked at (0: all) and the stay chosen.

    `changed` carries the state before; `ticked` comes every second; `spoken` on a new language; `moved` when the
    attendant looks at another lot. `signed` and `redeemed` carry what the bridge said to a PIN or a code, or the error;
    `answered` an order that the bridge took on or refused, with its reply.
    """

    changed = Signal(object)
    ticked = Signal()
    spoken = Signal()
    moved = Signal()
    timeline = Signal(str, object)
    signed = Signal(object)
    redeemed = Signal(str, object)
    answered = Signal(object, object)

    def __init__(
        self,
        link: Link,
        clock: Callable[[], datetime],
        language: Language,
        actor: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.state = State(now=clock(), contact_since=clock())
        self.phrases = Phrases(language)
        self.actor = actor
        self.lot = 0
        self.chosen = ""
        self._zones: dict[str, tzinfo] = {}
        self._link = link
        self._clock = clock
        link.arrived.connect(self.take)
        link.timeline.connect(self.timeline)
        link.signed.connect(self.signed)
        link.redeemed.connect(self.redeemed)
        self._second = QTimer(self, interval=1000)
        self._second.timeout.connect(self._tick)
        self._second.start()

    def take(self, inputs: tuple[Input, ...]) -> None:
        """Bring the state forward and tell everyone."""
        before = self.state
        self.state = advance(before, (Tick(self._clock()), *inputs))
        if before.session is not None and _token(self.state) != before.session.token:
            self._link.sign_out(SignOut(session=before.session.token))
        if self.state.needs_snapshot and not before.needs_snapshot and self.state.live:
            self._link.refresh()
        self.changed.emit(before)
        for item in inputs:
            order = before.orders.get(item.command_id) if isinstance(item, OrderAnswered) else None
            if order is not None and isinstance(item, OrderAnswered):
                self.answered.emit(order.command, item.reply)

    def give(self, command: Command) -> None:
        """Send an order, by whoever has signed in; it is shown as sending until the bridge says more."""
        session = self.state.session
        if session is not None:
            command = replace(command, session=session.token, actor=session.operator)
        self.take((OrderGiven(command, self._clock()),))
        self._link.command(command)

    def redeem(self, redeem: Redeem) -> None:
        """Have a code checked; the answer comes as `redeemed`."""
        session = self.state.session
        if session is not None:
            redeem = replace(redeem, session=session.token, actor=session.operator)
        self._link.redeem(redeem)

    def sign_in(self, request: SignIn) -> None:
        """Ask the bridge whether this PIN is right; the answer comes as `signed`."""
        self._link.sign_in(request)

    def begin_session(self, signed: SignedIn) -> None:
        """Whoever signed in gives the orders from now on."""
        self.actor = signed.operator
        self.take((SignedOn(signed, self._clock()),))

    def end_session(self) -> None:
        """Lock: the next order wants a PIN again."""
        self.take((SignedOff(),))

    def acknowledge(self, command_id: str) -> None:
        """The attendant has seen a notice."""
        self.take((Acknowledged(command_id),))

    def ask_timeline(self, lot: int, stay_key: str) -> None:
        """Ask for a stay's timeline; it comes as the signal `timeline`."""
        self._link.ask_timeline(lot, stay_key)

    def speak(self, language: Language) -> None:
        """Change the language of the whole window."""
        if language is not self.phrases.language:
            self.phrases.language = language
            self.spoken.emit()

    def look_at(self, lot: int) -> None:
        """Show one lot, or all with 0."""
        if lot != self.lot:
            self.lot = lot
            self.moved.emit()

    def zone(self, lot: int) -> tzinfo:
        """The time zone of a lot; this PC's own for one that is not known yet."""
        view = self.state.lots.get(lot)
        name = view.time_zone if view else ""
        if name not in self._zones:
            self._zones[name] = zone_of(name)
        return self._zones[name]

    def lot_name(self, lot: int) -> str:
        """A lot's name in the language of the window, its number while the name is not known."""
        view = self.state.lots.get(lot)
        return self.phrases.named(view.name, str(lot)) if view else str(lot)

    def stay(self, lot: int, stay: StayRef) -> str:
        """A stay's name with what kind of name it is; plates are found among the cars and cases that are shown."""
        row = self.state.stays.get(f"{lot}/{stay.key}")
        plate = row.view.plate if row else ""
        if stay.kind is NameKind.PLATE and not plate:
            cases = self.state.cases.values()
            plate = next((case.plate for case in cases if case.lot == lot and case.stay.same_as(stay)), "")
        return self.phrases.stay(stay.kind, shown_name(stay, plate))

    def contact_moment(self, *, seconds: bool = True) -> str:
        """Since when the bridge is or is not reached, by the clock of the first lot; '' if it never was tried."""
        since = self.state.contact_since
        lot = self.lot or next(iter(self.state.lots), 0)
        return self.moment(since + self.state.skew, lot, seconds=seconds) if since else ""

    def moment(self, at: datetime, lot: int, *, seconds: bool = True) -> str:
        """A time as the clock of that lot shows it."""
        return self.phrases.moment(at, self.state.bridge_now, self.zone(lot), seconds=seconds)

    def _tick(self) -> None:
        before = self.state
        self.state = advance(before, (Tick(self._clock()),))
        if before.session is not self.state.session:
            self.changed.emit(before)
        self.ticked.emit()


def _token(state: State) -> str:
    return state.session.token if state.session is not None else ""
