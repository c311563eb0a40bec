"""Accounts of people, through the API's own command line: only it knows how passwords are kept."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from nestbox.platform.keys import run_api_command
from nestbox.platform.layout import Layout

ADMIN_EMAIL = "admin@nestbox.local"
"""Of the account that the first start makes."""


@dataclass(frozen=True, slots=True)
class User:
    """What is known of a person; times are in UTC."""

    id: str
    email: str
    name: str
    is_platform_admin: bool
    created_at: datetime
    deactivated_at: datetime | None

    @property
    def state(self) -> str:
        """`deactivated`, or else what they are to the platform: `admin` or `user`."""
        if self.deactivated_at is not None:
            return "deactivated"
        return "admin" if self.is_platform_admin else "user"


async def create_user(layout: Layout, database_url: str, email: str, name: str, *, admin: bool) -> str:
    """Makes an account in the first team, as its owner if it is a platform admin's; returns its password, which is not
    stored anywhere.

    Raises: Problem
    """
    options = ["--name", name, *(["--admin"] if admin else [])]
    return (await run_api_command(layout, database_url, "create-user", *options, "--", email)).strip()


async def list_users(layout: Layout, database_url: str) -> list[User]:
    """All accounts, the oldest first. Raises: Problem"""
    return [
        User(
            id=row["id"],
            email=row["email"],
            name=row["name"],
            is_platform_admin=row["is_platform_admin"],
            created_at=datetime.fromisoformat(row["created_at"]).astimezone(UTC),
            deactivated_at=datetime.fromisoformat(row["deactivated_at"]).astimezone(UTC)
            if row["deactivated_at"]
            else None,
        )
        for row in json.loads(await run_api_command(layout, database_url, "list-users"))
    ]


async def reset_password(layout: Layout, database_url: str, email: str) -> str:
    """A new password for somebody, whose sessions end within seconds. Raises: Problem"""
    return (await run_api_command(layout, database_url, "reset-password", "--", email)).strip()
