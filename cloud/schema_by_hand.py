"""The tables of what people do and owe: overrides, heads of their record, codes, claims, losses, decisions."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from cloud.columns import Utc, lot_column, metadata

overrides = Table(
    "overrides",
    metadata,
    lot_column(primary_key=True),
    Column("command_id", String(64), primary_key=True),
    Column("exit", String(16), nullable=False),
    Column("verb", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("whose", String(8), nullable=False),
    Column("stay_key", String(80), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("give_back", Boolean, nullable=False),
    Column("order_id", String(40), nullable=False, index=True),  # the stay's payment; empty: it has none
    Column("matched_by", Text, nullable=False),
    Column("matched_reason", Text, nullable=False),
    Column("matched_at", Utc),
    Index("ix_overrides_whose", "lot_id", "whose"),
)

audit_anchors = Table(  # heads of the chains of what people did (cloud.anchors)
    "audit_anchors",
    metadata,
    Column("id", Integer, primary_key=True),
    lot_column(),
    Column("generation", BigInteger, nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("head", String(64), nullable=False),
    Column("at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Index("ix_audit_anchors_entry", "lot_id", "generation", "entry"),
)

redeemed = Table(
    "redeemed",
    metadata,
    lot_column(primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("way", String(8), nullable=False),
    Column("actor", Text, nullable=False),
    Column("stay_key", String(80), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("agrees", Boolean, nullable=False),  # with the completion of this number
)

claims = Table(
    "claims",
    metadata,
    Column("claim_id", String(26), primary_key=True),
    lot_column(),
    Column("stay_key", String(80), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("order_id", String(40), nullable=False),  # whose completion releases against it; empty: opened by hand
    Column("command_id", String(64), nullable=False),  # the override that released against it
    Column("actor", Text, nullable=False),
    Column("made_at", Utc, nullable=False),
    Column("until", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Index("ix_claims_lot", "lot_id", "made_at"),
    Index("ix_claims_state", "state", "until"),
)

losses = Table(
    "losses",
    metadata,
    Column("id", Integer, primary_key=True),
    lot_column(index=True),
    Column("cause", String(64), nullable=False, unique=True),  # the order or claim that it comes from
    Column("order_id", String(40), nullable=False),
    Column("claim_id", String(26), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    lot_column(index=True),
    Column("order_id", String(40), ForeignKey("payments.order_id"), nullable=False),
    Column("verb", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("second", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("standing", String(16), nullable=False),  # as it was before
    Column("at", Utc, nullable=False),
)
