"""The application: every part is made here, once, in the order in which they need each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import fields
from datetime import timedelta

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from api.clock import SystemClock
from api.domain.quota import Limits
from api.faults import armed
from api.hosts.authority import authority_in
from api.http import oidc
from api.http.caller import Callers, Site
from api.http.errors import error_response
from api.http.files import FileEndpoint
from api.http.gateway import Gateway
from api.http.graphql import GraphQLOverHTTP
from api.http.health import Readiness, healthz
from api.http.metrics import MetricsEndpoint, Traffic
from api.http.middleware import RequestMiddleware
from api.http.pages import Pages
from api.http.registration import RegistrationEndpoint
from api.http.sessions import SessionEndpoints
from api.http.websocket import GraphQLOverWebSocket
from api.oidc import OidcClient, Provider
from api.reconciler.reconciler import Reconciler
from api.schema.execution import GraphQL
from api.schema.schema import build_schema, print_sdl
from api.services.services import Services
from api.settings import Settings

_log = structlog.get_logger()


def build_app(settings: Settings) -> Starlette:
    """The whole control plane as an ASGI application. Connects to nothing before its lifespan begins.

    `app.state.failed` is an event: once set, a part that everything needs is gone, and the server must be ended.

    Raises:
        OSError: a file with a secret (the agents', the OIDC client's, the certificate authority's) cannot be read.
    """
    services = _services(settings)
    reconciler = Reconciler(
        services,
        keep_events=timedelta(days=settings.event_retention_days),
        keep_audit=timedelta(days=settings.audit_retention_days),
    )
    schema = build_schema()
    sdl = print_sdl(schema)
    site = Site(settings.allowed_origins, frozenset(settings.trusted_proxies), settings.public_url)
    callers = Callers(services.auth, site)
    gateway = Gateway(GraphQL(schema), services, reconciler.status, callers)
    traffic = Traffic()
    provider = _oidc_client(settings)

    async def schema_text(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse(sdl, headers={"cache-control": "no-cache"})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001
        async with services, provider or nullcontext():
            services.resources.tasks.service("reconciler", reconciler.run())
            await _say_what_is_weak(services)
            yield

    pages = Pages(settings.dashboard_dir)
    app = Starlette(
        routes=[
            Route("/graphql", GraphQLOverHTTP(gateway)),
            WebSocketRoute("/graphql", GraphQLOverWebSocket(gateway)),
            Route("/sandboxes/{id}/files", FileEndpoint(services, callers)),
            Route("/hosts/register", RegistrationEndpoint(services, callers)),
            *_auth_routes(settings, services, callers, provider),
            Route("/schema.graphql", schema_text),
            Route("/healthz", healthz),
            Route("/metrics", MetricsEndpoint(services.metrics, callers, traffic, reconciler.status).metrics),
            Route("/readyz", Readiness(services).readyz),
            Route("/{path:path}", pages.page),
        ],
        middleware=[Middleware(RequestMiddleware, traffic=traffic)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.state.failed = services.resources.tasks.failed
    return app


def _services(settings: Settings) -> Services:
    return Services(
        settings.database_url.get_secret_value(),
        host_addresses=settings.hosts,
        agent_token=settings.agent_token(),
        authority=authority_in(settings.authority_dir),
        limits=Limits(**{field.name: getattr(settings, f"quota_{field.name}") for field in fields(Limits)}),
        teams_per_user=settings.teams_per_user,
        shares_emulated=settings.emulated_shared,
        faults=armed(settings.api_faults),
    )


async def _say_what_is_weak(services: Services) -> None:
    found = await services.audit.keeping()
    if found.weakness:
        _log.warning("only triggers keep the audit log as it is", database_role=found.role, weakness=found.weakness)


def _oidc_client(settings: Settings) -> OidcClient | None:
    if not settings.oidc_issuer:
        return None
    provider = Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret(),
        f"{settings.public_url}{oidc.PATH}/callback",
    )
    return OidcClient(provider, SystemClock())


def _auth_routes(settings: Settings, services: Services, callers: Callers, provider: OidcClient | None) -> list[Route]:
    oidc_name = None if provider is None else settings.oidc_name
    sessions = Route("/auth/{name:path}", SessionEndpoints(services, callers, oidc_name=oidc_name))
    if provider is None:
        return [sessions]
    endpoints = oidc.OidcEndpoints(services, callers, provider, new_users=settings.oidc_new_users)
    return [
        Route(f"{oidc.PATH}/start", endpoints.start),
        Route(f"{oidc.PATH}/callback", endpoints.callback),
        sessions,
    ]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: unknown paths, wrong methods."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "BAD_REQUEST")
    headers = dict(error.headers) if error.headers else None
    return error_response(error.status_code, code, f"{error.detail}.", request.state.request_id, headers=headers)
