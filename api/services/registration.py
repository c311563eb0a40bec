"""How hosts join: with a token that an admin makes, once, for a certificate that is renewed from then on."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from api.db import host_tokens, hosts
from api.db.database import Transaction
from api.db.host_tokens import Token
from api.domain.host import HostFacts, Registration, check_address
from api.domain.principal import Principal, require_platform_admin
from api.domain.text import check_text
from api.errors import Conflict, Forbidden, NotFound, Unauthenticated
from api.hosts.authority import RENEWED_BEFORE, Authority
from api.hosts.client import HostClient
from api.ids import Kind, new_id, wire_id
from api.services.audit import note
from api.services.resources import Resources
from api.services.rights import lock_platform_admins

TOKEN_LIFETIME = timedelta(hours=1)
SECRET_BYTES = 32
NAME_BYTES_MAX = 255
_TOKEN = re.compile(r"nbh_([a-z2-7]{26})_([a-z2-7]{52})_([a-z2-7]{52})")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token, the only time that it can be seen, and until when it can be used."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """What a host is given that has joined: its certificate and whom to trust, both PEM."""

    certificate: bytes
    authority: bytes


class Registrations:
    """Without an authority no host can join: all that is here refuses."""

    def __init__(self, resources: Resources, authority: Authority | None) -> None:
        self._resources = resources
        self._authority = authority

    async def create_token(self, principal: Principal, again: UUID | None = None) -> NewToken:
        """A token with which one new host can join, or the host `again` once more.

        Raises: Forbidden for all but platform admins; Conflict: `NO_AUTHORITY`; NotFound: no such host.
        """
        require_platform_admin(principal)
        return await self.new_token(principal.actor, again, principal)

    async def new_token(self, actor: str, again: UUID | None = None, principal: Principal | None = None) -> NewToken:
        """The same; without a principal, for whoever sits at the control plane's own computer. Raises: as
        `create_token`."""
        authority = self._require_authority()
        now = self._resources.clock.now()
        token_id, secret = new_id(), _encode(secrets.token_bytes(SECRET_BYTES))
        expires_at = now + TOKEN_LIFETIME
        digest = hashlib.sha256(secret.encode()).digest()
        async with self._resources.database.transaction() as transaction:
            if principal is not None:
                await lock_platform_admins(transaction, principal, now)
            if again is not None and not await hosts.is_known(transaction, again):
                raise NotFound("There is no such host.", path=("hostId",))
            await host_tokens.insert(transaction, token_id, digest, again, actor, now, expires_at)
            await note(transaction, now, "" if again is None else wire_id(Kind.HOST, again))
        return NewToken(f"nbh_{_encode(token_id.bytes)}_{secret}_{authority.fingerprint}", expires_at)

    async def register(self, token: str, registration: Registration) -> Joined:
        """Lets a host join, and uses the token up. The host chooses its id, so one that is known already is another's
        until an admin says otherwise: it joins with a token that was made for it.

        Raises:
            Invalid: the request, the address or the name. Unauthenticated: the token is unknown, used or expired.
            Forbidden: it is of another control plane, or was made for another host. Conflict: `NO_AUTHORITY`, or
            `HOST_KNOWN`: the host is known, and the token was not made for it. Nothing has changed then, and the
            token can still be used.
        """
        authority = self._require_authority()
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise Unauthenticated("This is no token for a host; such tokens look like nbh_…_…_….")
        if match[3] != authority.fingerprint:
            raise Forbidden("This token is of another control plane.")
        check_text(registration.name, "The name", max_bytes=NAME_BYTES_MAX, min_bytes=1, one_line=True, path=("name",))
        check_address(registration.address)
        now = self._resources.clock.now()
        certificate, expires_at = authority.certify_host(registration.request, registration.host_id, now)
        known = (_decode(match[1]), hashlib.sha256(match[2].encode()).digest())
        async with self._resources.database.transaction() as transaction:
            used = await host_tokens.use_up(transaction, *known, now)
            if used is None:
                raise Unauthenticated("This token is unknown, was used already, or has expired: ask for another.")
            await _write(transaction, used, registration, now, expires_at)
        _log.info("host joined", host_id=str(registration.host_id), address=registration.address)
        return Joined(certificate, authority.certificate)

    async def renew(self, client: HostClient, facts: HostFacts) -> bool:
        """Gives a host a new certificate if its own is valid for less than a third of its life; answers whether it did.
        It is for the host that the client's other end has proved to be, whatever that says of itself, and so never for
        one that is called with the token.

        Raises: HostCallError.
        """
        host_id, expires_at = client.host_id, facts.certificate_expires_at
        now = self._resources.clock.now()
        if self._authority is None or host_id is None or expires_at is None or expires_at - now > RENEWED_BEFORE:
            return False
        request = await client.request_certificate()
        certificate, renewed_until = self._authority.certify_host(request, host_id, now)
        await client.install_certificate(certificate)
        _log.info("host certificate renewed", host_id=str(host_id), expires_at=renewed_until.isoformat())
        return True

    def _require_authority(self) -> Authority:
        if self._authority is None:
            raise Conflict(
                "This control plane has no certificate authority: set NESTBOX_AUTHORITY_DIR.", code="NO_AUTHORITY"
            )
        return self._authority


async def _write(
    transaction: Transaction, used: Token, registration: Registration, now: datetime, expires_at: datetime
) -> None:
    """Raises: Forbidden, Conflict."""
    if used.again is not None:
        if used.again != registration.host_id:
            raise Forbidden("This token was made for another host, which is to join again: ask for one for this host.")
        await hosts.join_again(transaction, registration, now, expires_at)
    elif not await hosts.join(transaction, registration, now, expires_at):
        identity = wire_id(Kind.HOST, registration.host_id)
        raise Conflict(
            f"{identity} is known already, so it needs a token that was made for it: `nestbox host token --again "
            f"{identity}`.",
            code="HOST_KNOWN",
        )


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _decode(text: str) -> UUID:
    return UUID(bytes=base64.b32decode(text.upper() + "=" * 6))
