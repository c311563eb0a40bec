"""A browser's side of a session: cookies, the header that pages add, and their origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.api.client import ANSWER_SECONDS_MAX, Client, Socket, raw_socket

COOKIE = "nestbox_session"


class Browser(Client):
    """GraphQL, files and sessions with a cookie instead of a key; what it sends is what our pages send."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "")
        self.http = httpx.AsyncClient(
            base_url=url, headers={"x-nestbox-csrf": "1", "origin": url}, timeout=ANSWER_SECONDS_MAX, trust_env=False
        )

    @property
    def token(self) -> str:
        """What the cookie holds; empty without one."""
        return self.http.cookies.get(COOKIE) or ""

    async def sign_in(self, email: str, password: str) -> httpx.Response:
        return await self.http.post("/auth/sign-in", json={"email": email, "password": password})

    async def signed_in(self) -> str | None:
        """The address of whoever is signed in."""
        user = (await self.http.get("/auth/session")).json()["user"]
        return None if user is None else str(user["email"])

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        async with self.raw() as socket:
            await socket.send(type="connection_init")
            assert await socket.receive() == {"type": "connection_ack"}
            yield socket

    @asynccontextmanager
    async def raw(self, **headers: Any) -> AsyncIterator[Socket]:
        """A WebSocket on which nothing was said yet."""
        sent = {"cookie": f"{COOKIE}={self.token}"}
        async with raw_socket(self.url, additional_headers=sent, **({"origin": self.url} | headers)) as connection:
            yield Socket(connection)
