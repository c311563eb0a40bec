"""What the owner of an installation does at the command line, beside the API: keys and accounts."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from api.domain.principal import ALL_SCOPES, SYSTEM_ACTOR, Role, Scope
from api.errors import Invalid
from api.hosts.authority import authority_in
from api.ids import DEFAULT_TEAM_ID, PLATFORM_TEAM_ID, Kind, parse_id, wire_id
from api.services.audit import Deed
from api.services.services import Services
from api.settings import Settings


@asynccontextmanager
async def _services(settings: Settings) -> AsyncIterator[Services]:
    async with Services(settings.database_url.get_secret_value(), host_addresses=(), agent_token="") as services:
        yield services


@asynccontextmanager
async def _doing(settings: Settings, action: str, team_id: UUID | None = None) -> AsyncIterator[Services]:
    """Services for one change, which leaves a line in the audit log."""
    async with _services(settings) as services, services.audit.doing(Deed(action, SYSTEM_ACTOR, team_id)):
        yield services


async def create_key(settings: Settings, name: str, *, admin: bool, scopes: str = "") -> str:
    """A new API key of the default team; `scopes` are separated by commas, and all of them when it is empty."""
    wanted = _scopes(scopes) if scopes else ALL_SCOPES
    async with _doing(settings, "createApiKey", DEFAULT_TEAM_ID) as services:
        return await services.api_keys.make(name, team_id=DEFAULT_TEAM_ID, is_platform_admin=admin, scopes=wanted)


async def list_keys(settings: Settings) -> str:
    """Every API key as a JSON array of objects: ids, names, scopes and times, no secrets."""
    async with _services(settings) as services:
        found = await services.api_keys.list_all()
    return _as_json(
        {
            "id": wire_id(Kind.API_KEY, key.id),
            "name": key.name,
            "team": key.team_name,
            "scopes": [scope.value for scope in Scope if scope in key.scopes],
            "is_platform_admin": key.is_platform_admin,
            "created_at": key.created_at,
            "last_used_at": key.last_used_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
        for key in found
    )


async def revoke_key(settings: Settings, key: str) -> str:
    """Ends an API key, as `ApiKeys.end` takes it; the id of the key."""
    async with _doing(settings, "revokeApiKey") as services:
        return wire_id(Kind.API_KEY, await services.api_keys.end(key))


async def create_user(settings: Settings, email: str, name: str, *, admin: bool) -> str:
    """A new account in the default team, as its owner if it is a platform admin's; its password."""
    async with _doing(settings, "createUser", DEFAULT_TEAM_ID) as services:
        return await services.users.create(
            email,
            name,
            team_id=DEFAULT_TEAM_ID,
            role=Role.OWNER if admin else Role.MEMBER,
            is_platform_admin=admin,
        )


async def list_users(settings: Settings) -> str:
    """Every account as a JSON array of objects."""
    async with _services(settings) as services:
        found = await services.users.everybody()
    return _as_json(
        {
            "id": wire_id(Kind.USER, user.id),
            "email": user.email,
            "name": user.name,
            "is_platform_admin": user.is_platform_admin,
            "created_at": user.created_at,
            "deactivated_at": user.deactivated_at,
        }
        for user in found
    )


async def reset_password(settings: Settings, email: str) -> str:
    """A new password for somebody, whose sessions end within seconds."""
    async with _doing(settings, "resetPassword") as services:
        return await services.users.reset_password(email)


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(part.strip().lower().replace("-", "_")) for part in text.split(","))
    except ValueError:
        raise Invalid(f"Scopes are {', '.join(Scope)}, separated by commas.", path=("scopes",)) from None


def _as_json(objects: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(objects), ensure_ascii=False, indent=1, default=_time)


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


async def list_base_templates(settings: Settings) -> str:
    """The platform's base templates as a JSON array of objects, each with how many sandboxes stand on it."""
    async with _services(settings) as services:
        found = await services.base_templates.list()
    return _as_json(
        {
            "id": wire_id(Kind.TEMPLATE, template.id),
            "name": template.name,
            "description": template.description,
            "disk_size_mb": template.disk_size_mb,
            "created_at": template.created_at,
            "sandboxes": sandboxes,
        }
        for template, sandboxes in found
    )


async def add_base_template(settings: Settings, name: str, description: str, disk_size_mb: int) -> str:
    """Says whether it was `added` or `there` already."""
    async with _doing(settings, "addBaseTemplate", PLATFORM_TEAM_ID) as services:
        return "added" if await services.base_templates.add(name, description, disk_size_mb) else "there"


async def remove_base_template(settings: Settings, name: str) -> str:
    """Refused while a sandbox stands on it; its name otherwise."""
    async with _doing(settings, "removeBaseTemplate", PLATFORM_TEAM_ID) as services:
        await services.base_templates.remove(name)
    return name


async def show_database_role(settings: Settings) -> str:
    """The role that serves, and why it could change the audit log (empty when it could not), as a JSON object."""
    async with _services(settings) as services:
        found = await services.audit.keeping()
    return json.dumps({"role": found.role, "weakness": found.weakness}, ensure_ascii=False)


async def create_host_token(settings: Settings, again: str = "") -> str:
    """A token with which one new host can join within the next hour, or the host with the id `again` once more.

    Raises: Conflict, Invalid, NotFound.
    """
    host_id = parse_id(Kind.HOST, again) if again else None
    authority = authority_in(settings.authority_dir)
    url = settings.database_url.get_secret_value()
    async with (
        Services(url, host_addresses=(), agent_token="", authority=authority) as services,
        services.audit.doing(Deed("createHostToken", SYSTEM_ACTOR)),
    ):
        return (await services.registrations.new_token(SYSTEM_ACTOR, host_id)).token
