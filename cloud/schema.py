"""The tables (SQLAlchemy Core), portable between SQLite and PostgreSQL; see migrations/ for their history.

Every table that belongs to a lot reaches its operator (tenant) through `lots.operator_id`. Times are stored as whole
microseconds since 1970 UTC, so that they order and compare alike everywhere.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
    text,
)

from cloud import schema_by_hand
from cloud.columns import Utc, metadata
from cloud.columns import lot_column as _lot

__all__ = ["Utc", "metadata", "schema_by_hand"]  # with these, `metadata` holds every table

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
    # the profile's [policy], as far as the cloud acts on it
    Column("when_down", String(16), nullable=False, server_default="attendant"),
    Column("loss_budget", Integer, nullable=False, server_default="5000"),
    Column("claim_days", Integer, nullable=False, server_default="14"),
    Column("two_persons_above", Integer, nullable=False, server_default="10000"),
    Column("alarm_seconds", Integer, nullable=False, server_default="600"),
    Column("codes_per_day", Integer, nullable=False, server_default="20"),
    Column("code_yen_per_day", Integer, nullable=False, server_default="30000"),
    Column("pay_offline_minutes", Integer, nullable=False, server_default="0"),
    Column("attended", String(11), nullable=False, server_default=""),
    Column("heard_at", Utc),  # when its bridge was last heard, to half a minute
    Column("nightly_at", Utc),  # the latest day cut-over whose nightly work is done
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
    Column("generation", BigInteger, nullable=False),  # 0 until it is approved
    Column("name", Text, nullable=False),
    Column("software", Text, nullable=False),
    Column("asked_at", Utc, nullable=False),
    Column("state", String(16), nullable=False, server_default="approved"),  # cloud.enrolment.BridgeState
    Column("heard_at", Utc),  # its latest signed request
)

bridge_acts = Table(  # what persons decided about bridges; nothing is ever taken out
    "bridge_acts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bridge_id", String(32), ForeignKey("bridges.id"), nullable=False, index=True),
    Column("verb", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Utc, nullable=False),
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
    Column("bridge_id", String(32), nullable=False, server_default=""),  # whose enrolment used it
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
    Column("at_most", Boolean, nullable=False, server_default=false()),
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
    Column("charged", Integer),  # what is collected of it, where the machine took less
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
    Column("unsettled", Boolean, nullable=False, server_default=false()),
    Column("claim_id", String(26), nullable=False, server_default=""),  # the claim that it pays, if it pays one
    Column("line_down", Boolean, nullable=False, server_default=false()),  # begun while the lot's line was down
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

# --- business days (cloud.days) ---

day_parts = Table(
    "day_parts",
    metadata,
    _lot(primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("parts", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("body", Text, nullable=False),
)

days = Table(
    "days",
    metadata,
    _lot(primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("compared_at", Utc, nullable=False),
    Column("told_at", Utc),
    Column("totals", Text, nullable=False),
    Column("closed_by", String(80), nullable=False),
    Column("closed_at", Utc),
)

day_differences = Table(
    "day_differences",
    metadata,
    _lot(primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("key", String(120), primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("yen", Integer, nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("reason", Text, nullable=False),
    Column("reason_by", String(80), nullable=False),
    Column("reason_at", Utc),
)

# --- secrets (cloud.code_keys) ---

lot_secrets = Table(
    "lot_secrets",
    metadata,
    _lot(primary_key=True),
    Column("purpose", String(8), primary_key=True),  # code or plate
    Column("serial", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", Utc, nullable=False),
    Column("given_to", BigInteger, nullable=False),  # the generation of the bridge that has it first; 0: none yet
    Column("given_at", Utc),
    Column("until", Utc),  # when it is forgotten, once the next one took over
)
