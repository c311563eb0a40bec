"""Runs migrations on the connection that the caller opened (`api/db/migrate.py`)."""

from sqlmodel import SQLModel

import api.db.tables  # noqa: F401 - fills the metadata
from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
