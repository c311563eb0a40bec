"""`/healthz`: the process lives. `/readyz`: it can serve."""

from starlette.requests import Request
from starlette.responses import Response

from api.http.json import JSONResponse
from api.services.services import Services


async def healthz(request: Request) -> Response:  # noqa: ARG001
    """200 as long as the process answers at all; asks nobody."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """200 when the database and a host answer, else 503; says what does not."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Answers one request."""
        checks = await self._services.health.ready()
        ready = all(check.ok for check in checks)
        content = {
            "status": "ready" if ready else "not ready",
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        }
        return JSONResponse(content, 200 if ready else 503)
