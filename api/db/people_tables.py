"""People, and the sessions, invitations and keys by which they and their programs get in. Ids and times are as in
`tables.py`, which imports this."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from api.domain.principal import Role, Scope

_A_ROLE = f"role IN ({', '.join(repr(role.value) for role in Role)})"
_SCOPES = ", ".join(repr(scope.value) for scope in Scope)


def _id() -> Any:
    return Field(sa_column=Column(postgresql.UUID(as_uuid=True), primary_key=True))


def _ref(target: str, *, nullable: bool = False, index: bool = False, ondelete: str | None = None) -> Any:
    foreign_key = ForeignKey(target, ondelete=ondelete)
    column = Column(postgresql.UUID(as_uuid=True), foreign_key, nullable=nullable, index=index)
    return Field(default=None if nullable else ..., sa_column=column)


def _text(*, nullable: bool = False, default: str | None = None) -> Any:
    empty = None if nullable else ...
    return Field(
        default=empty if default is None else default, sa_column=Column(Text, nullable=nullable, server_default=default)
    )


def _time(*, nullable: bool = False) -> Any:
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _no() -> Any:
    return Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))


def _hash() -> Any:
    return Field(sa_column=Column(LargeBinary, nullable=False))


class User(SQLModel, table=True):
    """A person. `password_hash` is what argon2 makes of the password; a person without one signs in by OIDC, whose
    subject is kept once they have."""

    __tablename__ = "users"
    __table_args__ = (
        Index("users_email", text("lower(email)"), unique=True),
        Index("users_oidc_subject", "oidc_subject", unique=True, postgresql_where=text("oidc_subject IS NOT NULL")),
    )

    id: UUID = _id()
    email: str = _text()
    name: str = _text(default="")
    password_hash: str | None = _text(nullable=True)
    oidc_subject: str | None = _text(nullable=True)
    is_platform_admin: bool = _no()
    created_at: datetime = _time()
    deactivated_at: datetime | None = _time(nullable=True)


class Membership(SQLModel, table=True):
    """A person in a team."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("team_id", "user_id", name="memberships_team_user"),
        CheckConstraint(_A_ROLE, name="memberships_role"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id", ondelete="CASCADE")
    user_id: UUID = _ref("users.id", index=True, ondelete="CASCADE")
    role: str = _text()
    created_at: datetime = _time()


class Session(SQLModel, table=True):
    """A person who is signed in with a browser, and the team that they act for; of the token only the SHA-256 is
    kept. `last_seen_at` is exact to a minute."""

    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_expires_at", "expires_at"),)

    id: UUID = _id()
    user_id: UUID = _ref("users.id", index=True, ondelete="CASCADE")
    team_id: UUID | None = _ref("teams.id", nullable=True, ondelete="SET NULL")
    secret_sha256: bytes = _hash()
    created_at: datetime = _time()
    last_seen_at: datetime = _time()
    expires_at: datetime = _time()
    revoked_at: datetime | None = _time(nullable=True)


class Invitation(SQLModel, table=True):
    """Makes whoever has its link, and an account of this address, a member once."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint(_A_ROLE, name="invitations_role"),
        Index("invitations_team", "team_id", "id"),
    )

    id: UUID = _id()
    team_id: UUID = _ref("teams.id", ondelete="CASCADE")
    email: str = _text()
    role: str = _text()
    secret_sha256: bytes = _hash()
    invited_by: UUID | None = _ref("users.id", nullable=True)
    created_at: datetime = _time()
    expires_at: datetime = _time()
    accepted_at: datetime | None = _time(nullable=True)
    revoked_at: datetime | None = _time(nullable=True)


class LoginAttempts(SQLModel, table=True):
    """When passwords were tried of late, for an account or from an address: those that failed or are under way, and
    apart from them those that succeeded."""

    __tablename__ = "login_attempts"
    __table_args__ = (Index("login_attempts_last_at", "last_at"),)

    subject: str = Field(sa_column=Column(Text, primary_key=True))
    tried_at: list[datetime] = Field(sa_column=Column(postgresql.ARRAY(DateTime(timezone=True)), nullable=False))
    last_at: datetime = _time()


class ApiKey(SQLModel, table=True):
    """A key `nb_<id>_<secret>`; of the secret only the SHA-256 is kept. A key that a person made is good only as long
    as they are in the team, and may do no more than they."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint(f"scopes <@ ARRAY[{_SCOPES}]", name="api_keys_scopes"),)

    id: UUID = _id()
    team_id: UUID = _ref("teams.id", index=True)
    name: str = _text()
    secret_sha256: bytes = _hash()
    scopes: list[str] = Field(
        sa_column=Column(
            postgresql.ARRAY(Text),
            nullable=False,
            server_default=text(f"'{{{','.join(scope.value for scope in Scope)}}}'"),
        )
    )
    created_by: UUID | None = _ref("users.id", nullable=True)
    is_platform_admin: bool = _no()
    created_at: datetime = _time()
    last_used_at: datetime | None = _time(nullable=True)
    expires_at: datetime | None = _time(nullable=True)
    revoked_at: datetime | None = _time(nullable=True)
