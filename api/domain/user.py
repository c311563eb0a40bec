"""People, their addresses and their passwords."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.domain.text import check_text
from api.errors import Invalid

EMAIL_BYTES_MAX = 254
"""What mail servers take (RFC 5321, section 4.5.3.1.3)."""
USER_NAME_BYTES_MAX = 200
PASSWORD_CHARACTERS_MIN = 10
PASSWORD_BYTES_MAX = 1024
"""Hashing takes longer with the length; nobody types more."""


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account."""

    id: UUID
    email: str
    name: str
    is_platform_admin: bool
    created_at: datetime
    deactivated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deactivation:
    """What deactivating a person stops: their sessions, the keys that they made, and the sandboxes that run now and
    were started by them or by these keys."""

    session_count: int
    key_count: int
    sandbox_ids: tuple[UUID, ...]


def check_email(text: str, *, path: tuple[str, ...] = ("email",)) -> str:
    """The address as it is kept: NFKC, lower case. Addresses that look alike to a person are alike then, mostly.

    Raises:
        Invalid: it is no address.
    """
    check_text(text, "The email address", max_bytes=EMAIL_BYTES_MAX, min_bytes=3, one_line=True, path=path)
    email = unicodedata.normalize("NFKC", text.strip()).lower()
    local, at, domain = email.rpartition("@")
    odd = any(character.isspace() or unicodedata.category(character).startswith("C") for character in email)
    if not (local and at and domain) or "@" in local or odd:
        raise Invalid("This is not an email address.", path=path)
    return check_text(email, "The email address", max_bytes=EMAIL_BYTES_MAX, path=path)


def check_user_name(text: str, *, path: tuple[str, ...] = ("name",)) -> str:
    """The name of a person; may be empty. Raises: Invalid."""
    return check_text(text.strip(), "The name", max_bytes=USER_NAME_BYTES_MAX, one_line=True, path=path)


def check_new_password(text: str, *, path: tuple[str, ...] = ("password",)) -> str:
    """A password that may be chosen, as it is hashed.

    Raises:
        Invalid: it is too short or too long, or cannot be kept.
    """
    password = normal_password(text, path=path)
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise Invalid(f"The password is too short: at least {PASSWORD_CHARACTERS_MIN} characters.", path=path)
    return password


def normal_password(text: str, *, path: tuple[str, ...] = ("password",)) -> str:
    """A password as it is hashed: NFKC, so that every keyboard makes the same of it (NIST SP 800-63B, 3.1.1.2).

    Raises:
        Invalid: no account has such a password.
    """
    check_text(text, "The password", max_bytes=PASSWORD_BYTES_MAX, path=path)
    return unicodedata.normalize("NFKC", text)
