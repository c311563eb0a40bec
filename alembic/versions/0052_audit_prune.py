"""Old lines of the audit log go by a function, so that whoever serves need not be able to remove any.

The code before this goes on to work: it removes lines itself, as the owner of the table may.
"""

from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

# By the clock of the database too, as the trigger that it meets: whoever could choose the time could remove what just
# happened. The body is bound to the table here and now, so that no search path of a caller can make it another one.
_PRUNE = """
CREATE FUNCTION audit_log_prune(before timestamptz, lines integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH removed AS (
        DELETE FROM audit_log WHERE id IN (
            SELECT id FROM audit_log WHERE at < least(before, now() - interval '30 days') ORDER BY at LIMIT lines
        ) RETURNING id
    )
    SELECT count(*) FROM removed;
END
"""


def upgrade() -> None:
    op.execute(_PRUNE)
    op.execute("REVOKE ALL ON FUNCTION audit_log_prune(timestamptz, integer) FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION audit_log_prune(timestamptz, integer)")
