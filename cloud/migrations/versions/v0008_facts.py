"""A difference keeps what the witnesses say as facts by name, so that it can be told in any language."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table day_differences rename column detail to facts")
    op.execute("update day_differences set facts = '{}'")  # open days are compared anew; words cannot become facts


def downgrade() -> None:
    op.execute("alter table day_differences rename column facts to detail")
