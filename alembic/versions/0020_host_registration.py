"""Hosts that join by themselves, with a one-time token and a certificate, and tell of their pools."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("registered_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hosts", sa.Column("certificate_expires_at", sa.DateTime(timezone=True), nullable=True))
    pools = sa.Column("pools", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False)
    op.add_column("hosts", pools)
    op.create_table(
        "host_tokens",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("host_tokens")
    op.drop_column("hosts", "pools")
    op.drop_column("hosts", "certificate_expires_at")
    op.drop_column("hosts", "registered_at")
