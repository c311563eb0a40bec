"""The whole schema on a page, but for people and how they get in (`people_tables.py`), the audit log and quotas
(`oversight_tables.py`). Alembic's migrations make exactly this, and a test compares the two.

Ids are UUIDs of version 7, made by the control plane. TEXT ids exist only where a column points at things of
several kinds (`audit_log.actor`, `audit_log.resource`). Times are `timestamptz`. MB means MiB.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

import api.db.oversight_tables
import api.db.people_tables  # noqa: F401 - the tables that are not on this page
from api.db.types import Xid8
from api.domain.operation import OperationKind, OperationState
from api.domain.sandbox import Cause, Goal, State
from api.domain.template import TemplateState, TemplateType


def _one_of(column: str, values: type[Any]) -> str:
    return f"{column} IN ({', '.join(repr(str(value.value)) for value in values)})"


def _id() -> Any:
    return Field(sa_column=Column(postgresql.UUID(as_uuid=True), primary_key=True))


def _ref(
    target: str, *, nullable: bool = False, index: bool = False, ondelete: str | None = None, back: str | None = None
) -> Any:
    # `back` names the constraint of one that points back to a table that points here: it is added when both are there
    foreign_key = ForeignKey(target, ondelete=ondelete, name=back, use_alter=back is not None)
    column = Column(postgresql.UUID(as_uuid=True), foreign_key, nullable=nullable, index=index)
    return Field(default=None if nullable else ..., sa_column=column)


def _text(*, nullable: bool = False, default: str | None = None) -> Any:
    return Field(
        default=default if default is not None else (None if nullable else ...),
        sa_column=Column(Text, nullable=nullable, server_default=default),
    )


def _time(*, nullable: bool = False) -> Any:
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _bigint(default: int | None = 0) -> Any:
    server_default = None if default is None else text(str(default))
    column = Column(BigInteger, nullable=False, server_default=server_default)
    return Field(default=... if default is None else default, sa_column=column)


def _flag(*, default: bool) -> Any:
    return Field(default=default, sa_column=Column(Boolean, nullable=False, server_default=text(str(default).lower())))


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))


class Team(SQLModel, table=True):
    """Who owns sandboxes and templates. The all-zero id is the platform itself."""

    __tablename__ = "teams"

    id: UUID = _id()
    name: str = _text()
    created_at: datetime = _time()


class Template(SQLModel, table=True):
    """What sandboxes start from. A name is taken from the moment that the template begins to be made until it is
    deleted. `live` serves as the target of a foreign key: see `sandboxes_template_live`."""

    __tablename__ = "templates"
    __table_args__ = (
        Index("templates_team_name", "team_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
        CheckConstraint(_one_of("type", TemplateType), name="templates_type"),
        CheckConstraint(_one_of("state", TemplateState), name="templates_state"),
        CheckConstraint("(state IN ('deleting', 'deleted')) = (deleted_at IS NOT NULL)", name="templates_deleted_at"),
        CheckConstraint(
            "type = 'base' OR (vcpus IS NOT NULL AND memory_mb IS NOT NULL AND source_sandbox_id IS NOT NULL)",
            name="templates_shape",
        ),
        CheckConstraint(
            "type = 'base' OR state <> 'ready' OR stored_bytes IS NOT NULL", name="templates_ready_is_complete"
        ),
        UniqueConstraint("id", "live", name="templates_live"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id")
    name: str = _text()
    description: str = _text(default="")
    type: str = _text()
    state: str = _text(default="ready")
    disk_size_mb: int
    vcpus: int | None = Field(default=None)
    memory_mb: int | None = Field(default=None)
    stored_bytes: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    source_sandbox_id: UUID | None = _ref("sandboxes.id", nullable=True, back="templates_source_sandbox_id_fkey")
    created_by: str = _text(default="system")
    created_at: datetime = _time()
    deleted_at: datetime | None = _time(nullable=True)
    live: bool | None = Field(
        default=None, sa_column=Column(Boolean, Computed("deleted_at IS NULL", persisted=True), nullable=True)
    )


class TemplateHost(SQLModel, table=True):
    """Which host holds a template, or is making it: from the acceptance of the command until that host no longer has
    it. `sequence`, `stored_bytes` and `ready` come from its reports."""

    __tablename__ = "template_hosts"
    __table_args__ = (Index("template_hosts_host", "host_id"),)

    template_id: UUID = Field(
        sa_column=Column(postgresql.UUID(as_uuid=True), ForeignKey("templates.id"), primary_key=True)
    )
    host_id: UUID = Field(sa_column=Column(postgresql.UUID(as_uuid=True), ForeignKey("hosts.id"), primary_key=True))
    ready: bool = _flag(default=False)
    sequence: int = _bigint()
    stored_bytes: int = _bigint()
    updated_at: datetime = _time()


class Host(SQLModel, table=True):
    """A computer that runs an agent. `address` is where it last answered and `reachable` whether it does; the rest is
    what the agent last said of itself. Its id is new when its data directory is, so addresses are not unique."""

    __tablename__ = "hosts"

    id: UUID = _id()
    name: str = _text()
    address: str = _text()
    reachable: bool = _flag(default=False)
    agent_incarnation: str = _text(default="")
    agent_version: str = _text(default="")
    driver: str = _text(default="")
    isolation: str = _text(default="")
    accelerator: str = _text(default="")
    qemu_version: str = _text(default="")
    cpu_count: int = Field(default=0)
    memory_total_mb: int = _bigint()
    memory_free_mb: int = _bigint()
    disk_total_mb: int = _bigint()
    disk_free_mb: int = _bigint()
    shortcomings: list[str] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'"))
    )
    created_at: datetime = _time()
    last_seen_at: datetime | None = _time(nullable=True)
    pools: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'"))
    )
    registered_at: datetime | None = _time(nullable=True)
    certificate_expires_at: datetime | None = _time(nullable=True)
    removed_at: datetime | None = _time(nullable=True)


class HostToken(SQLModel, table=True):
    """A token with which one host can join, once: a new one, or again the one that it was made for. Of the secret only
    the SHA-256 is kept."""

    __tablename__ = "host_tokens"

    id: UUID = _id()
    secret_sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    host_id: UUID | None = _ref("hosts.id", nullable=True)
    created_by: str = _text()
    created_at: datetime = _time()
    expires_at: datetime = _time()
    used_at: datetime | None = _time(nullable=True)


class Sandbox(SQLModel, table=True):
    """What a user has. `goal`, `generation`, name, labels, timeout and auto-resume are written by the control plane
    only; `sequence`, `observed_generation`, `incarnation`, `auto_pause_at` and `cause` come from reports of the host;
    `state` follows `MOVES`; `version` grows with every change that a user can see."""

    __tablename__ = "sandboxes"
    __table_args__ = (
        CheckConstraint(_one_of("state", State), name="sandboxes_state"),
        CheckConstraint(_one_of("goal", Goal), name="sandboxes_goal"),
        CheckConstraint(_one_of("cause", Cause), name="sandboxes_cause"),
        CheckConstraint("vcpus > 0 AND memory_mb > 0 AND disk_size_mb > 0", name="sandboxes_shape"),
        CheckConstraint("timeout_sec >= 0", name="sandboxes_timeout"),
        CheckConstraint("(state = 'deleted') = (deleted_at IS NOT NULL)", name="sandboxes_deleted_at"),
        Index("sandboxes_team", "team_id", "id", postgresql_where=text("state <> 'deleted'")),
        # what platform admins look through, past all that was ever deleted
        Index("sandboxes_listed", "id", postgresql_where=text("state <> 'deleted'")),
        Index("sandboxes_host", "host_id", postgresql_where=text("state <> 'deleted'")),
        Index("sandboxes_unplaced", "id", postgresql_where=text("host_id IS NULL AND state <> 'deleted'")),
        # of all rows: PostgreSQL's own check of the foreign key below asks for both columns and nothing else
        Index("sandboxes_template", "template_id", "stands_on_template"),
        Index("sandboxes_fork", "fork_id", postgresql_where=text("fork_id IS NOT NULL")),
        CheckConstraint("(parent_id IS NULL) = (fork_id IS NULL)", name="sandboxes_fork_has_parent"),
        CheckConstraint("stored_bytes >= 0", name="sandboxes_stored_bytes"),
        # what still stands on a template keeps it from being deleted, however the two commands meet; nothing else can
        # say so without a lock that all creations share
        ForeignKeyConstraint(
            ["template_id", "stands_on_template"], ["templates.id", "templates.live"], name="sandboxes_template_live"
        ),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id")
    template_id: UUID = _ref("templates.id")
    host_id: UUID | None = _ref("hosts.id", nullable=True)
    name: str = _text(default="")
    labels: dict[str, str] = _json()
    environment: dict[str, str] = _json()
    vcpus: int
    memory_mb: int
    disk_size_mb: int
    timeout_sec: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    auto_resume: bool = _flag(default=False)
    goal: str = _text()
    generation: int = _bigint(1)
    state: str = _text()
    cause: str = _text()
    detail: str = _text(default="")
    sequence: int = _bigint()
    observed_generation: int = _bigint()
    version: int = _bigint(1)
    incarnation: UUID | None = Field(default=None, sa_column=Column(postgresql.UUID(as_uuid=True), nullable=True))
    parent_id: UUID | None = _ref("sandboxes.id", nullable=True)
    fork_id: UUID | None = _ref("operations.id", nullable=True, back="sandboxes_fork_id_fkey")
    stored_bytes: int = _bigint()
    stands_on_template: bool | None = Field(
        default=None,
        sa_column=Column(
            Boolean,
            Computed("CASE WHEN state IN ('failed', 'deleted') THEN NULL ELSE true END", persisted=True),
            nullable=True,
        ),
    )
    state_deadline_at: datetime | None = _time(nullable=True)
    last_active_at: datetime | None = _time(nullable=True)
    auto_pause_at: datetime | None = _time(nullable=True)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    deleted_at: datetime | None = _time(nullable=True)


class Operation(SQLModel, table=True):
    """One accepted command."""

    __tablename__ = "operations"
    __table_args__ = (
        Index(
            "operations_idempotency_key",
            "team_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("operations_sandbox", "sandbox_id", "generation"),
        Index("operations_unfinished", "id", postgresql_where=text("state = 'running'")),
        Index("operations_failed", "id", postgresql_where=text("state = 'failed'")),
        Index("operations_team", "team_id", "id"),
        CheckConstraint(_one_of("kind", OperationKind), name="operations_kind"),
        CheckConstraint(_one_of("state", OperationState), name="operations_state"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="operations_finished_at"),
        CheckConstraint("sandbox_id IS NOT NULL OR kind = 'delete_template'", name="operations_sandbox"),
        CheckConstraint(
            "(template_id IS NOT NULL) = (kind IN ('create_template', 'delete_template'))", name="operations_template"
        ),
        CheckConstraint("progress_percent BETWEEN 0 AND 100", name="operations_progress"),
        Index("operations_of_template", "template_id", postgresql_where=text("template_id IS NOT NULL")),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id")
    sandbox_id: UUID | None = _ref("sandboxes.id", nullable=True)
    template_id: UUID | None = _ref("templates.id", nullable=True)
    kind: str = _text()
    state: str = _text()
    progress_percent: int | None = Field(default=None)
    actor: str = _text()
    generation: int = _bigint(None)
    idempotency_key: str | None = _text(nullable=True)
    input_sha256: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    stages: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'"))
    )
    error_code: str | None = _text(nullable=True)
    error_message: str | None = _text(nullable=True)
    error_retryable: bool = _flag(default=False)
    created_at: datetime = _time()
    finished_at: datetime | None = _time(nullable=True)


class Event(SQLModel, table=True):
    """One line of the append-only log, written in the transaction of the change.

    `(xid, id)` is the cursor. Readers stay below `pg_snapshot_xmin(pg_current_snapshot())`: ids are taken before
    commit, so a higher one can be seen before a lower one; below that horizon nothing can still appear.
    """

    __tablename__ = "events"
    __table_args__ = (Index("events_cursor", "xid", "id"), Index("events_sandbox", "sandbox_id", "id"))

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    xid: int = Field(sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()")))
    at: datetime = _time()
    kind: str = _text()
    team_id: UUID = _ref("teams.id")
    sandbox_id: UUID | None = _ref("sandboxes.id", nullable=True)
    operation_id: UUID | None = _ref("operations.id", nullable=True)
    actor: str = _text()
    cause: str | None = _text(nullable=True)
    before: dict[str, Any] = _json()
    after: dict[str, Any] = _json()


class EventsPruned(SQLModel, table=True):
    """How far the event log was pruned: a single row, the cursor of the last line that is gone."""

    __tablename__ = "events_pruned"
    __table_args__ = (CheckConstraint("one", name="events_pruned_one"),)

    one: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    xid: int = Field(sa_column=Column(Xid8, nullable=False, server_default=text("'0'")))
    id: int = _bigint()


class Cluster(SQLModel, table=True):
    """Which control plane this is: a single row, made by the migration.

    Hosts keep `id` with each machine that was made for this database; one of it that has no row here is destroyed. So a
    database that was copied, or went back to an older copy, has to be given another one first:
    `UPDATE cluster SET id = gen_random_uuid()`.
    """

    __tablename__ = "cluster"
    __table_args__ = (CheckConstraint("one", name="cluster_one"),)

    one: bool = Field(sa_column=Column(Boolean, primary_key=True, server_default=text("true")))
    id: UUID = Field(
        sa_column=Column(postgresql.UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()"))
    )
