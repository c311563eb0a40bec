"""Ids: UUIDs (version 7) inside, `<prefix>-<uuid>` on the wire.

They are converted at the edges only: in `api/schema` and the HTTP endpoints, and in `api/hosts`.
"""

import os
import re
import time
from enum import StrEnum
from uuid import UUID

from api.errors import Invalid

PLATFORM_TEAM_ID = UUID(int=0)
"""The team that owns what everybody may use. No person is a member of it."""

DEFAULT_TEAM_ID = UUID("00000000-0000-7000-8000-000000000001")
"""The team that a new installation starts with."""

BASE_TEMPLATE_ID = UUID("00000000-0000-7000-8000-000000000002")
"""The platform's template `base`, the same in every installation."""

_WIRE_ID = re.compile(r"([a-z]{2,5})-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


class Kind(StrEnum):
    """What an id is of; the value is its prefix on the wire."""

    SANDBOX = "sb"
    TEMPLATE = "tpl"
    TEAM = "team"
    USER = "usr"
    API_KEY = "key"
    INVITATION = "inv"
    HOST = "host"
    OPERATION = "op"
    PROCESS = "proc"
    EVENT = "evt"


_KIND_NAMES = {kind: kind.name.lower().replace("_", " ") for kind in Kind}


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits.

    Ids made later sort later, to the millisecond, so that indexes grow at one end.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def wire_id(kind: Kind, value: UUID) -> str:
    """The id as clients and hosts see it: `sb-0190…`."""
    return f"{kind.value}-{value}"


def is_wire_id(text: str) -> bool:
    """Whether this is an id of something, whatever that is."""
    return _WIRE_ID.fullmatch(text) is not None


def parse_id(kind: Kind, text: str, *, path: tuple[str, ...] = ()) -> UUID:
    """The UUID in a wire id of this kind.

    Raises:
        Invalid: `MALFORMED_ID` if it is no id at all, `WRONG_KIND_OF_ID` if it is one of something else. `path`
            names the input that it came from.
    """
    match = _WIRE_ID.fullmatch(text)
    if match is None:
        raise Invalid(
            f"This is not the id of a {_KIND_NAMES[kind]}; such ids look like {kind.value}-01234567-89ab-7cde-8f01-"
            "23456789abcd.",
            code="MALFORMED_ID",
            path=path,
        )
    if match[1] != kind.value:
        raise Invalid(
            f"This is an id of another kind ({match[1]}-…); the id of a {_KIND_NAMES[kind]} starts with {kind.value}-.",
            code="WRONG_KIND_OF_ID",
            path=path,
        )
    return UUID(match[2])
