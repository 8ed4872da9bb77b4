"""Payments as a list, for the command line and the demo's report: each with its commands and alarms."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import schema

_COLUMNS: Final = ("order_id", "lot", "number", "stay", "amount", "standing", "code", "commands", "alarms")


async def payments(db: AsyncConnection) -> list[dict[str, Any]]:
    """All payments, oldest first, as plain values."""
    rows = schema.payments
    query = (
        select(rows, schema.completions.c.number, schema.completions.c.received_at)
        .outerjoin(schema.completions, schema.completions.c.order_id == rows.c.order_id)
        .order_by(rows.c.created_at, rows.c.order_id)
    )
    commands = await _grouped(db, schema.provider_commands.c.order_id, _command_text)
    alarms = await _grouped(db, schema.alarms.c.order_id, _alarm_text)
    return [
        {
            "order_id": row["order_id"],
            "lot": row["lot_id"],
            "number": row["number"],
            "stay": row["stay_key"],
            "amount": row["amount"],
            "charged": row["charged"],
            "standing": row["standing"],
            "code": row["code"],
            "created_at": _iso(row["created_at"]),
            "authorized_at": _iso(row["authorized_at"]),
            "received_at": _iso(row["received_at"]),
            "changed_at": _iso(row["changed_at"]),
            "commands": commands.get(row["order_id"], []),
            "alarms": alarms.get(row["order_id"], []),
        }
        for row in (await db.execute(query)).mappings()
    ]


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str] = _COLUMNS) -> str:
    """The list as aligned columns."""
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


async def _grouped(db: AsyncConnection, key: Any, text: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in (await db.execute(select(key.table).order_by(key))).mappings():
        found.setdefault(row["order_id"], []).append(text(row))
    return found


def _command_text(row: Any) -> str:
    return f"{row['verb']}:{row['state']}"


def _alarm_text(row: Any) -> str:
    return f"[{row['code']}] {row['detail']}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return "; ".join(value) if isinstance(value, list) else str(value)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
