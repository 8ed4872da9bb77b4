"""The audit chain: who did what, in a table that shows each later change.

Each entry holds the SHA-256 of itself and of its predecessor. The database refuses UPDATE, DELETE and out-of-order
INSERT; whoever gets round that is found by `verify`, and whoever writes the whole table anew, or cuts its end off, is
found against a head that the cloud has kept (parking.reports.AuditHead). No clock, no I/O but the journal's own table.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlite_utils import Database

from parking.errors import BadMessage, Code
from parking.outcome import EvidenceKind
from parking.reports import Anchors, Override, OverrideMatched, Redeemed, Refused, Report, Settled
from parking.stay import LotId, NameKind
from parking.wire import decode

RELAY: Final = "relay"
"""Who decides where no person does; no operator may have this name."""

GENESIS: Final = "0" * 64
"""What stands before the first entry."""

PROGRESS_EVERY: Final = 10_000
_DOMAIN: Final = b"daiko-audit-v1\0"
_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
_COLUMNS: Final = "entry, at, actor, what, body, prev, hash"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the chain; `body` is canonical JSON, `prev` and `hash` are SHA-256 in hex."""

    entry: int
    at: str
    actor: str
    what: str
    body: str
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the number of its last entry (0: none) and its hash."""

    entry: int
    hash: str

    def __str__(self) -> str:
        """As `parse_head` reads it."""
        return f"{self.entry}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry that is not as it was written, and what is wrong with it."""

    entry: int
    why: str


def digest(entry: int, at: str, actor: str, what: str, body: str, prev: str) -> str:
    """The hash over all that an entry says; no two entries are written alike."""
    return hashlib.sha256(_DOMAIN + msgspec.json.encode((entry, at, actor, what, body, prev))).hexdigest()


def canonical(body: Mapping[str, Any]) -> str:
    """The one way to write a body: JSON with sorted keys and no blanks."""
    return msgspec.json.encode(body, order="sorted").decode()


def parse_head(text: str) -> Head:
    """A head as ENTRY:HASH. Raises BadMessage(AUDIT)."""
    match = _HEAD.fullmatch(text.strip().lower())
    if match is None:
        raise BadMessage(Code.AUDIT, f"{text[:90]!r} is no head", "give it as ENTRY:HASH, the hash as 64 hex digits")
    return Head(int(match[1]), match[2])


def heads_of(raw: bytes, since: int) -> list[Head]:
    """The heads of a file that the cloud wrote, from enrolment `since` on.

    Raises BadMessage(BAD_MESSAGE | WRONG_SCHEMA).
    """
    return [Head(one.entry, one.head) for one in decode(raw, Anchors).anchors if one.generation >= since]


# --- the table -------------------------------------------------------------------------------------------------------


def create(db: Database) -> None:
    """Make the table and the triggers that guard it; a REPLACE, too, is an insert out of order."""
    db.execute(
        "create table audit (entry integer primary key, at text not null, actor text not null, what text not null,"
        " body text not null, prev text not null, hash text not null)"
    )
    for act in ("update", "delete"):
        db.execute(
            f"create trigger audit_no_{act} before {act} on audit"
            " begin select raise(abort, 'the audit chain is append-only'); end"
        )
    db.execute(
        "create trigger audit_in_order before insert on audit"
        " when new.entry is not (select coalesce(max(entry), 0) + 1 from audit)"
        " begin select raise(abort, 'the audit chain is append-only'); end"
    )


def head_of(db: Database, until: int | None = None) -> Head:
    """The head as it stands; with `until`, as the chain that stands there now had it after that entry."""
    most = 2**63 - 1 if until is None else until
    row = db.execute("select entry, hash from audit where entry<=? order by entry desc limit 1", (most,)).fetchone()
    return Head(*row) if row else Head(0, GENESIS)


