"""People with passwords, their sessions and invitations, and what API keys may do.

The code before this goes on to work: it makes keys without scopes, which then have all of them.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("password_hash", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("oidc_subject", sa.Text(), nullable=True))
    op.create_index(
        "users_oidc_subject",
        "users",
        ["oidc_subject"],
        unique=True,
        postgresql_where=sa.text("oidc_subject IS NOT NULL"),
    )
    _extend_api_keys()
    _create_sessions()
    _create_invitations()
    op.create_table(
        "login_attempts",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tried_at", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_index("login_attempts_last_at", "login_attempts", ["last_at"])


def downgrade() -> None:
    for table in ("login_attempts", "invitations", "sessions"):
        op.drop_table(table)
    op.drop_column("api_keys", "created_by")
    op.drop_column("api_keys", "scopes")
    op.drop_column("users", "oidc_subject")
    op.drop_column("users", "password_hash")


def _extend_api_keys() -> None:
    # keys that exist keep what they may do
    op.add_column(
        "api_keys",
        sa.Column(
            "scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{read,write,team_admin}'"), nullable=False
        ),
    )
    op.create_check_constraint("api_keys_scopes", "api_keys", "scopes <@ ARRAY['read', 'write', 'team_admin']")
    op.add_column("api_keys", sa.Column("created_by", sa.UUID(), nullable=True))
    op.create_foreign_key("api_keys_created_by_fkey", "api_keys", "users", ["created_by"], ["id"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=True),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("team_id", sa.UUID(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("invited_by", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name="invitations_role"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["invited_by"], ["users.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("invitations_team", "invitations", ["team_id", "id"])
