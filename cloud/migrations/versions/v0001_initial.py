"""The first tables: lots and their bridges, stays, quotes, payments, completions, reports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bridges",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("software", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridges")),
    )
    op.create_table(
        "enrol_codes",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("lots", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_enrol_codes")),
    )
    op.create_table(
        "operators",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
    )
    op.create_table(
        "lots",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("operator_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("name", sa.JSON(), nullable=False),
        sa.Column("address", sa.JSON(), nullable=False),
        sa.Column("names", sa.String(length=8), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("day_starts", sa.Integer(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=False),
        sa.Column("longitude", sa.Float(), nullable=False),
        sa.Column("radius_m", sa.Integer(), nullable=False),
        sa.Column("fee_by", sa.String(length=8), nullable=False),
        sa.Column("lease_seconds", sa.Integer(), nullable=False),
        sa.Column("tariff", sa.Text(), nullable=True),
        sa.Column("completions", sa.BigInteger(), nullable=False),
        sa.Column("bridge_id", sa.String(length=32), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("feed_floor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"], name=op.f("fk_lots_operator_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lots")),
        sa.UniqueConstraint("code", name=op.f("uq_lots_code")),
    )
    op.create_index(op.f("ix_lots_operator_id"), "lots", ["operator_id"], unique=False)
    op.create_table(
        "nonces",
        sa.Column("bridge_id", sa.String(length=32), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_nonces_bridge_id")),
        sa.PrimaryKeyConstraint("bridge_id", "nonce", name=op.f("pk_nonces")),
    )
    op.create_index(op.f("ix_nonces_seen_at"), "nonces", ["seen_at"], unique=False)
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_alarms_lot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(op.f("ix_alarms_lot_id"), "alarms", ["lot_id"], unique=False)
    op.create_table(
        "bridge_lots",
        sa.Column("bridge_id", sa.String(length=32), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_bridge_lots_bridge_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_bridge_lots_lot_id")),
        sa.PrimaryKeyConstraint("bridge_id", "lot_id", name=op.f("pk_bridge_lots")),
    )
    op.create_table(
        "lot_exits",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("exit_id", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("label", sa.JSON(), nullable=False),
        sa.Column("bay", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_lot_exits_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "exit_id", name=op.f("pk_lot_exits")),
    )
    op.create_table(
        "quotes",
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("exit_id", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("fee_by", sa.String(length=8), nullable=False),
        sa.Column("tariff", sa.String(length=80), nullable=False),
        sa.Column("shadow_amount", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_quotes_lot_id")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_quotes")),
    )
    op.create_table(
        "report_cursors",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_report_cursors_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "generation", name=op.f("pk_report_cursors")),
    )
    op.create_table(
        "reports",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_reports_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "generation", "seq", name=op.f("pk_reports")),
    )
    op.create_table(
        "stays",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_stays_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "stay_key", name=op.f("pk_stays")),
    )
    op.create_index("ix_stays_open", "stays", ["lot_id", "kind", "name"], unique=False)
    op.create_table(
        "payments",
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("provider_ref", sa.Text(), nullable=False),
        sa.Column("page_url", sa.Text(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("authorize_by", sa.BigInteger(), nullable=False),
        sa.Column("authorized_at", sa.BigInteger(), nullable=True),
        sa.Column("overdue", sa.Boolean(), nullable=False),
        sa.Column("ending", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("poll_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_payments_lot_id")),
        sa.ForeignKeyConstraint(["token"], ["quotes.token"], name=op.f("fk_payments_token")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_payments")),
        sa.UniqueConstraint("token", name=op.f("uq_payments_token")),
    )
    op.create_index(op.f("ix_payments_poll_at"), "payments", ["poll_at"], unique=False)
    op.create_index(op.f("ix_payments_standing"), "payments", ["standing"], unique=False)
    op.create_index(
        "uq_payments_in_flight",
        "payments",
        ["lot_id", "stay_key"],
        unique=True,
        sqlite_where=sa.text("standing IN ('open', 'authorized', 'in_doubt')"),
        postgresql_where=sa.text("standing IN ('open', 'authorized', 'in_doubt')"),
    )
    op.create_table(
        "completions",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_completions_lot_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payments.order_id"], name=op.f("fk_completions_order_id")),
        sa.PrimaryKeyConstraint("lot_id", "number", name=op.f("pk_completions")),
        sa.UniqueConstraint("order_id", name=op.f("uq_completions_order_id")),
    )
    op.create_table(
        "provider_commands",
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("verb", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("query_first", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["payments.order_id"], name=op.f("fk_provider_commands_order_id")),
        sa.PrimaryKeyConstraint("order_id", "verb", name=op.f("pk_provider_commands")),
    )
    op.create_index(op.f("ix_provider_commands_due_at"), "provider_commands", ["due_at"], unique=False)
    op.create_table(
        "provider_events",
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["payments.order_id"], name=op.f("fk_provider_events_order_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_provider_events")),
    )
    op.create_index(op.f("ix_provider_events_order_id"), "provider_events", ["order_id"], unique=False)
