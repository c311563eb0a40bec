"""Indexes for what platform admins look through: the sandboxes and operations of all teams, the newest first.

Rows are never removed, so without them a page of what is there, of one team or of what failed would be looked for among
all that ever was. The code before this goes on to work: it has more indexes than it asks for.
"""

import sqlalchemy as sa

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("sandboxes_listed", "sandboxes", ["id"], postgresql_where=sa.text("state <> 'deleted'"))
    op.create_index("operations_failed", "operations", ["id"], postgresql_where=sa.text("state = 'failed'"))
    op.create_index("operations_team", "operations", ["team_id", "id"])


def downgrade() -> None:
    op.drop_index("operations_team", "operations")
    op.drop_index("operations_failed", "operations")
    op.drop_index("sandboxes_listed", "sandboxes")
