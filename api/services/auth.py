"""Who is asking: API keys, and people in sessions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from api.domain.principal import Principal, PrincipalKind
from api.errors import Unauthenticated, Unavailable
from api.services.api_keys import ApiKeys
from api.services.rates import Rates
from api.services.sessions import Sessions

RECHECK_SECONDS = 2.0
"""How often each stream, and each request that takes long, asks whether its caller may still be here."""

_SHUT_OUT = "Your key or session has ended, or you may no longer do this in this team."


class Auth:
    """Tells who a caller is, and whether they still may be here. Whoever is told counts as one request of its team."""

    def __init__(self, api_keys: ApiKeys, sessions: Sessions, rates: Rates) -> None:
        self._api_keys = api_keys
        self._sessions = sessions
        self._rates = rates

    async def authenticate(self, header_or_key: str | None) -> Principal:
        """The principal behind `Bearer nb_…` or the key itself.

        Raises:
            Unauthenticated: no key, a wrong one, or one that is revoked or expired.
            TooMany: `RATE_LIMITED`. Unavailable: the database does not answer.
        """
        if not header_or_key:
            raise Unauthenticated("Sign in, or send an API key as `Authorization: Bearer nb_…`.")
        scheme, separator, rest = header_or_key.strip().partition(" ")
        key = rest.strip() if separator and scheme.lower() == "bearer" else header_or_key.strip()
        principal = await self._api_keys.authenticate(key)
        await self._rates.admit(principal)
        return principal

    async def authenticate_session(self, token: str) -> Principal:
        """The person of a session, by its token. Raises: as `authenticate`."""
        principal = (await self._sessions.authenticate(token)).principal
        await self._rates.admit(principal)
        return principal

    def charge(self, principal: Principal, mutations: int) -> None:
        """Counts an operation with so many mutations as so many requests; one was counted when it was let in."""
        self._rates.charge(principal, mutations - 1)

    async def recheck(self, principal: Principal) -> None:
        """Returns if this principal's key or session is still good, and may still do all that it could in its team.

        Raises:
            Unauthenticated: it may not. Unavailable: the database does not answer.
        """
        if not await self._is_good(principal):
            raise Unauthenticated(_SHUT_OUT)

    @asynccontextmanager
    async def holding(self, principal: Principal) -> AsyncIterator[None]:
        """Around all that lasts of what is done for a caller, sending included: asks at once whether they may be here,
        then every `RECHECK_SECONDS`. When they may not, the body is cancelled wherever it waits, within five seconds.

        Whoever is let in stays until the database says otherwise: nothing can be told while it is away.

        Raises:
            Unauthenticated: the caller is shut out; what the body had finished stays done. What the body raises.
        """
        await self._let_stay(principal)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(self._watch(principal))
                try:
                    yield
                except Exception as error:  # noqa: BLE001  # carried out of the group, which would wrap it
                    failure = error
                watcher.cancel()
        except* Unauthenticated:
            failure = Unauthenticated(_SHUT_OUT)
        if failure is not None:
            raise failure

    async def _watch(self, principal: Principal) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            await self._let_stay(principal)

    async def _let_stay(self, principal: Principal) -> None:
        with suppress(Unavailable):
            await self.recheck(principal)

    async def _is_good(self, principal: Principal) -> bool:
        match principal.kind:
            case PrincipalKind.KEY:
                return await self._api_keys.is_good(principal)
            case PrincipalKind.USER:
                return await self._sessions.is_good(principal)
            case PrincipalKind.SYSTEM:
                return True
