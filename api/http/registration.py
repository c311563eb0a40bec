"""`POST /hosts/register`: a host joins with its one-time token."""

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.domain.host import Registration
from api.errors import Invalid
from api.http.bodies import lingering, read_body
from api.http.caller import Callers
from api.http.errors import error_response, error_response_for
from api.http.json import JSONResponse, parse_json
from api.http.sessions import stranger
from api.ids import Kind, parse_id, wire_id
from api.services.services import Services

BODY_BYTES_MAX = 64 * 1024
_FIELDS = ("token", "hostId", "address", "name", "request")


class RegistrationEndpoint:
    """An ASGI application. The body is `{"token", "hostId", "address", "name", "request"}`, all texts; the answer is
    `{"certificate", "authority"}`, both PEM."""

    def __init__(self, services: Services, callers: Callers) -> None:
        self._services = services
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id: str = scope["state"]["request_id"]
        try:
            if scope["method"] != "POST":
                response = error_response(405, "METHOD_NOT_ALLOWED", "Use POST.", request_id, headers={"allow": "POST"})
            else:
                token, registration = _read(parse_json(await read_body(scope, receive, limit_bytes=BODY_BYTES_MAX)))
                deed = stranger(self._callers, scope, "registerHost")
                async with self._services.audit.doing(deed):
                    joined = await self._services.registrations.register(token, registration)
                    deed.actor = deed.target = wire_id(Kind.HOST, registration.host_id)
                content = {"certificate": joined.certificate.decode(), "authority": joined.authority.decode()}
                response = JSONResponse(content, 201)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - every one is answered
            await error_response_for(error, request_id)(scope, receive, lingering(receive, send))
            return
        await response(scope, receive, send)


def _read(content: object) -> tuple[str, Registration]:
    """Raises: Invalid."""
    if not isinstance(content, dict):
        raise Invalid("The body must be a JSON object.", code="BAD_REQUEST")
    for name in _FIELDS:
        if not isinstance(content.get(name), str):
            raise Invalid(f"`{name}` must be a text.", code="BAD_REQUEST", path=(name,))
    registration = Registration(
        host_id=parse_id(Kind.HOST, content["hostId"], path=("hostId",)),
        name=content["name"],
        address=content["address"],
        request=content["request"].encode(),
    )
    return content["token"], registration
