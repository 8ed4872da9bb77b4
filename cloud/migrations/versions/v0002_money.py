"""Overrides by hand, claims to be paid later, losses, decisions of persons, and the lots' policies."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _lots() -> "list[sa.Column[Any]]":
    return [
        sa.Column("when_down", sa.String(length=16), nullable=False, server_default="attendant"),
        sa.Column("loss_budget", sa.Integer(), nullable=False, server_default="5000"),
        sa.Column("claim_days", sa.Integer(), nullable=False, server_default="14"),
        sa.Column("two_persons_above", sa.Integer(), nullable=False, server_default="10000"),
        sa.Column("alarm_seconds", sa.Integer(), nullable=False, server_default="600"),
        sa.Column("nightly_at", sa.BigInteger(), nullable=True),
    ]


def _payments() -> "list[sa.Column[Any]]":
    return [
        sa.Column("unsettled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("claim_id", sa.String(length=26), nullable=False, server_default=""),
    ]


def upgrade() -> None:
    for table, columns in (("lots", _lots()), ("payments", _payments())):
        for column in columns:
            op.add_column(table, column)
    _overrides()
    _claims()
    _persons()


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("exit", sa.String(length=16), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("whose", sa.String(length=8), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("give_back", sa.Boolean(), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("matched_by", sa.Text(), nullable=False),
        sa.Column("matched_reason", sa.Text(), nullable=False),
        sa.Column("matched_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_overrides_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "command_id", name=op.f("pk_overrides")),
    )
    op.create_index(op.f("ix_overrides_order_id"), "overrides", ["order_id"], unique=False)
    op.create_index("ix_overrides_whose", "overrides", ["lot_id", "whose"], unique=False)
    op.create_table(
        "redeemed",
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("way", sa.String(length=8), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_redeemed_lot_id")),
        sa.PrimaryKeyConstraint("lot_id", "number", name=op.f("pk_redeemed")),
    )


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("stay_key", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_claims_lot_id")),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_claims")),
    )
    op.create_index("ix_claims_lot", "claims", ["lot_id", "made_at"], unique=False)
    op.create_index("ix_claims_state", "claims", ["state", "until"], unique=False)
    op.create_table(
        "losses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_losses_lot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_losses")),
        sa.UniqueConstraint("cause", name=op.f("uq_losses_cause")),
    )
    op.create_index(op.f("ix_losses_lot_id"), "losses", ["lot_id"], unique=False)


def _persons() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_decisions_lot_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payments.order_id"], name=op.f("fk_decisions_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_lot_id"), "decisions", ["lot_id"], unique=False)


def downgrade() -> None:
    for table in ("decisions", "losses", "claims", "redeemed", "overrides"):
        op.drop_table(table)
    for table, columns in (("payments", _payments()), ("lots", _lots())):
        for column in columns:
            op.drop_column(table, column.name)
