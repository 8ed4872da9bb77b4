"""What one transaction of the journal can write. Made by `Journal.transaction` only."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from bridge import audit as chain
from bridge.case import Case, Opening
from bridge.days import TellRecord
from bridge.fallback import Line
from bridge.stays import KnownStay
from parking.desk import CommandView, OverrideView
from parking.reports import AuditHead, Override, Report
from parking.stay import LotId, StayRef


class Transaction:
    """The statements of one transaction."""

    def __init__(self, db: Database) -> None:
        """Made by `Journal.transaction` only."""
        self._db = db

    def put_case(self, case: Case, packed: bytes | None = None) -> None:
        """Insert a case with its packed completion, or store its new state."""
        body = msgspec.json.encode(case).decode()
        if packed is None:
            self._db.execute(
                "update cases set phase=?, body=? where lot=? and number=?",
                (case.phase.value, body, case.lot, case.number),
            )
        else:
            self._db.execute(
                "insert into cases (lot, number, phase, stay, packed, body) values (?,?,?,?,?,?)",
                (case.lot, case.number, case.phase.value, case.stay.key, packed, body),
            )

    def put_reject(self, lot: LotId, number: int, entry: str, code: str, detail: str, at: datetime) -> None:
        """Keep a completion aside that does not verify."""
        self._db.execute(
            "insert into rejects (lot, number, entry, code, detail, at) values (?,?,?,?,?,?)",
            (lot, number, entry, code, detail, at.isoformat()),
        )

    def advance_cursor(self, lot: LotId) -> None:
        """Move the cursor over all numbers that are there."""
        (start,) = self._db.execute(
            "select coalesce((select value from counters where name=?), 0)", (f"cursor:{lot}",)
        ).fetchone()
        while self._db.execute(
            "select 1 from cases where lot=? and number=? union select 1 from rejects where lot=? and number=?",
            (lot, start + 1, lot, start + 1),
        ).fetchone():
            start += 1
        self._set_counter(f"cursor:{lot}", start)

    def begin_feed(self, lot: LotId, after: int) -> None:
        """What a former bridge may have acted upon ends at `after`; it never comes again, so it is not missing."""
        name = f"cursor:{lot}"
        (held,) = self._db.execute("select coalesce((select value from counters where name=?), 0)", (name,)).fetchone()
        if held < after:
            self._set_counter(name, after)
            self.advance_cursor(lot)

    def report(self, lot: LotId, generation: int, report: Report) -> None:
        """Queue a report under the lot's next sequence number; what a person did is chained with it."""
        self._queue(lot, generation, report)
        act = chain.act_of(lot, report)
        if act is not None:
            head = self.audit(act.at, act.actor, act.what, act.body)
            if isinstance(report, Override):
                self._queue(lot, generation, AuditHead(entry=head.entry, head=head.hash, at=act.at))

    def audit(self, at: datetime, actor: str, what: str, body: Mapping[str, Any]) -> chain.Head:
        """Add an entry to the audit chain: who did what; `body` is what JSON can say. Returns the new head."""
        return chain.append(self._db, at, actor, what, body)

    def audit_head(self, until: int | None = None) -> chain.Head:
        """Where the audit chain ends now; with `until`, where it ended after that entry, by what stands there now."""
        return chain.head_of(self._db, until)

    def anchor(self, lot: LotId, generation: int, head: chain.Head, at: datetime) -> None:
        """Queue a report of a head of the audit chain."""
        self._queue(lot, generation, AuditHead(entry=head.entry, head=head.hash, at=at))

    def _queue(self, lot: LotId, generation: int, report: Report) -> None:
        name = f"report:{lot}:{generation}"
        (last,) = self._db.execute("select coalesce((select value from counters where name=?), 0)", (name,)).fetchone()
        self._db.execute(
            "insert into reports (lot, generation, seq, body) values (?,?,?,?)",
            (lot, generation, last + 1, msgspec.json.encode(report).decode()),
        )
        self._set_counter(name, last + 1)

    def accepted(self, lot: LotId, generation: int, through: int) -> None:
        """Forget reports that the cloud has committed.

        If it has more than were ever made here, this journal is an older copy of the one that made them: it loses its
        birth mark, for it does not know what has been acted upon since.
        """
        name = f"report:{lot}:{generation}"
        (last,) = self._db.execute("select coalesce((select value from counters where name=?), 0)", (name,)).fetchone()
        if through > last:
            self.mark(lot, 0)
            return
        self._db.execute("delete from reports where lot=? and generation=? and seq<=?", (lot, generation, through))

    def mark(self, lot: LotId, generation: int) -> None:
        """Give the journal its birth mark: what comes under this enrolment is known here, and nowhere else."""
        self._set_counter(f"generation:{lot}", generation)

    def carry_over(self, lot: LotId, generation: int) -> None:
        """After a new enrolment: queue what the former generation never reported, in order, under the new one."""
        rows = self._db.execute(
            "select generation, seq, body from reports where lot=? and generation<>? order by generation, seq",
            (lot, generation),
        ).fetchall()
        for former, seq, body in rows:
            self._db.execute("delete from reports where lot=? and generation=? and seq=?", (lot, former, seq))
            self._queue(lot, generation, msgspec.json.decode(body, type=Report))

    def put_stay(self, lot: LotId, stay: KnownStay, still_open: bool) -> None:
        """Store a stay as it stands."""
        self._db.execute(
            "insert into stays (lot, key, open, body) values (?,?,?,?)"
            " on conflict (lot, key) do update set open=excluded.open, body=excluded.body",
            (lot, stay.ref.key, int(still_open), msgspec.json.encode(stay).decode()),
        )

    def put_plate(self, lot: LotId, token: str, sealed: bytes) -> None:
        """Keep a plate, sealed, as long as its stay lasts and a while longer."""
        self._db.execute(
            "insert into plates (lot, token, sealed) values (?,?,?)"
            " on conflict (lot, token) do update set sealed=excluded.sealed, ended_at=null",
            (lot, token, sealed),
        )

    def end_plate(self, lot: LotId, token: str, at: datetime) -> None:
        """Its stay has ended: from now on its days are counted."""
        if token:
            self._db.execute("update plates set ended_at=? where lot=? and token=?", (at.timestamp(), lot, token))

    def end_plates_but(self, served: Collection[int], at: datetime) -> None:
        """Plates of other lots than these end now."""
        lots = self._db.execute("select distinct lot from plates where ended_at is null").fetchall()
        for lot in {lot for (lot,) in lots} - set(served):
            self._db.execute("update plates set ended_at=? where ended_at is null and lot=?", (at.timestamp(), lot))

    def erase_plates(self, before: datetime) -> int:
        """Erase those that ended before then; SQLite overwrites their bytes. How many."""
        self._db.execute("PRAGMA secure_delete=1").fetchall()
        erased = self._db.execute("delete from plates where ended_at<?", (before.timestamp(),)).rowcount
        self._db.execute("PRAGMA secure_delete=0").fetchall()
        return int(erased)

    def note(self, lot: LotId, stay: str, at: datetime, source: str, what: str, detail: str = "") -> None:
        """Add a line to a stay's timeline (an empty `stay` means the lot itself)."""
        self._db.execute(
            "insert into timeline (lot, stay, at, source, what, detail) values (?,?,?,?,?,?)",
            (lot, stay, at.isoformat(), source, what, detail),
        )

    def put_command(
        self, lot: LotId, exit_: str, view: CommandView, intent: bytes = b"", ordered: Line | None = None
    ) -> None:
        """Store an order by hand as it stands; whole (`ordered`) until its outcome is known."""
        whole = "" if ordered is None else msgspec.json.encode(ordered).decode()
        self._db.execute(
            "insert into commands (command_id, lot, exit, body, intent, ordered) values (?,?,?,?,?,?)"
            " on conflict (command_id) do update set body=excluded.body, ordered=excluded.ordered,"
            " intent=case when length(excluded.intent) > 0 then excluded.intent else intent end",
            (view.command_id, lot, exit_, msgspec.json.encode(view).decode(), intent, whole),
        )

    def put_override(self, view: OverrideView) -> None:
        """An opening by hand that must still be matched; known ones stay as they are."""
        self._db.execute(
            "insert or ignore into overrides (command_id, lot, body, open) values (?,?,?,1)",
            (view.command_id, view.lot, msgspec.json.encode(view).decode()),
        )

    def match_override(self, command_id: str) -> None:
        """Somebody has said for whom it was."""
        self._db.execute("update overrides set open=0 where command_id=?", (command_id,))

    def put_opening(self, opening: Opening) -> None:
        """What a person has opened for a stay, as it stands."""
        name = StayRef(opening.stay.kind, opening.stay.name).key
        self._db.execute(
            "insert into openings (command_id, lot, name, at, body) values (?,?,?,?,?)"
            " on conflict (command_id) do update set name=excluded.name, body=excluded.body",
            (opening.command_id, opening.lot, name, opening.at.timestamp(), msgspec.json.encode(opening).decode()),
        )

    def put_claim(self, command_id: str, lot: LotId, day: str, amount: int) -> None:
        """What leaves against a claim; 0 if it did not leave after all."""
        self._db.execute(
            "insert into claims (command_id, lot, day, amount) values (?,?,?,?)"
            " on conflict (command_id) do update set amount=excluded.amount",
            (command_id, lot, day, amount),
        )

    def put_mark(self, lot: LotId, exit_: str, day: str, count: int, at: datetime) -> None:
        """Where an exit's counter stands behind all orders so far; the first reading of a day stays."""
        self._db.execute(
            "insert or ignore into day_marks (lot, exit, day, count, turn, command, at) values (?,?,?,?,"
            " coalesce((select max(json_extract(body, '$.turn')) from cases where lot=?), 0),"
            " coalesce((select max(rowid) from commands), 0), ?)",
            (lot, exit_, day, count, lot, at.isoformat()),
        )

    def put_told_day(self, lot: LotId, day: str, record: TellRecord, forget: str) -> None:
        """What the cloud was told of a day; what is kept of days before `forget` goes."""
        self._db.execute(
            "insert into told_days (lot, day, body) values (?,?,?)"
            " on conflict (lot, day) do update set body=excluded.body",
            (lot, day, msgspec.json.encode(record).decode()),
        )
        for table in ("told_days", "day_marks"):
            self._db.execute(f"delete from {table} where lot=? and day<?", (lot, forget))  # noqa: S608 - two names of ours

    def put_counter(self, name: str, value: int) -> None:
        """Store a number that must survive a restart."""
        self._set_counter(name, value)

    def drop_counter(self, name: str) -> None:
        """Forget a number."""
        self._db.execute("delete from counters where name=?", (name,))

    def _set_counter(self, name: str, value: int) -> None:
        self._db.execute(
            "insert into counters (name, value) values (?,?) on conflict (name) do update set value=excluded.value",
            (name, value),
        )
