"""Paying while a lot's line is down: its policy, its last contact, and the payments that were begun so."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _lots() -> "list[sa.Column[Any]]":
    return [
        sa.Column("codes_per_day", sa.Integer(), nullable=False, server_default="20"),
        sa.Column("code_yen_per_day", sa.Integer(), nullable=False, server_default="30000"),
        sa.Column("pay_offline_minutes", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("attended", sa.String(length=11), nullable=False, server_default=""),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
    ]


def upgrade() -> None:
    for column in _lots():
        op.add_column("lots", column)
    op.add_column("payments", sa.Column("line_down", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("payments", "line_down")
    for column in _lots():
        op.drop_column("lots", column.name)
