"""How often each team may ask.

The code before this goes on to work: it looks at no quota.
"""

import sqlalchemy as sa

from alembic import op

revision = "0050"
down_revision = "0041"
branch_labels = None
depends_on = None

_BEFORE = "least(sandboxes, vcpus, memory_mb, disk_mb, templates, operations) >= 0"
_AFTER = "least(sandboxes, vcpus, memory_mb, disk_mb, templates, operations, requests_per_minute) >= 0"


def upgrade() -> None:
    op.add_column("team_quotas", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.drop_constraint("team_quotas_not_negative", "team_quotas")
    op.create_check_constraint("team_quotas_not_negative", "team_quotas", _AFTER)


def downgrade() -> None:
    op.drop_constraint("team_quotas_not_negative", "team_quotas")
    op.create_check_constraint("team_quotas_not_negative", "team_quotas", _BEFORE)
    op.drop_column("team_quotas", "requests_per_minute")
