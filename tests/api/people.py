"""People as tests need them."""

import itertools
from dataclasses import dataclass
from uuid import UUID

from api.db.users import Account
from api.domain.principal import Principal, Role
from api.ids import DEFAULT_TEAM_ID
from api.services.services import Services

_numbers = itertools.count(1)
ADDRESS = "192.0.2.1"


@dataclass(frozen=True)
class Person:
    """Somebody with an account who is signed in. `token` is what their browser keeps, `account` what they proved."""

    email: str
    password: str
    principal: Principal
    token: str
    account: Account

    @property
    def id(self) -> UUID:
        return self.principal.id


async def a_person(
    services: Services,
    role: Role = Role.MEMBER,
    *,
    email: str | None = None,
    team_id: UUID = DEFAULT_TEAM_ID,
    admin: bool = False,
) -> Person:
    """A new person in a team."""
    email = email or f"person-{next(_numbers)}@example.org"
    password = await services.users.create(email, "", team_id=team_id, role=role, is_platform_admin=admin)
    # each from an address of their own: from one address people do not come in crowds
    account = await services.users.prove(email, password, f"198.51.100.{next(_numbers)}")
    begun = await services.sessions.begin(account)
    return Person(email, password, begun.session.principal, begun.token, account)


async def now(services: Services, person: Person) -> Principal:
    """What a person may do now. Raises: Unauthenticated."""
    return await services.auth.authenticate_session(person.token)
