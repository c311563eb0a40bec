"""What a resolver knows of the request that it belongs to."""

from collections.abc import Callable
from dataclasses import dataclass

from strawberry.types import Info

from api.domain.principal import Principal
from api.domain.status import TaskStatus
from api.schema.loaders import Loaders
from api.services.services import Services


@dataclass(frozen=True, slots=True)
class OperationContext:
    """One operation: made anew for each, also on a WebSocket that lives for days.

    `loaders` fetch what nested fields ask for. `selected` holds the names of all fields that occur in the document, so
    that what is expensive and not asked for need not be fetched. `address` is where the request came from, `public_url`
    where people reach the platform (empty when that is where it listens).
    """

    services: Services
    loaders: Loaders
    reconciler_status: Callable[[], tuple[TaskStatus, ...]]
    principal: Principal
    request_id: str
    selected: frozenset[str]
    address: str
    public_url: str


OperationInfo = Info[OperationContext, None]
