"""An audit log that only grows, and what teams may have at most.

Nothing wrote to the audit log before. The code before this goes on to work: it looks at neither.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0040"
down_revision = "0030"
branch_labels = None
depends_on = None

_REFUSE = """
CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- by the clock of the database: whoever could choose the time could remove what just happened
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log only grows: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    # a line outlives what it is about, and is written while teams are locked
    op.drop_constraint("audit_log_team_id_fkey", "audit_log", type_="foreignkey")
    op.alter_column("audit_log", "team_id", nullable=True)
    op.drop_column("audit_log", "detail")
    op.create_index("audit_log_at", "audit_log", ["at"])
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW "
        "EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT "
        "EXECUTE FUNCTION audit_log_refuse()"
    )
    limits = ("sandboxes", "vcpus", "memory_mb", "disk_mb", "templates", "operations")
    op.create_table(
        "team_quotas",
        sa.Column("team_id", sa.UUID(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in limits),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"least({', '.join(limits)}) >= 0", name="team_quotas_not_negative"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id"),
    )


def downgrade() -> None:
    op.drop_table("team_quotas")
    op.execute("DROP TRIGGER audit_log_all ON audit_log")
    op.execute("DROP TRIGGER audit_log_rows ON audit_log")
    op.execute("DROP FUNCTION audit_log_refuse()")
    op.drop_index("audit_log_at", "audit_log")
    op.add_column("audit_log", sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
