"""Templates that are made of sandboxes, and forks."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KINDS_BEFORE = "kind IN ('create', 'start', 'pause', 'resume', 'delete')"
KINDS = "kind IN ('create', 'start', 'pause', 'resume', 'delete', 'create_template', 'fork', 'delete_template')"


def upgrade() -> None:
    _extend_templates()
    _create_template_hosts()
    _extend_operations()
    _extend_sandboxes()


def downgrade() -> None:
    op.drop_constraint("sandboxes_template_live", "sandboxes")
    op.drop_index("sandboxes_template", "sandboxes")
    op.create_index("sandboxes_template", "sandboxes", ["template_id"], postgresql_where=sa.text("state <> 'deleted'"))
    for column in ("parent_id", "fork_id", "stored_bytes", "stands_on_template"):
        op.drop_column("sandboxes", column)
    for constraint in ("operations_sandbox", "operations_template", "operations_progress", "operations_kind"):
        op.drop_constraint(constraint, "operations")
    for column in ("template_id", "progress_percent"):
        op.drop_column("operations", column)
    op.create_check_constraint("operations_kind", "operations", KINDS_BEFORE)
    op.alter_column("operations", "sandbox_id", nullable=False)
    op.drop_table("template_hosts")
    for column in ("live", "state", "stored_bytes", "source_sandbox_id", "created_by"):
        op.drop_column("templates", column)


def _extend_templates() -> None:
    op.add_column("templates", sa.Column("state", sa.Text(), server_default="ready", nullable=False))
    op.add_column("templates", sa.Column("stored_bytes", sa.BigInteger(), nullable=True))
    op.add_column("templates", sa.Column("source_sandbox_id", sa.UUID(), nullable=True))
    op.add_column("templates", sa.Column("created_by", sa.Text(), server_default="system", nullable=False))
    op.add_column(
        "templates", sa.Column("live", sa.Boolean(), sa.Computed("deleted_at IS NULL", persisted=True), nullable=True)
    )
    op.create_foreign_key("templates_source_sandbox_id_fkey", "templates", "sandboxes", ["source_sandbox_id"], ["id"])
    # code of before deletes nothing, so there is no row whose state would have to be another
    op.create_check_constraint("templates_state", "templates", "state IN ('creating', 'ready', 'deleting', 'deleted')")
    op.create_check_constraint(
        "templates_deleted_at", "templates", "(state IN ('deleting', 'deleted')) = (deleted_at IS NOT NULL)"
    )
    op.create_check_constraint(
        "templates_shape",
        "templates",
        "type = 'base' OR (vcpus IS NOT NULL AND memory_mb IS NOT NULL AND source_sandbox_id IS NOT NULL)",
    )
    op.create_check_constraint(
        "templates_ready_is_complete", "templates", "type = 'base' OR state <> 'ready' OR stored_bytes IS NOT NULL"
    )
    op.create_unique_constraint("templates_live", "templates", ["id", "live"])


def _create_template_hosts() -> None:
    op.create_table(
        "template_hosts",
        sa.Column("template_id", sa.UUID(), nullable=False),
        sa.Column("host_id", sa.UUID(), nullable=False),
        sa.Column("ready", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"]),
        sa.ForeignKeyConstraint(["template_id"], ["templates.id"]),
        sa.PrimaryKeyConstraint("template_id", "host_id"),
    )
    op.create_index("template_hosts_host", "template_hosts", ["host_id"])


def _extend_operations() -> None:
    op.add_column("operations", sa.Column("template_id", sa.UUID(), nullable=True))
    op.add_column("operations", sa.Column("progress_percent", sa.Integer(), nullable=True))
    op.alter_column("operations", "sandbox_id", nullable=True)
    op.create_foreign_key("operations_template_id_fkey", "operations", "templates", ["template_id"], ["id"])
    op.drop_constraint("operations_kind", "operations")
    op.create_check_constraint("operations_kind", "operations", KINDS)
    op.create_check_constraint("operations_sandbox", "operations", "sandbox_id IS NOT NULL OR kind = 'delete_template'")
    op.create_check_constraint(
        "operations_template",
        "operations",
        "(template_id IS NOT NULL) = (kind IN ('create_template', 'delete_template'))",
    )
    op.create_check_constraint("operations_progress", "operations", "progress_percent BETWEEN 0 AND 100")
    op.create_index(
        "operations_of_template", "operations", ["template_id"], postgresql_where=sa.text("template_id IS NOT NULL")
    )


def _extend_sandboxes() -> None:
    op.add_column("sandboxes", sa.Column("parent_id", sa.UUID(), nullable=True))
    op.add_column("sandboxes", sa.Column("fork_id", sa.UUID(), nullable=True))
    op.add_column("sandboxes", sa.Column("stored_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    stands = "CASE WHEN state IN ('failed', 'deleted') THEN NULL ELSE true END"
    op.add_column(
        "sandboxes",
        sa.Column("stands_on_template", sa.Boolean(), sa.Computed(stands, persisted=True), nullable=True),
    )
    op.create_foreign_key("sandboxes_parent_id_fkey", "sandboxes", "sandboxes", ["parent_id"], ["id"])
    op.create_foreign_key("sandboxes_fork_id_fkey", "sandboxes", "operations", ["fork_id"], ["id"])
    op.create_foreign_key(
        "sandboxes_template_live",
        "sandboxes",
        "templates",
        ["template_id", "stands_on_template"],
        ["id", "live"],
    )
    op.drop_index("sandboxes_template", "sandboxes")
    op.create_index("sandboxes_template", "sandboxes", ["template_id", "stands_on_template"])
    op.create_check_constraint("sandboxes_fork_has_parent", "sandboxes", "(parent_id IS NULL) = (fork_id IS NULL)")
    op.create_check_constraint("sandboxes_stored_bytes", "sandboxes", "stored_bytes >= 0")
    op.create_index("sandboxes_fork", "sandboxes", ["fork_id"], postgresql_where=sa.text("fork_id IS NOT NULL"))
