"""What every part of the window sees: the state, the language, and the orders it may give. Lives on the UI thread."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from PySide6.QtCore import QObject, QTimer, Signal

from console.i18n import Language, Phrases, zone_of
from console.link import Link
from console.state import Acknowledged, Input, OrderGiven, State, Tick, advance
from parking.desk import Command


class Board(QObject):
    """Holds the one `State`, the lot looked at (0: all) and the stay chosen.

    `changed` carries the state before; `ticked` comes every second; `spoken` on a new language; `moved` when the
    attendant looks at another lot.
    """

    changed = Signal(object)
    ticked = Signal()
    spoken = Signal()
    moved = Signal()
    timeline = Signal(str, object)

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
        self._second = QTimer(self, interval=1000)
        self._second.timeout.connect(self._tick)
        self._second.start()

    def take(self, inputs: tuple[Input, ...]) -> None:
        """Bring the state forward and tell everyone."""
        before = self.state
        self.state = advance(before, (Tick(self._clock()), *inputs))
        if self.state.needs_snapshot and not before.needs_snapshot and self.state.live:
            self._link.refresh()
        self.changed.emit(before)

    def give(self, command: Command) -> None:
        """Send an order; it is shown as sending until the bridge says more."""
        self.take((OrderGiven(command, self._clock()),))
        self._link.command(command)

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

    def contact_moment(self, *, seconds: bool = True) -> str:
        """Since when the bridge is or is not reached, by the clock of the first lot; '' if it never was tried."""
        since = self.state.contact_since
        lot = self.lot or next(iter(self.state.lots), 0)
        return self.moment(since + self.state.skew, lot, seconds=seconds) if since else ""

    def moment(self, at: datetime, lot: int, *, seconds: bool = True) -> str:
        """A time as the clock of that lot shows it."""
        return self.phrases.moment(at, self.state.bridge_now, self.zone(lot), seconds=seconds)

    def _tick(self) -> None:
        self.state = advance(self.state, (Tick(self._clock()),))
        self.ticked.emit()
