"""Bridges wait for a person's approval; who approved, turned down or revoked which."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # plain statements: a batch would build `bridges` anew under the rows that refer to it
    op.execute("ALTER TABLE bridges RENAME COLUMN enrolled_at TO asked_at")
    op.add_column("bridges", sa.Column("state", sa.String(length=16), server_default="approved", nullable=False))
    op.add_column("bridges", sa.Column("heard_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE bridges SET state = 'revoked' WHERE revoked_at IS NOT NULL")
    op.drop_column("bridges", "revoked_at")
    op.add_column("enrol_codes", sa.Column("bridge_id", sa.String(length=32), server_default="", nullable=False))
    op.create_table(
        "bridge_acts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bridge_id", sa.String(length=32), nullable=False),
        sa.Column("verb", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bridge_id"], ["bridges.id"], name=op.f("fk_bridge_acts_bridge_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridge_acts")),
    )
    op.create_index(op.f("ix_bridge_acts_bridge_id"), "bridge_acts", ["bridge_id"], unique=False)


def downgrade() -> None:
    op.drop_table("bridge_acts")
    op.drop_column("enrol_codes", "bridge_id")
    op.add_column("bridges", sa.Column("revoked_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE bridges SET revoked_at = asked_at WHERE state <> 'approved'")
    op.drop_column("bridges", "heard_at")
    op.drop_column("bridges", "state")
    op.execute("ALTER TABLE bridges RENAME COLUMN asked_at TO enrolled_at")
