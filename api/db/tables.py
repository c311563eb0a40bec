"""The whole schema on a page. Alembic's migrations make exactly this, and a test compares the two.

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
    DateTime,
    ForeignKey,
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

from api.db.types import Xid8
from api.domain.operation import OperationKind, OperationState
from api.domain.principal import Role
from api.domain.sandbox import Cause, Goal, State
from api.domain.template import TemplateType


def _one_of(column: str, values: type[Any]) -> str:
    return f"{column} IN ({', '.join(repr(str(value.value)) for value in values)})"


def _id() -> Any:
    return Field(sa_column=Column(postgresql.UUID(as_uuid=True), primary_key=True))


def _ref(target: str, *, nullable: bool = False, index: bool = False, ondelete: str | None = None) -> Any:
    column = Column(
        postgresql.UUID(as_uuid=True), ForeignKey(target, ondelete=ondelete), nullable=nullable, index=index
    )
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


class User(SQLModel, table=True):
    """A person."""

    __tablename__ = "users"
    __table_args__ = (Index("users_email", text("lower(email)"), unique=True),)

    id: UUID = _id()
    email: str = _text()
    name: str = _text(default="")
    is_platform_admin: bool = _flag(default=False)
    created_at: datetime = _time()
    deactivated_at: datetime | None = _time(nullable=True)


class Membership(SQLModel, table=True):
    """A person in a team."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("team_id", "user_id", name="memberships_team_user"),
        CheckConstraint(_one_of("role", Role), name="memberships_role"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id", ondelete="CASCADE")
    user_id: UUID = _ref("users.id", index=True, ondelete="CASCADE")
    role: str = _text()
    created_at: datetime = _time()


class ApiKey(SQLModel, table=True):
    """A key `nb_<id>_<secret>`; of the secret only the SHA-256 is kept."""

    __tablename__ = "api_keys"

    id: UUID = _id()
    team_id: UUID = _ref("teams.id", index=True)
    name: str = _text()
    secret_sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    is_platform_admin: bool = _flag(default=False)
    created_at: datetime = _time()
    last_used_at: datetime | None = _time(nullable=True)
    expires_at: datetime | None = _time(nullable=True)
    revoked_at: datetime | None = _time(nullable=True)


class Template(SQLModel, table=True):
    """What sandboxes start from. Which images of it exist is known by the hosts that hold them."""

    __tablename__ = "templates"
    __table_args__ = (
        Index("templates_team_name", "team_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
        CheckConstraint(_one_of("type", TemplateType), name="templates_type"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id")
    name: str = _text()
    description: str = _text(default="")
    type: str = _text()
    disk_size_mb: int
    vcpus: int | None = Field(default=None)
    memory_mb: int | None = Field(default=None)
    created_at: datetime = _time()
    deleted_at: datetime | None = _time(nullable=True)


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
        Index("sandboxes_host", "host_id", postgresql_where=text("state <> 'deleted'")),
        Index("sandboxes_unplaced", "id", postgresql_where=text("host_id IS NULL AND state <> 'deleted'")),
        Index("sandboxes_template", "template_id", postgresql_where=text("state <> 'deleted'")),
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
        CheckConstraint(_one_of("kind", OperationKind), name="operations_kind"),
        CheckConstraint(_one_of("state", OperationState), name="operations_state"),
        CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="operations_finished_at"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id")
    sandbox_id: UUID = _ref("sandboxes.id")
    kind: str = _text()
    state: str = _text()
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


class AuditLog(SQLModel, table=True):
    """Who did what to what. Append-only; `actor` and `resource` are wire ids of several kinds."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_log_team", "team_id", "id"),)

    id: UUID = _id()
    at: datetime = _time()
    team_id: UUID = _ref("teams.id")
    actor: str = _text()
    action: str = _text()
    resource: str = _text()
    result: str = _text()
    request_id: str = _text(default="")
    address: str = _text(default="")
    detail: dict[str, Any] = _json()
