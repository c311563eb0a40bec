"""What HTTP and WebSocket share: who is asking, and what their document may be given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.domain.principal import Principal
from api.domain.status import TaskStatus
from api.errors import Invalid
from api.http.caller import Callers
from api.schema.context import OperationContext
from api.schema.documents import Document
from api.schema.execution import GraphQL, Request
from api.schema.loaders import Loaders
from api.services.services import Services


@dataclass(frozen=True, slots=True)
class Gateway:
    """The schema and the services behind it."""

    graphql: GraphQL
    services: Services
    reconciler_status: Callable[[], tuple[TaskStatus, ...]]
    callers: Callers

    def context(self, principal: Principal, request_id: str, document: Document, address: str) -> OperationContext:
        """The context of one operation, asked for from an address."""
        return OperationContext(
            services=self.services,
            loaders=Loaders(self.services, principal),
            reconciler_status=self.reconciler_status,
            principal=principal,
            request_id=request_id,
            selected=document.selected,
            address=address,
            public_url=self.callers.site.public_url,
        )


def read_request(content: Any) -> Request:
    """The operation in a JSON object, checked for types.

    Raises:
        Invalid: something is missing or of the wrong type. Batches are not supported.
    """
    if isinstance(content, list):
        raise Invalid("Batches are not supported; send one operation at a time.", code="BATCHING_NOT_SUPPORTED")
    if not isinstance(content, Mapping):
        raise Invalid("The body must be a JSON object with `query`.", code="BAD_REQUEST")
    query = content.get("query")
    variables = content.get("variables")
    operation_name = content.get("operationName")
    extensions = content.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise Invalid("`query` must be a text with a document.", code="BAD_REQUEST", path=("query",))
    if variables is not None and not isinstance(variables, dict):
        raise Invalid("`variables` must be an object.", code="BAD_REQUEST", path=("variables",))
    if operation_name is not None and not isinstance(operation_name, str):
        raise Invalid("`operationName` must be a text.", code="BAD_REQUEST", path=("operationName",))
    if extensions is not None and not isinstance(extensions, dict):
        raise Invalid("`extensions` must be an object.", code="BAD_REQUEST", path=("extensions",))
    # clients send an empty name for "none"
    return Request(query=query, variables=variables, operation_name=operation_name or None)
