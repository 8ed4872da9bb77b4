"""What a bridge has promised up to an instant, read from its words to cloud and machines; whether a journal keeps it.

The words are those on the wire: requests for the feed, reports, commands to lock plates. The journal is opened by the
shipped code, as at the next start.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bridge import events
from bridge.case import Case
from bridge.casebook import Casebook, Staged
from bridge.journal import Journal
from bridge.machines import LotMachines
from drivers.modbus_io.codec import RtuCodec, Side
from drivers.modbus_io.pdu import Request, WriteOne
from drivers.profile import LotProfile
from parking.desk import CasePhase
from parking.errors import DaikoError
from parking.reports import Received, Refused, Report, ReportBatch, Settled
from parking.signing import KeyRing, SigningKey
from parking.stay import LotId
from tests.rigs.power_cut import Happening, Told

_FEED = re.compile(rb"GET /bridge/v1/lots/(\d+)/feed\?after=(\d+)")
_REPORTS = re.compile(rb"POST /bridge/v1/lots/(\d+)/reports")
_BATCH = msgspec.json.Decoder(ReportBatch)


@dataclass(slots=True)
class Promised:
    """What others were told: cursors, reports by their numbers, and how often each plate was ordered down."""

    cursor: dict[int, int] = field(default_factory=dict)
    reports: dict[int, dict[int, Report]] = field(default_factory=dict)
    orders: Counter[int] = field(default_factory=Counter)
    _posting: dict[str, int] = field(default_factory=dict)

    def hear(self, told: Told) -> None:
        """Something left the bridge."""
        if told.where.partition("<")[2].startswith("/dev/"):
            self._order(told.data)
            return
        if asked := _FEED.match(told.data):
            lot = int(asked[1])
            self.cursor[lot] = max(self.cursor.get(lot, 0), int(asked[2]))
        elif posted := _REPORTS.match(told.data):
            self._posting[told.where] = int(posted[1])
            self._report(told.where, told.data.partition(b"\r\n\r\n")[2])
        elif told.where in self._posting:
            self._report(told.where, told.data)

    def _report(self, where: str, body: bytes) -> None:
        if not body:
            return
        batch, lot = _BATCH.decode(body), self._posting.pop(where)
        self.reports.setdefault(lot, {}).update(enumerate(batch.reports, batch.first))

    def _order(self, data: bytes) -> None:
        for frame in RtuCodec(Side.SLAVE, 1).feed(data):
            if isinstance(frame.pdu, Request) and isinstance(frame.pdu, WriteOne):
                self.orders[frame.pdu.address] += 1

    @property
    def acknowledged(self) -> dict[int, set[int]]:
        """The numbers of which the cloud was told that they are safe."""
        found = {lot: set(range(1, cursor + 1)) for lot, cursor in self.cursor.items()}
        for lot, reports in self.reports.items():
            known = {one.number for one in reports.values() if isinstance(one, Received | Settled | Refused)}
            found[lot] = found.get(lot, set()) | known
        return found


def broken(folder: Path, promised: Promised, profiles: Sequence[LotProfile], key: SigningKey) -> list[str]:
    """What the journal in `folder` does not keep of what was promised; nothing, if all is well."""
    try:
        journal = Journal(folder / "journal.db")
    except DaikoError as error:
        return [f"the journal does not open: {error}"]
    try:
        with journal.transaction() as tx:
            said = [row[0] for row in tx._db.execute("pragma integrity_check").fetchall()]
        return [
            *([f"integrity: {said}"] if said != ["ok"] else []),
            *_lost(journal, promised),
            *_forgotten_words(journal, promised),
            *_cursor(journal, profiles),
            *_acted_again(journal, promised, profiles, key),
        ]
    finally:
        journal.close()


def _lost(journal: Journal, promised: Promised) -> Iterable[str]:
    for lot, numbers in promised.acknowledged.items():
        for number in sorted(numbers):
            if not journal.known(LotId(lot), number):
                yield f"completion {number} of lot {lot} was acknowledged and is gone"


def _forgotten_words(journal: Journal, promised: Promised) -> Iterable[str]:
    counters = journal.counters("report:")
    for lot, reports in promised.reports.items():
        if counters.get(f"{lot}:1", 0) < max(reports):
            yield f"report {max(reports)} of lot {lot} was sent and its number is given out again"
        for report in reports.values():
            if isinstance(report, Settled | Refused):
                case = journal.case(LotId(lot), report.number)
                wanted = CasePhase.SETTLED if isinstance(report, Settled) else CasePhase.REFUSED
                if case is not None and case.phase is not wanted:
                    yield f"{report.number} was said to be {wanted.value} and is {case.phase.value}"


def _cursor(journal: Journal, profiles: Sequence[LotProfile]) -> Iterable[str]:
    for profile in profiles:
        lot = LotId(profile.lot.id)
        for number in range(1, journal.cursor(lot) + 1):
            if not journal.known(lot, number):
                yield f"the cursor of lot {lot} is at {journal.cursor(lot)}, but {number} is not there"


def _acted_again(
    journal: Journal, promised: Promised, profiles: Sequence[LotProfile], key: SigningKey
) -> Iterable[str]:
    """Each plate that was ordered down has its intent, and recovery orders none of them again."""
    lots = {LotId(profile.lot.id): LotMachines(profile, lambda: datetime.now(UTC)) for profile in profiles}
    plates = next(profile for profile in profiles if any(exit_.bay for exit_ in profile.exit))
    lot, bays = LotId(plates.lot.id), {exit_.bay: exit_.channel for exit_ in plates.exit}

    def channel(case: Case) -> int | None:
        return bays.get(case.stay.name) if case.lot == lot else None

    sent: Counter[int | None] = Counter()
    for case in journal.recent_cases(10_000):
        sent[channel(case)] += case.sent
    by_hand = {exit_.channel for exit_ in plates.exit if exit_.id in journal.last_commands(lot)}
    sent.update(by_hand)
    for plate, times in promised.orders.items():
        if sent[plate] < times:
            yield f"plate {plate} was ordered down {times} times, and the journal knows {sent[plate]}"
    ring = KeyRing({key.key_id: key.public_bytes})
    book = Casebook(journal, ring, 1, lambda case, rival: lots[case.lot].scene(case, rival))
    staged, now = Staged(), datetime.now(UTC)
    with journal.transaction() as tx:
        for message in book.beginning():
            book.decide(tx, message, now, staged)
    for case, effect, _ in staged.effects:
        plate_of_case = channel(case)
        if isinstance(effect, events.Act) and plate_of_case is not None and promised.orders[plate_of_case]:
            yield f"{case.reference} acted, and recovery would act once more"


def listen(promised: Promised, tape: Sequence[Happening], begin: int, end: int) -> None:
    """Hear what was told between two instants of a tape."""
    for event in tape[begin:end]:
        if isinstance(event, Told):
            promised.hear(event)
