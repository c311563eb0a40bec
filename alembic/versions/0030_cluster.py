"""The id of this control plane, by which hosts know the machines that it had made."""

import sqlalchemy as sa

from alembic import op

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cluster",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.CheckConstraint("one", name="cluster_one"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.execute("INSERT INTO cluster DEFAULT VALUES")


def downgrade() -> None:
    op.drop_table("cluster")
