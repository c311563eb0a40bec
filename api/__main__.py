"""`python -m api`: the control plane as a program."""

import argparse
import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import structlog
import uvicorn
from pydantic import ValidationError

from api.errors import Internal, NestboxError
from api.http.connections import Connection
from api.logs import configure_logs
from api.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

# What only one command needs is imported by that command: all of it together takes three times as long as the command.

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
    from api.app import build_app  # noqa: PLC0415

    app = build_app(settings)
    failed: asyncio.Event = app.state.failed
    with listen(settings.api_host, settings.api_port) as listener:
        _Server(server_config(app, settings), failed).run(sockets=[listener])
    if failed.is_set():
        raise Internal("A part of the server failed, so it has ended; the log says how.")


def server_config(app: "Starlette", settings: Settings) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=Connection,
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="The control plane of Nestbox.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="serve the API and the dashboard (the default)")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    commands.add_parser("show-database-role", help="print as JSON who we are to the database, and what is weak in that")
    key = commands.add_parser("create-key", help="make an API key and print it; it cannot be seen again")
    key.add_argument("--name", required=True, help="what the key is called")
    key.add_argument("--admin", action="store_true", help="make it the key of a platform admin")
    key.add_argument("--scopes", default="", help="what it may do: read, write, team_admin, separated by commas")
    commands.add_parser("list-keys", help="print all API keys as JSON: what they are called and when they were used")
    ended = commands.add_parser("revoke-key", help="end an API key, within seconds, and print its id")
    ended.add_argument("key", help="its id (key-…), or the key itself")
    user = commands.add_parser("create-user", help="make an account and print its password; it cannot be seen again")
    user.add_argument("email")
    user.add_argument("--name", default="", help="the name of the person")
    user.add_argument("--admin", action="store_true", help="make them a platform admin and an owner of the first team")
    commands.add_parser("list-users", help="print all accounts as JSON")
    reset = commands.add_parser("reset-password", help="give somebody a new password and print it")
    reset.add_argument("email")
    commands.add_parser("list-base-templates", help="print the platform's base templates as JSON")
    added = commands.add_parser("add-base-template", help="let every team use a base template that the hosts have")
    added.add_argument("name", help="what the hosts call it")
    added.add_argument("--description", default="", help="what is in it")
    added.add_argument("--disk-size-mb", type=int, required=True, help="the size of its disk in MiB")
    removed = commands.add_parser("remove-base-template", help="let no new sandbox be made of a base template")
    removed.add_argument("name", help="what it is called")
    token = commands.add_parser("create-host-token", help="make a token with which one host can join within an hour")
    token.add_argument("--again", default="", metavar="HOST", help="the id (host-…) of a known host that joins again")
    commands.add_parser("export-schema", help="print the GraphQL schema")
    return parser


def _printed(settings: Settings, arguments: argparse.Namespace) -> str:
    """What a command of the owner prints."""
    from api import owner  # noqa: PLC0415

    match arguments.command:
        case "create-key":
            work = owner.create_key(settings, arguments.name, admin=arguments.admin, scopes=arguments.scopes)
        case "list-keys":
            work = owner.list_keys(settings)
        case "revoke-key":
            work = owner.revoke_key(settings, arguments.key)
        case "create-user":
            work = owner.create_user(settings, arguments.email, arguments.name, admin=arguments.admin)
        case "list-users":
            work = owner.list_users(settings)
        case "reset-password":
            work = owner.reset_password(settings, arguments.email)
        case "show-database-role":
            work = owner.show_database_role(settings)
        case "create-host-token":
            work = owner.create_host_token(settings, arguments.again)
        case "list-base-templates":
            work = owner.list_base_templates(settings)
        case "add-base-template":
            work = owner.add_base_template(settings, arguments.name, arguments.description, arguments.disk_size_mb)
        case "remove-base-template":
            work = owner.remove_base_template(settings, arguments.name)
        case command:
            raise AssertionError(command)
    return asyncio.run(work)


def main() -> None:
    """Runs the command that is asked for."""
    arguments = _parser().parse_args()
    if arguments.command == "export-schema":
        from api.schema.schema import build_schema, print_sdl  # noqa: PLC0415

        sys.stdout.write(print_sdl(build_schema()))
        return
    try:
        settings = Settings()
        configure_logs(settings.log_level)
        if arguments.command == "migrate":
            from api.db.migrate import migrate  # noqa: PLC0415

            urls = settings.database_url, settings.database_owner_url
            asyncio.run(migrate(*(url.get_secret_value() for url in urls)))
        elif arguments.command in {None, "serve"}:
            serve(settings)
        else:
            sys.stdout.write(_printed(settings, arguments) + "\n")
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
