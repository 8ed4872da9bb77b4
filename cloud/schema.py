"""The tables (SQLAlchemy Core), portable between SQLite and PostgreSQL; see migrations/ for their history.

Every table that belongs to a lot reaches its operator (tenant) through `lots.operator_id`. Times are stored as whole
microseconds since 1970 UTC, so that they order and compare alike everywhere.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Utc(TypeDecorator[datetime]):
    """An aware UTC time as whole microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To microseconds; a naive time is a mistake of ours and raises TypeError."""
        del dialect
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From microseconds."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _lot(**options: Any) -> Column[int]:
    return Column("lot_id", BigInteger, ForeignKey("lots.id"), nullable=False, **options)


operators = Table(
    "operators",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
)

lots = Table(
    "lots",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("operator_id", Integer, ForeignKey("operators.id"), nullable=False, index=True),
    Column("code", String(16), nullable=False, unique=True),
    Column("name", JSON, nullable=False),
    Column("address", JSON, nullable=False),
    Column("names", String(8), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("day_starts", Integer, nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    Column("radius_m", Integer, nullable=False),
    Column("fee_by", String(8), nullable=False),
    Column("lease_seconds", Integer, nullable=False),
    Column("tariff", Text),
    Column("completions", BigInteger, nullable=False),  # number of the latest completion; its row lock orders them
    Column("bridge_id", String(32)),  # the one enrolled bridge, fenced by `generation`
    Column("generation", BigInteger, nullable=False),
    Column("feed_floor", BigInteger, nullable=False),  # completions up to here belong to earlier generations
)

lot_exits = Table(
    "lot_exits",
    metadata,
    _lot(primary_key=True),
    Column("exit_id", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("label", JSON, nullable=False),
    Column("bay", String(32), nullable=False),
)

bridges = Table(
    "bridges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("software", Text, nullable=False),
    Column("enrolled_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

bridge_lots = Table(
    "bridge_lots",
    metadata,
    Column("bridge_id", String(32), ForeignKey("bridges.id"), primary_key=True),
    _lot(primary_key=True),
)

enrol_codes = Table(
    "enrol_codes",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("lots", JSON, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

nonces = Table(
    "nonces",
    metadata,
    Column("bridge_id", String(32), ForeignKey("bridges.id"), primary_key=True),
    Column("nonce", String(64), primary_key=True),
    Column("seen_at", Utc, nullable=False, index=True),
)

stays = Table(
    "stays",
    metadata,
    _lot(primary_key=True),
    Column("stay_key", String(80), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("name", String(32), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("closed_at", Utc),
    Index("ix_stays_open", "lot_id", "kind", "name"),
)

quotes = Table(
    "quotes",
    metadata,
    Column("token", String(32), primary_key=True),
    _lot(),
    Column("stay_key", String(80), nullable=False),
    Column("exit_id", String(16), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("lines", JSON, nullable=False),
    Column("at", Utc, nullable=False),
    Column("valid_until", Utc, nullable=False),
    Column("fee_by", String(8), nullable=False),
    Column("tariff", String(80), nullable=False),
    Column("shadow_amount", Integer),
)

IN_FLIGHT: Final = "standing IN ('open', 'authorized', 'in_doubt')"

payments = Table(
    "payments",
    metadata,
    Column("order_id", String(40), primary_key=True),
    Column("token", String(32), ForeignKey("quotes.token"), nullable=False, unique=True),
    _lot(),
    Column("stay_key", String(80), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("provider_ref", Text, nullable=False),
    Column("page_url", Text, nullable=False),
    Column("amount", Integer, nullable=False),
    Column("standing", String(16), nullable=False, index=True),
    Column("code", String(32), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("authorize_by", Utc, nullable=False),
    Column("authorized_at", Utc),
    Column("overdue", Boolean, nullable=False),
    Column("ending", Boolean, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("version", Integer, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("poll_at", Utc, index=True),
    # one payment in flight per stay, kept by the database itself
    Index(
        "uq_payments_in_flight",
        "lot_id",
        "stay_key",
        unique=True,
        sqlite_where=text(IN_FLIGHT),
        postgresql_where=text(IN_FLIGHT),
    ),
)

completions = Table(
    "completions",
    metadata,
    _lot(primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", String(40), ForeignKey("payments.order_id"), nullable=False, unique=True),
    Column("packed", LargeBinary, nullable=False),
    Column("issued_at", Utc, nullable=False),
    Column("received_at", Utc),
)

provider_events = Table(
    "provider_events",
    metadata,
    Column("event_id", String(128), primary_key=True),
    Column("order_id", String(40), ForeignKey("payments.order_id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("reason", Text, nullable=False),
)

provider_commands = Table(
    "provider_commands",
    metadata,
    Column("order_id", String(40), ForeignKey("payments.order_id"), primary_key=True),
    Column("verb", String(8), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("query_first", Boolean, nullable=False),
    Column("due_at", Utc, nullable=False, index=True),
    Column("made_at", Utc, nullable=False),
    Column("detail", Text, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    _lot(primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("seen_at", Utc, nullable=False),
)

report_cursors = Table(
    "report_cursors",
    metadata,
    _lot(primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("through", BigInteger, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    _lot(index=True),
    Column("order_id", String(40), nullable=False),
    Column("code", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Utc, nullable=False),
)
