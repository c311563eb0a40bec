"""Tokens that prove who somebody is: an id to look up, and a secret of which only the SHA-256 is kept."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Self
from uuid import UUID

SECRET_BYTES = 32

# base32 without capitals and padding: a double click selects all of it, and an underscore can only be a separator
_TOKEN = re.compile(r"([a-z2-7]{26})_([a-z2-7]{52})")
_ID = re.compile(r"[a-z2-7]{26}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as text: `<id>_<secret>` in base32. The secret has 256 random bits, so a plain hash of it is enough."""

    id: UUID
    secret: str

    @classmethod
    def make(cls, token_id: UUID) -> Self:
        """A new token of a thing with this id."""
        return cls(token_id, _encode(secrets.token_bytes(SECRET_BYTES)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The token in a text; None when it is none."""
        match = _TOKEN.fullmatch(text)
        found = decode_id(match[1]) if match else None
        return None if match is None or found is None else cls(found, match[2])

    def __str__(self) -> str:
        return f"{_encode(self.id.bytes)}_{self.secret}"

    def __repr__(self) -> str:
        # logs and tracebacks show this
        return f"Token({self.id})"

    @property
    def sha256(self) -> bytes:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret.encode()).digest()

    def fits(self, secret_sha256: bytes | None) -> bool:
        """Whether this is the secret of a thing; None when there is no such thing, which takes the same time."""
        good = hmac.compare_digest(self.sha256, secret_sha256 or bytes(32))
        return good and secret_sha256 is not None


def decode_id(text: str) -> UUID | None:
    """The id in the first part of a token; None when it is none."""
    if _ID.fullmatch(text) is None:
        return None
    # 26 digits hold two bits more than an id: those of texts that we never made are dropped
    return UUID(bytes=base64.b32decode(text.upper() + "=" * 6))


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
