"""The journal's tables, step by step; each step is applied once, inside a transaction."""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from bridge import audit as chain

migrations = Migrations("bridge-journal")


@migrations()
def first(db: Database) -> None:
    """The first schema."""
    db.table("cases").create(
        {"lot": int, "number": int, "phase": str, "stay": str, "packed": bytes, "body": str}, pk=("lot", "number")
    )
    db.table("cases").create_index(["lot", "stay"])
    db.table("cases").create_index(["phase"])
    db.table("rejects").create(
        {"lot": int, "number": int, "entry": str, "code": str, "detail": str, "at": str}, pk=("lot", "number")
    )
    db.table("timeline").create(
        {"id": int, "lot": int, "stay": str, "at": str, "source": str, "what": str, "detail": str}, pk="id"
    )
    db.table("timeline").create_index(["lot", "stay"])
    db.table("reports").create(
        {"lot": int, "generation": int, "seq": int, "body": str}, pk=("lot", "generation", "seq")
    )
    db.table("counters").create({"name": str, "value": int}, pk="name")
    db.table("stays").create({"lot": int, "key": str, "open": int, "body": str}, pk=("lot", "key"))
    db.table("stays").create_index(["lot", "open"])
    db.table("commands").create(
        {"command_id": str, "lot": int, "exit": str, "body": str, "intent": bytes}, pk="command_id"
    )


@migrations()
def audit_chain(db: Database) -> None:
    """The chain of acts by hand (bridge.audit)."""
    chain.create(db)


@migrations()
def overrides(db: Database) -> None:
    """Openings by hand that somebody must still match, and what was let out against claims."""
    db.table("overrides").create({"command_id": str, "lot": int, "body": str, "open": int}, pk="command_id")
    db.table("overrides").create_index(["open"])
    db.table("claims").create({"command_id": str, "lot": int, "day": str, "amount": int}, pk="command_id")
    db.table("claims").create_index(["lot", "day"])


@migrations()
def birth_marks(db: Database) -> None:
    """Which enrolment a journal belongs to. One that has reported under a generation was born with it."""
    rows = db.execute("select name from counters where name like 'report:%'").fetchall()
    for _, lot, generation in sorted((name.split(":") for (name,) in rows), key=lambda parts: int(parts[2])):
        db.execute(
            "insert into counters (name, value) values (?,?) on conflict (name) do update set value=excluded.value",
            (f"generation:{lot}", int(generation)),
        )


@migrations()
def openings(db: Database) -> None:
    """What people have opened for which stay: a payment of it that comes later is not released a second time."""
    db.table("openings").create({"command_id": str, "lot": int, "name": str, "at": float, "body": str}, pk="command_id")
    db.table("openings").create_index(["lot", "name", "at"])


@migrations()
def days(db: Database) -> None:
    """Business days: where each exit's counter stood at a day's end, and what the cloud was told of the day.

    `turn` and `command` are the latest orders, by the relay and by hand, that were let write before it was read.
    """
    marks = {"lot": int, "exit": str, "day": str, "count": int, "turn": int, "command": int, "at": str}
    db.table("day_marks").create(marks, pk=("lot", "exit", "day"))
    db.table("told_days").create({"lot": int, "day": str, "body": str}, pk=("lot", "day"))
    db.execute("create index idx_cases_paid_at on cases (lot, json_extract(body, '$.paid_at'))")
    db.execute("create index idx_cases_turn on cases (lot, json_extract(body, '$.turn'))")


@migrations()
def orders_under_way(db: Database) -> None:
    """An order by hand whole, as long as its outcome is not known: after a crash somebody must still end it."""
    db.execute("alter table commands add column ordered text not null default ''")


@migrations()
def plates(db: Database) -> None:
    """Plates stand sealed in a table of their own, which forgets them; stays have their tokens."""
    db.table("plates").create({"lot": int, "token": str, "sealed": bytes, "ended_at": float}, pk=("lot", "token"))
    db.table("plates").create_index(["ended_at"])
    db.execute("update stays set body=json_set(body, '$.plate', '') where json_extract(body, '$.plate') <> ''")
