"""`python -m api`: the control plane as a program."""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from api.app import build_app
from api.db.migrate import migrate
from api.domain.principal import SYSTEM_ACTOR
from api.errors import Internal, NestboxError
from api.hosts.authority import authority_in
from api.ids import DEFAULT_TEAM_ID, Kind, wire_id
from api.logs import configure_logs
from api.schema.schema import build_schema, print_sdl
from api.services.auth import Auth
from api.services.services import Services
from api.settings import Settings

MESSAGE_BYTES_MAX = 1024 * 1024
"""One WebSocket message, the same as a body over HTTP."""
PING_SECONDS = 20.0
"""A connection that does not answer a ping for as long is closed."""
UNREAD_MS_MAX = 30_000
"""After so long without the other side's kernel taking data, a connection is dropped (tcp(7), TCP_USER_TIMEOUT)."""
SHUTDOWN_SECONDS = 10
"""For requests under way, after which they are cancelled. Services then take a few seconds of their own."""


class _Server(uvicorn.Server):
    """Says once that it listens: whoever started us waits for that line, or for `/readyz`. `failed` ends it."""

    def __init__(self, config: uvicorn.Config, failed: asyncio.Event) -> None:
        super().__init__(config)
        self._failed = failed

    async def on_tick(self, counter: int) -> bool:
        # asked ten times a second
        return await super().on_tick(counter) or self._failed.is_set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        structlog.get_logger("api").info("listening", address=f"http://{self.config.host}:{self.config.port}")


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        OSError: the port is taken. Internal: a part that everything needs has failed; the log says how.
    """
    app = build_app(settings)
    failed: asyncio.Event = app.state.failed
    with listen(settings.api_host, settings.api_port) as listener:
        _Server(server_config(app, settings), failed).run(sockets=[listener])
    if failed.is_set():
        raise Internal("A part of the server failed, so it has ended; the log says how.")


def server_config(app: Starlette, settings: Settings) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        # saves the memory of a compressor per connection; messages are small
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # connections inherit it
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS_MAX)
    return listener


@asynccontextmanager
async def _auth(settings: Settings) -> AsyncIterator[Auth]:
    async with Services(settings.database_url.get_secret_value(), host_addresses=(), agent_token="") as services:
        yield services.auth


async def create_key(settings: Settings, name: str, *, admin: bool) -> str:
    """A new API key of the default team."""
    async with _auth(settings) as auth:
        return await auth.create_key(name, team_id=DEFAULT_TEAM_ID, is_platform_admin=admin)


async def list_keys(settings: Settings) -> str:
    """Every API key as a JSON array of objects: ids, names and times, no secrets."""
    async with _auth(settings) as auth:
        found = await auth.list_keys()
    times = ("created_at", "last_used_at", "expires_at", "revoked_at")
    shown = [
        {
            "id": wire_id(Kind.API_KEY, key.id),
            "name": key.name,
            "team": key.team_name,
            "is_platform_admin": key.is_platform_admin,
            **{name: at.isoformat() if (at := getattr(key, name)) else None for name in times},
        }
        for key in found
    ]
    return json.dumps(shown, ensure_ascii=False, indent=1)


async def create_host_token(settings: Settings) -> str:
    """A token with which one host can join within the next hour."""
    authority = authority_in(settings.authority_dir)
    url = settings.database_url.get_secret_value()
    async with Services(url, host_addresses=(), agent_token="", authority=authority) as services:
        return (await services.registrations.new_token(SYSTEM_ACTOR)).token


async def revoke_key(settings: Settings, key: str) -> str:
    """Ends an API key, as `Auth.revoke_key` takes it; the id of the key."""
    async with _auth(settings) as auth:
        return wire_id(Kind.API_KEY, await auth.revoke_key(key))


def main() -> None:
    """Runs the command that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m api", description="The control plane of Nestbox.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="serve the API and the dashboard (the default)")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    key = commands.add_parser("create-key", help="make an API key and print it; it cannot be seen again")
    key.add_argument("--name", required=True, help="what the key is called")
    key.add_argument("--admin", action="store_true", help="make it the key of a platform admin")
    commands.add_parser("list-keys", help="print all API keys as JSON: what they are called and when they were used")
    ended = commands.add_parser("revoke-key", help="end an API key, within seconds, and print its id")
    ended.add_argument("key", help="its id (key-…), or the key itself")
    commands.add_parser("create-host-token", help="make a token with which one host can join within an hour")
    commands.add_parser("export-schema", help="print the GraphQL schema")
    arguments = parser.parse_args()

    if arguments.command == "export-schema":
        sys.stdout.write(print_sdl(build_schema()))
        return
    try:
        settings = Settings()
        configure_logs(settings.log_level)
        if arguments.command == "migrate":
            asyncio.run(migrate(settings.database_url.get_secret_value()))
        elif arguments.command == "create-key":
            sys.stdout.write(asyncio.run(create_key(settings, arguments.name, admin=arguments.admin)) + "\n")
        elif arguments.command == "list-keys":
            sys.stdout.write(asyncio.run(list_keys(settings)) + "\n")
        elif arguments.command == "create-host-token":
            sys.stdout.write(asyncio.run(create_host_token(settings)) + "\n")
        elif arguments.command == "revoke-key":
            sys.stdout.write(asyncio.run(revoke_key(settings, arguments.key)) + "\n")
        else:
            serve(settings)
    except ValidationError as error:
        # not the error's own text: it repeats what was given, passwords too
        reasons = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False))
        sys.exit(f"api: wrong settings: {'; '.join(reasons)}")
    except NestboxError as error:
        sys.exit(f"api: {error.message} {error.detail}".strip())
    except OSError as error:
        sys.exit(f"api: {error}")


if __name__ == "__main__":
    main()
