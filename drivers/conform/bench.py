"""One driver, its machine and the line between them, and acts at will: what a case of the suite works with."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from drivers import base
from drivers.conform.harness import Harness
from drivers.conform.judge import Act
from drivers.conform.subject import Lot, Part, Subject
from drivers.conform.wire import Mishaps, splice
from drivers.conform.words import Words, renamed, told
from drivers.profile import DeviceTable
from drivers.registry import family
from parking.desk import Position
from parking.errors import DaikoError, Environment, NotSent
from parking.stay import StayRef

READY: Final = 15.0
"""Seconds within which the driver must see what people do at the machine."""
QUIET: Final = 0.6
"""Seconds without a change after which the machine's count is believed."""
SETTLED: Final = 10.0
OPENED: Final = 3.0
PAUSE: Final = 0.05

T = TypeVar("T")


class NotReadyError(Exception):
    """The driver does not see what it should, within `READY` seconds; `what` says so."""

    def __init__(self, what: Words) -> None:
        super().__init__(what.en)
        self.what = what


class Bench:
    """Where one subject is tested. Ends with `close`."""

    def __init__(self, subject: Subject, lot: Lot, folder: Path) -> None:
        """Nothing is said to the machine yet. Raises Environment(CONFIG) for bad options."""
        self.lot = lot
        url = lot.url(subject.device.id)
        self.wire = splice(
            url, family(subject.device.family).module().line(subject.device), folder, paced=lot.simulated
        )
        spliced = self.wire.url if self.wire else url
        sights = tuple(replace(one, device=_at(one.device, lot.url(one.device.id))) for one in subject.sights)
        self.subject = replace(subject, device=_at(subject.device, spliced), sights=sights)
        self.harness = Harness(self.subject)
        self._addresses = {spliced: subject.device.id} if self.wire else {}
        if lot.simulated:
            self._addresses |= {lot.url(name): name for name in subject.involved}
        self.dice = random.Random(1)  # noqa: S311 - when a bridge dies, no secret
        self._orders = 0
        self._cars: list[str] = []

    def close(self) -> None:
        """Give everything back."""
        self.harness.close()
        if self.wire is not None:
            self.wire.close()

    def lasting(self, words: Words) -> Words:
        """The same words with a device's name for each address that is gone after the test."""
        return renamed(words, self._addresses)

    # --- people and looks ---------------------------------------------------------------------------------------------

    def ready(self) -> StayRef | None:
        """A customer, whom the driver sees: the stay, or None at an exit. Raises NotReadyError."""
        self.idle()
        return self.sees(self.customer())

    def idle(self) -> None:
        """Nobody stands at the pay station any more, as the driver sees it. Raises NotReadyError."""
        if self.subject.part is Part.DESK:
            _until(
                lambda: self.harness.seen("") is None,
                Words("取り消したのに機器がまだ請求している", "the machine still asks for what was cancelled"),
            )

    def customer(self) -> str:
        """Somebody comes; returns the stay's name, "" where the machine has one only."""
        self._cars.append(self.lot.car(self.subject))
        return self._cars[-1]

    def sees(self, name: str) -> StayRef | None:
        """The stay of this name, or None at an exit, once that is closed. Raises NotReadyError."""
        if self.subject.exit is None:
            return _until(
                lambda: self.harness.seen(name), Words("ドライバーに入庫が見えない", "the driver does not see the stay")
            )
        _until(
            lambda: self.harness.position in (Position.CLOSED, Position.UNKNOWN),
            Words("出口が閉じていない", "the exit is not seen closed"),
        )
        return None

    def answers(self) -> None:
        """The machine answers again after a mishap. Raises NotReadyError."""

        def look() -> bool:
            _ = self.harness.position if self.subject.exit else self.harness.seen("")
            return True

        _until(look, Words("機器が応答しなくなった", "the machine does not answer any more"))

    def opened(self) -> bool:
        """Whether the device shows that its exit is open by now; waits for it. False where it cannot show it."""
        try:
            return _until(lambda: self.harness.position is Position.OPEN, Words("開いていない", "not open"), OPENED)
        except NotReadyError:
            return False

    def cash(self) -> None:
        """The customer of last pays at the machine, or opens it by hand."""
        self.lot.cash(self.subject, self._cars[-1])

    def tidy(self) -> None:
        """The line is whole, everybody leaves."""
        if self.wire is not None:
            self.wire.mishaps = Mishaps()
            self.wire.mend()
        for name in self._cars:
            self.lot.tidy(self.subject, name)
        self._cars.clear()

    # --- acts ---------------------------------------------------------------------------------------------------------

    def before(self, reference: str) -> int:
        """What the machine counts before an order under this reference."""
        return self.lot.taken(self.subject, reference, now=False)

    def reference(self) -> str:
        """A reference that no payment had before."""
        self._orders += 1
        return f"DK-{time.time_ns() // 1_000_000 % 100_000_000}-{self._orders}"

    def worth(self, stay: StayRef | None) -> int | base.Refused:
        """What an order is worth: a release, or the fee in yen. Raises DaikoError."""
        return 1 if stay is None else self.harness.fee(stay, self.lot.price(self.subject))

    def act(
        self,
        stay: StayRef | None,
        mishap: Callable[[], None] = lambda: None,
        reference: str = "",
        worth: int | base.Refused | None = None,
    ) -> Act:
        """Give one order; `mishap` happens right before its first byte. What came of it, by the machine's own count."""
        reference = reference or self.reference()
        before = self.before(reference)
        worth = self.worth(stay) if worth is None else worth
        if isinstance(worth, base.Refused):
            return self.count(worth, stay, reference, before, 0)
        intended = b""

        def intend(raw: bytes, counter: int | None) -> None:
            nonlocal intended
            del counter
            intended = raw
            if self.wire is not None:
                self.wire.mark()
            mishap()

        deadline = time.monotonic() + self.subject.seconds
        outcome: base.Outcome | DaikoError
        try:
            outcome = self.harness.order(stay, worth, reference, deadline, intend)
        except (NotSent, Environment) as error:
            outcome = error
        late = time.monotonic() - deadline
        said = bool(intended) and intended in self.wire.said if self.wire else None
        return replace(self.count(outcome, stay, reference, before, worth), late=late, said=said)

    def count(
        self, outcome: base.Outcome | DaikoError, stay: StayRef | None, reference: str, before: int, worth: int
    ) -> Act:
        """An act with what the machine counts of it, once that stands still, and what the witness says."""
        taken, able = self._still(reference) - before, self.harness.able
        testimony = None if stay is None else self.harness.testimony(stay, reference)
        level = able.release_level if stay is None else able.settle_level
        wanted = self.lot.price(self.subject) if self.subject.part is Part.DESK else worth
        return Act(outcome, taken, wanted, level, self.subject.needed, testimony=testimony)

    def _still(self, reference: str) -> int:
        """The machine's count once it has not changed for a while; a person is asked once."""
        last = self.lot.taken(self.subject, reference, now=True)
        end = time.monotonic() + SETTLED
        quiet = time.monotonic() + QUIET
        while self.lot.simulated and time.monotonic() < min(end, quiet):
            time.sleep(PAUSE)
            now = self.lot.taken(self.subject, reference, now=True)
            if now != last:
                last, quiet = now, time.monotonic() + QUIET
        return last


def _until(look: Callable[[], T | None], what: Words, seconds: float = READY) -> T:
    """The first answer that is something. Raises NotReadyError with the last trouble."""
    end, trouble = time.monotonic() + seconds, Words("", "")
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except DaikoError as error:
            trouble = told(error)
        time.sleep(PAUSE)
    ja, en = f"{what.ja}（{seconds:.0f} 秒）", f"{what.en} within {seconds:.0f} s"
    if trouble.en:
        ja, en = f"{ja}。{trouble.ja}", f"{en}; {trouble.en}"
    raise NotReadyError(Words(ja, en, trouble.said))


def _at(device: DeviceTable, url: str) -> DeviceTable:
    return msgspec.structs.replace(device, url=url)
