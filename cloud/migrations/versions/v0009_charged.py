"""A payment of which less than its amount is collected: coins, until the machine was satisfied."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payments", sa.Column("charged", sa.Integer(), nullable=True))
    op.add_column("quotes", sa.Column("at_most", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("quotes", "at_most")
    op.drop_column("payments", "charged")
