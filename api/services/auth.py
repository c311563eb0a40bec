"""Who is asking: API keys."""

from uuid import UUID

from api.domain.principal import Principal


class Auth:
    """Knows API keys `nb_<id>_<secret>`. What it found out is believed for at most 5 seconds."""

    async def authenticate(self, header_or_key: str | None) -> Principal:
        """The principal behind `Bearer nb_…` or the key itself.

        Raises:
            Unauthenticated: no key, a wrong one, or one that is revoked or expired.
            Unavailable: the database does not answer.
        """
        raise NotImplementedError

    async def recheck(self, principal: Principal) -> None:
        """Returns if this principal's key is still good; for streams, which live long.

        Raises:
            Unauthenticated: it was revoked or has expired.
        """
        raise NotImplementedError

    async def create_key(self, name: str, *, team_id: UUID, is_platform_admin: bool) -> str:
        """Makes a key and returns it: the only time that it can be seen.

        Raises:
            Invalid: the name. NotFound: the team.
        """
        raise NotImplementedError
