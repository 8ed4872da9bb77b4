"""The business days of one lot: reads journal, counters and books for them, and journals what the cloud is told.

`bridge.days` says what a day holds and when it must be told (again); this fetches and keeps it.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from bridge import days
from bridge.core import Core
from bridge.days import Acts, Content, Mark, TellRecord
from bridge.journal import Journal, Transaction
from bridge.machines import LotMachines
from bridge.messages import Reply, Write
from bridge.port_jobs import HUNG
from bridge.worker import PortWorker, Urgency
from drivers.base import Booking
from drivers.profile import ExitTable
from parking.errors import Code, DaikoError, NotSent
from parking.reports import LotDay, day_of, day_span

log = logging.getLogger(__name__)

COMMIT_SECONDS: Final = 10.0
PORT_SECONDS: Final = 60.0
"""How long a reading waits for its turn at a port."""

Span = tuple[datetime, datetime]
T = TypeVar("T")


class LotDays:
    """One lot's days. One caller; readings run on the ports' own threads."""

    def __init__(
        self, core: Core, journal: Journal, machines: LotMachines, worker_of: Callable[[str], PortWorker]
    ) -> None:
        """`worker_of` gives the worker of a device's port."""
        self._core, self._journal, self._machines, self._worker_of = core, journal, machines, worker_of
        self._lot = machines.lot
        table = machines.profile.lot
        self._zone, self._day_starts = ZoneInfo(table.time_zone), table.day_starts

    def look(self, now: datetime) -> None:
        """Tell each ended day that is due. Raises DaikoError if the journal cannot be read or written."""
        today = day_of(now, self._zone, self._day_starts)
        yesterday = today - timedelta(days=1)
        self._mark(yesterday, now)
        records = self._journal.told_days(self._lot)
        if not records:  # the journal knows nothing whole of the days before it began
            self._keep(yesterday, TellRecord(), ())
            return
        for day in days.days_to_look_at(records, today):
            self._look_at(day, records.get(day.isoformat()), now)

    def _look_at(self, day: date, record: TellRecord | None, now: datetime) -> None:
        span = day_span(day, self._zone, self._day_starts)
        content = self._journaled(day, span)
        if not days.is_due(record, content.seen, span, now):
            return
        told = record is not None and record.told_at is not None and record.told_at >= span[1]
        content = self._with_books(content, span, now)
        if content.trouble and not told and now < span[1] + days.PATIENCE:
            return
        if record is not None and told:
            if content.legacy_trouble and record.seen == content.seen:
                self._keep(day, replace(record, looked_at=now, trouble=True), ())  # what was told still stands
                return
            if record.digest == content.digest:
                self._keep(day, replace(record, looked_at=now, trouble=content.trouble), ())
                return
        self._tell(day, content, record, now)

    def _tell(self, day: date, content: Content, record: TellRecord | None, now: datetime) -> None:
        before = record.told_at if record is not None else None
        at = now if before is None else max(now, before + timedelta(seconds=1))  # later is what replaces
        told = TellRecord(told_at=at, looked_at=now, seen=content.seen, digest=content.digest, trouble=content.trouble)
        self._keep(day, told, days.parts(day, at, content))
        log.info("lot %s, %s: told, %d payments%s", self._lot, day, len(content.journal), " again" if before else "")

    def _keep(self, day: date, record: TellRecord, told: Sequence[LotDay]) -> None:
        """Queue the reports and note that they are told, in one transaction."""

        def write(tx: Transaction) -> None:
            for part in told:
                self._core.report(tx, self._lot, part)
            forget = (day - timedelta(days=days.KEPT)).isoformat()
            tx.put_told_day(self._lot, day.isoformat(), record, forget)

        self._core.write(write, COMMIT_SECONDS)

    # --- the journal -------------------------------------------------------------------------------------------------

    def _journaled(self, day: date, span: Span) -> Content:
        content = days.from_cases(self._journal.cases_paid(self._lot, *span))
        exits = [exit_.id for exit_ in self._machines.counting()]
        if not exits:
            return content
        marks = self._journal.marks(self._lot)
        counts = days.counted(exits, marks, day.isoformat(), self._acts(day.isoformat(), marks))
        return days.with_counts(content, counts)

    def _acts(self, day: str, marks: dict[str, list[Mark]]) -> Acts:
        """All that was let write between the readings that matter for a day."""
        ends = [mark for mine in marks.values() for mark in mine if mark.day == day]
        begins = [before[-1] for mine in marks.values() if (before := [mark for mark in mine if mark.day < day])]
        if not ends or not begins:
            return Acts((), ())
        turns = min(mark.turn for mark in begins), max(mark.turn for mark in ends)
        orders = min(mark.command for mark in begins), max(mark.command for mark in ends)
        cases = self._journal.cases_turned(self._lot, *turns)
        places = [(exit_.id if (exit_ := self._machines.exit_for(case)) else "", case) for case in cases]
        return Acts(places, self._journal.commands_between(self._lot, *orders))

    # --- the machines ------------------------------------------------------------------------------------------------

    def _mark(self, day: date, now: datetime) -> None:
        """Read the counters that have not been read for this day; a device that does not answer is asked next time."""
        marks, down = self._journal.marks(self._lot), set[str]()
        for exit_ in self._machines.counting():
            marked = any(mark.day == day.isoformat() for mark in marks.get(exit_.id, ()))
            if marked or exit_.device in down:
                continue
            try:
                self._on_port(exit_.device, partial(self._read_counter, exit_, day, now)).wait(COMMIT_SECONDS)
            except DaikoError as error:
                down.add(exit_.device)
                log.info("lot %s: the counter of exit %s is not read yet: %s", self._lot, exit_.id, error)

    def _read_counter(self, exit_: ExitTable, day: date, now: datetime) -> Reply:
        """On the port's thread: what this port did before is queued before the mark, and is journaled before it."""
        count, reply = self._machines.read_counter(exit_), Reply()
        if count is None:
            reply.settle()
        else:
            self._core.put(Write(lambda tx: tx.put_mark(self._lot, exit_.id, day.isoformat(), count, now), reply))
        return reply

    def _with_books(self, content: Content, span: Span, now: datetime) -> Content:
        device = self._machines.profile.roles.books
        if not device:
            return content
        books: list[Booking] = []
        try:
            for since, until in days.spans(span, content.settled_by, now):
                books += self._on_port(device, partial(self._machines.bookings, since, until))
        except DaikoError as error:
            return days.with_books(content, None, str(error))
        mine = {row.number for row in content.journal}
        known = partial(self._journal.known, self._lot)
        return days.with_books(content, days.booked(self._lot, span, mine, known, books))

    def _on_port(self, device: str, job: Callable[[], T]) -> T:
        """Have something read on a port's thread. Raises what the driver raises, or NotSent if the port hangs."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                future.set_exception(error)

        hung = NotSent(Code.PORT_HUNG, HUNG)
        self._worker_of(device).submit(Urgency.BOOKS, run, withdrawn=lambda: future.set_exception(hung))
        try:
            return future.result(PORT_SECONDS)
        except TooLong:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{device}: its port had no time to be read") from None
