"""Hosts that are removed, and tokens with which one that is known joins again.

The code before this goes on to work: it knows tokens for anybody only, lets a known host join with any of them, and
calls hosts that are removed.
"""

import sqlalchemy as sa

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("host_tokens", sa.Column("host_id", sa.UUID(), nullable=True))
    op.create_foreign_key("host_tokens_host_id_fkey", "host_tokens", "hosts", ["host_id"], ["id"])


def downgrade() -> None:
    op.drop_column("host_tokens", "host_id")
    op.drop_column("hosts", "removed_at")
