"""Who did what, and how much teams may have. Ids and times are as in `tables.py`, which imports this."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Text
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel


def _text(*, default: str | None = None) -> Any:
    return Field(
        default=... if default is None else default, sa_column=Column(Text, nullable=False, server_default=default)
    )


def _time() -> Any:
    return Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class AuditLog(SQLModel, table=True):
    """Who did what to what. `actor` and `resource` are wire ids of several kinds; `team_id` refers to nothing, since a
    line outlives what it is about. The role that serves may only read and add (`privileges.py`), and removes what is
    older than 30 days by `audit_log_prune`. To the owner of the table a trigger refuses every UPDATE and TRUNCATE, and
    the DELETE of what is younger; it could remove the trigger, so it is trusted."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_log_team", "team_id", "id"), Index("audit_log_at", "at"))

    id: UUID = Field(sa_column=Column(postgresql.UUID(as_uuid=True), primary_key=True))
    at: datetime = _time()
    team_id: UUID | None = Field(default=None, sa_column=Column(postgresql.UUID(as_uuid=True), nullable=True))
    actor: str = _text()
    action: str = _text()
    resource: str = _text()
    result: str = _text()
    request_id: str = _text(default="")
    address: str = _text(default="")


class TeamQuota(SQLModel, table=True):
    """What a team may have at most; NULL is what the settings say for all teams. What it has is never stored: it is
    counted from the rows that are there (`quotas.py`)."""

    __tablename__ = "team_quotas"
    __table_args__ = (
        CheckConstraint(
            "least(sandboxes, vcpus, memory_mb, disk_mb, templates, operations, requests_per_minute) >= 0",
            name="team_quotas_not_negative",
        ),
    )

    team_id: UUID = Field(
        sa_column=Column(postgresql.UUID(as_uuid=True), ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    )
    sandboxes: int | None = Field(default=None)
    vcpus: int | None = Field(default=None)
    memory_mb: int | None = Field(default=None)
    disk_mb: int | None = Field(default=None)
    templates: int | None = Field(default=None)
    operations: int | None = Field(default=None)
    requests_per_minute: int | None = Field(default=None)
    updated_at: datetime = _time()
