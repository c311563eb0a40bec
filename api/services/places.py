"""Where a sandbox runs, for what goes straight to its host."""

from uuid import UUID

from api.db import sandboxes
from api.domain.principal import Principal
from api.domain.sandbox import Action, State, accepted_in, refusal
from api.errors import Conflict, NotFound, Unavailable
from api.hosts.client import HostClient
from api.services.resources import Resources


async def running_place(resources: Resources, principal: Principal, sandbox_id: UUID, action: Action) -> HostClient:
    """The host of a sandbox in which this can be done now; one query.

    Raises:
        NotFound: no such sandbox, or another team's. Conflict: `WRONG_STATE`. Unavailable: its host does not answer.
    """
    place = await sandboxes.whereabouts(resources.database, principal.team_id, sandbox_id)
    if place is None:
        raise no_such_sandbox()
    raise_refusal(action, place.state, reachable=place.reachable)
    return resources.hosts.client(place.host_id)


def no_such_sandbox() -> NotFound:
    """What a foreign and an unknown id are both answered with."""
    return NotFound("There is no such sandbox.", path=("id",))


def raise_refusal(action: Action, state: State, *, reachable: bool) -> None:
    """Raises: Conflict when the state does not allow an action, Unavailable when its host does not answer."""
    reason = refusal(action, state, reachable=reachable)
    if reason is None:
        return
    if state not in accepted_in(action):
        raise Conflict(reason, code="WRONG_STATE")
    raise Unavailable(reason, code="HOST_UNREACHABLE")
