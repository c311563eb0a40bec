"""The whole first schema, and the rows that every installation has."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op
from api.db.types import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PLATFORM_TEAM = "00000000-0000-0000-0000-000000000000"
DEFAULT_TEAM = "00000000-0000-7000-8000-000000000001"
BASE_TEMPLATE = "00000000-0000-7000-8000-000000000002"


def upgrade() -> None:
    _create_teams()
    _create_users()
    _create_memberships()
    _create_api_keys()
    _create_templates()
    _create_hosts()
    _create_sandboxes()
    _create_operations()
    _create_events()
    _create_events_pruned()
    _create_audit_log()
    _insert_rows()


def downgrade() -> None:
    for table in (
        "audit_log",
        "events_pruned",
        "events",
        "operations",
        "sandboxes",
        "hosts",
        "templates",
        "api_keys",
        "memberships",
        "users",
        "teams",
    ):
        op.drop_table(table)


def _create_teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("is_platform_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("users_email", "users", [sa.literal_column("lower(email)")], unique=True)


def _create_memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name="memberships_role"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team_id", "user_id", name="memberships_team_user"),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"], unique=False)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("is_platform_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_api_keys_team_id"), "api_keys", ["team_id"], unique=False)


def _create_templates() -> None:
    op.create_table(
        "templates",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("disk_size_mb", sa.Integer(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=True),
        sa.Column("memory_mb", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("type IN ('base', 'snapshot')", name="templates_type"),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "templates_team_name",
        "templates",
        ["team_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _create_hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reachable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("agent_incarnation", sa.Text(), server_default="", nullable=False),
        sa.Column("agent_version", sa.Text(), server_default="", nullable=False),
        sa.Column("driver", sa.Text(), server_default="", nullable=False),
        sa.Column("isolation", sa.Text(), server_default="", nullable=False),
        sa.Column("accelerator", sa.Text(), server_default="", nullable=False),
        sa.Column("qemu_version", sa.Text(), server_default="", nullable=False),
        sa.Column("cpu_count", sa.Integer(), nullable=False),
        sa.Column("memory_total_mb", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("memory_free_mb", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("disk_total_mb", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("disk_free_mb", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "shortcomings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_sandboxes() -> None:
    op.create_table(
        "sandboxes",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("template_id", sa.UUID(), nullable=False),
        sa.Column("host_id", sa.UUID(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "environment", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("disk_size_mb", sa.Integer(), nullable=False),
        sa.Column("timeout_sec", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("auto_resume", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("observed_generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("incarnation", sa.UUID(), nullable=True),
        sa.Column("state_deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_active_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("auto_pause_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'deleted') = (deleted_at IS NOT NULL)", name="sandboxes_deleted_at"),
        sa.CheckConstraint(
            "cause IN ('user', 'idle_timeout', 'auto_resume', 'shutdown', 'crashed', 'out_of_memory', 'hung', "
            "'killed', 'orphaned', 'host_lost', 'start_failed', 'repaired')",
            name="sandboxes_cause",
        ),
        sa.CheckConstraint("goal IN ('running', 'paused', 'stopped', 'gone')", name="sandboxes_goal"),
        sa.CheckConstraint(
            "state IN ('pending', 'starting', 'running', 'pausing', 'paused', 'resuming', 'snapshotting', 'stopping', "
            "'stopped', 'failed', 'deleting', 'deleted')",
            name="sandboxes_state",
        ),
        sa.CheckConstraint("timeout_sec >= 0", name="sandboxes_timeout"),
        sa.CheckConstraint("vcpus > 0 AND memory_mb > 0 AND disk_size_mb > 0", name="sandboxes_shape"),
        sa.ForeignKeyConstraint(
            ["host_id"],
            ["hosts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["templates.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "sandboxes_host", "sandboxes", ["host_id"], unique=False, postgresql_where=sa.text("state <> 'deleted'")
    )
    op.create_index(
        "sandboxes_team", "sandboxes", ["team_id", "id"], unique=False, postgresql_where=sa.text("state <> 'deleted'")
    )
    op.create_index(
        "sandboxes_unplaced",
        "sandboxes",
        ["id"],
        unique=False,
        postgresql_where=sa.text("host_id IS NULL AND state <> 'deleted'"),
    )
    op.create_index(
        "sandboxes_template", "sandboxes", ["template_id"], unique=False, postgresql_where=sa.text("state <> 'deleted'")
    )


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("sandbox_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("input_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("stages", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="operations_finished_at"),
        sa.CheckConstraint("kind IN ('create', 'start', 'pause', 'resume', 'delete')", name="operations_kind"),
        sa.CheckConstraint("state IN ('running', 'succeeded', 'failed')", name="operations_state"),
        sa.ForeignKeyConstraint(
            ["sandbox_id"],
            ["sandboxes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "operations_idempotency_key",
        "operations",
        ["team_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("operations_sandbox", "operations", ["sandbox_id", "generation"], unique=False)
    op.create_index(
        "operations_unfinished", "operations", ["id"], unique=False, postgresql_where=sa.text("state = 'running'")
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("sandbox_id", sa.UUID(), nullable=True),
        sa.Column("operation_id", sa.UUID(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sandbox_id"],
            ["sandboxes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_cursor", "events", ["xid", "id"], unique=False)
    op.create_index("events_sandbox", "events", ["sandbox_id", "id"], unique=False)


def _create_events_pruned() -> None:
    op.create_table(
        "events_pruned",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("'0'"), nullable=False),
        sa.Column("id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("one", name="events_pruned_one"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.execute("INSERT INTO events_pruned DEFAULT VALUES")


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_log_team", "audit_log", ["team_id", "id"], unique=False)


def _insert_rows() -> None:
    now = datetime.now(UTC)
    teams = sa.table("teams", sa.column("id", sa.UUID()), sa.column("name"), sa.column("created_at"))
    op.bulk_insert(
        teams,
        [
            {"id": PLATFORM_TEAM, "name": "platform", "created_at": now},
            {"id": DEFAULT_TEAM, "name": "default", "created_at": now},
        ],
    )
    columns = ("id", "team_id", "name", "description", "type", "disk_size_mb", "created_at")
    templates = sa.table(
        "templates", *(sa.column(name, sa.UUID() if name.endswith("id") else None) for name in columns)
    )
    op.bulk_insert(
        templates,
        [
            {
                "id": BASE_TEMPLATE,
                "team_id": PLATFORM_TEAM,
                "name": "base",
                "description": "Debian 12 with Python 3, pip, venv, git and curl.",
                "type": "base",
                "disk_size_mb": 5120,
                "created_at": now,
            }
        ],
    )