def append(db: Database, at: datetime, actor: str, what: str, body: Mapping[str, Any]) -> Head:
    """Add an entry inside the caller's transaction; returns the new head."""
    last = head_of(db)
    number, moment, text = last.entry + 1, at.isoformat(), canonical(body)
    new = digest(number, moment, actor, what, text, last.hash)
    db.execute(
        f"insert into audit ({_COLUMNS}) values (?,?,?,?,?,?,?)",  # noqa: S608  # a constant
        (number, moment, actor, what, text, last.hash, new),
    )
    return Head(number, new)


def entries(db: Any, last: int | None = None) -> Iterable[Entry]:
    """All entries in order, or the `last` few; `db` is anything with `execute`."""
    sql = f"select {_COLUMNS} from audit order by entry"  # noqa: S608  # a constant
    if last is not None:
        sql = f"select * from (select {_COLUMNS} from audit order by entry desc limit {int(last)}) order by entry"  # noqa: S608  # a number
    for row in db.execute(sql):
        yield Entry(*row)


def verify(
    chain: Iterable[Entry], anchored: Sequence[Head] = (), progress: Callable[[int], None] = lambda _: None
) -> Head | Broken:
    """Recompute the chain, and hold it against anchored heads; the head, or the first thing wrong."""
    hashes: dict[int, set[str]] = {}
    for anchor in anchored:
        hashes.setdefault(anchor.entry, set()).add(anchor.hash)
    head = Head(0, GENESIS)
    for entry in chain:
        if (why := _wrong(entry, head)) is not None:
            return Broken(head.entry + 1, why)
        head = Head(entry.entry, entry.hash)
        if (known := hashes.get(head.entry)) is not None and known != {head.hash}:
            return Broken(head.entry, "is not the one whose hash was anchored: the chain has been written anew")
        if head.entry % PROGRESS_EVERY == 0:
            progress(head.entry)
    if (reached := max(hashes, default=0)) > head.entry:
        return Broken(head.entry + 1, f"is missing: the chain once reached entry {reached}")
    return head


def _wrong(entry: Entry, before: Head) -> str | None:
    texts = (entry.at, entry.actor, entry.what, entry.body, entry.prev, entry.hash)
    if type(entry.entry) is not int or not all(type(text) is str for text in texts):
        return "holds a value of another type than was written"
    if entry.entry != before.entry + 1:
        return f"is missing; entry {entry.entry} stands in its place"
    if entry.prev != before.hash:
        return "does not follow on its predecessor"
    if entry.hash != digest(entry.entry, entry.at, entry.actor, entry.what, entry.body, entry.prev):
        return "has been changed"
    return None


# --- what belongs into it --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did, as it goes into the chain."""

    at: datetime
    actor: str
    what: str
    body: Mapping[str, Any]


def act_of(lot: LotId, report: Report) -> Act | None:
    """What a report to the cloud says that a person did; None if no person did anything.

    Every act by hand is reported, so whatever is reported is chained in the same transaction.
    """
    match report:
        case Override():
            return Act(report.at, report.actor, report.verb, _body(lot, report))
        case OverrideMatched():
            return Act(report.at, report.actor, "assign", _body(lot, report))
        case Redeemed():
            return Act(report.at, report.actor, "code", _body(lot, report))
        case Settled() if report.by != RELAY:
            said = [one.text for one in report.evidence if one.kind is EvidenceKind.PERSON]
            body = {"lot": lot, "number": report.number, "verdict": "settled", "level": report.level, "said": said}
            return Act(report.at, report.by, "resolve", body)
        case Refused() if report.by != RELAY:
            body = {"lot": lot, "number": report.number, "verdict": "not_settled", "code": report.code}
            return Act(report.at, report.by, "resolve", body | {"said": [report.detail]})
        case _:
            return None


def _body(lot: LotId, report: Report) -> dict[str, Any]:
    """The report, without number plates: the chain cannot forget, so they must not get into it."""
    body: dict[str, Any] = msgspec.to_builtins(report)
    stay = body.get("stay")
    if isinstance(stay, dict) and stay.get("kind") == NameKind.PLATE.value:
        body["stay"] = {"kind": stay["kind"]}
    return {"lot": lot} | body
