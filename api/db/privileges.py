"""What the role that serves may do in the database, and whether it could change the audit log.

The owner of the tables migrates, and gives another role what serving takes: rows of every table, but only new ones in
the audit log. Where one role does both, triggers alone keep the log, and the owner of a table can switch those off.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

import api.db.tables  # noqa: F401 - fills the metadata
from api.db.database import Database
from api.domain.audit import Keeping
from api.errors import Invalid

AUDIT_LOG = "audit_log"

_KEEPING = """SELECT current_user AS role, CASE
        WHEN r.rolsuper THEN 'is a superuser'
        WHEN c.oid IS NULL THEN ''
        WHEN pg_has_role(c.relowner, 'MEMBER') THEN 'owns the tables'
        WHEN has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER') THEN 'may change the audit log'
        WHEN has_schema_privilege(c.relnamespace, 'CREATE') THEN 'may make things in the schema of the tables'
        ELSE '' END AS weakness
    FROM pg_roles r LEFT JOIN pg_class c ON c.oid = to_regclass($1) WHERE r.rolname = current_user"""


async def require_apart(connection: AsyncConnection, role: str) -> None:
    """Returns if a role, quoted as SQL has it, does not own the tables, or migrates itself. Another one that migrated
    for it would take its own rights from it.

    Raises: Invalid.
    """
    owns = """SELECT quote_ident(current_user) <> :role
        AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(:table) AND relowner = to_regrole(:role))"""
    if await connection.scalar(text(owns), {"role": role, "table": AUDIT_LOG}):
        raise Invalid(
            f"The role {role} of DATABASE_URL owns the tables: DATABASE_OWNER_URL must be that role's, and "
            "DATABASE_URL another's."
        )


async def give(connection: AsyncConnection, role: str) -> None:
    """Gives a role what serving takes, and takes from it what the owner gave it beyond that. To be called after every
    migration, in a transaction that the caller commits; so no table can be forgotten. `role` is quoted as SQL has it.

    Whoever owns the tables itself is left alone: it has all rights, and needs them to remove old lines.
    """
    if await connection.scalar(text("SELECT quote_ident(current_user)")) == role:
        return
    # No sequences: an identity column needs no right to its own.
    changed = ", ".join(sorted(set(SQLModel.metadata.tables) - {AUDIT_LOG}))
    schema = await connection.scalar(text("SELECT quote_ident(current_schema())"))
    for statement in (
        f"REVOKE ALL ON {changed}, {AUDIT_LOG}, alembic_version FROM {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {changed} TO {role}",
        f"GRANT SELECT, INSERT ON {AUDIT_LOG} TO {role}",
        # to see that there is nothing to migrate
        f"GRANT SELECT ON alembic_version TO {role}",
        f"GRANT EXECUTE ON FUNCTION audit_log_prune(timestamptz, integer) TO {role}",
    ):
        await connection.execute(text(statement))


async def keeping(database: Database) -> Keeping:
    """What keeps the audit log from the role that this database is used with. Before the first migration there is no
    log, and only a superuser is one who could change it."""
    row = await database.row(_KEEPING, AUDIT_LOG)
    assert row is not None  # noqa: S101 - whoever asks is a role
    return Keeping(row["role"], row["weakness"])
