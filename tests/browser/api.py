"""The GraphQL API as a program beside the browser uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx


class Api:
    """One key's view of one platform. Made by `connect`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, key: str) -> AsyncIterator[Self]:
        """A client that is closed at the end."""
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            yield cls(http)

    async def create(self, name: str) -> str:
        """A running sandbox; returns its id."""
        mutation = (
            "mutation($name: String!) { createSandbox(input: {name: $name}) { sandbox { id } userErrors { code } } }"
        )
        payload = (await self.run(mutation, name=name))["createSandbox"]
        assert payload["userErrors"] == []
        return str(payload["sandbox"]["id"])

    async def invite(self, email: str, role: str) -> str:
        """An invitation to the team; the path of its link."""
        mutation = (
            "mutation($email: String!, $role: Role!) "
            "{ inviteMember(input: {email: $email, role: $role}) { link userErrors { code } } }"
        )
        payload = (await self.run(mutation, email=email, role=role))["inviteMember"]
        assert payload["userErrors"] == []
        return str(payload["link"])

    async def delete(self, sandbox_id: str) -> None:
        """Deletes it and waits until it is gone."""
        mutation = "mutation($id: ID!) { deleteSandbox(input: {id: $id}) { userErrors { code } } }"
        payload = (await self.run(mutation, id=sandbox_id))["deleteSandbox"]
        assert payload["userErrors"] == []

    async def delete_all(self) -> None:
        """Leaves the team with nothing."""
        for sandbox in (await self.run("{ sandboxes(first: 100) { nodes { id } } }"))["sandboxes"]["nodes"]:
            await self.delete(sandbox["id"])

    async def run(self, document: str, **variables: Any) -> dict[str, Any]:
        """What a document answers, without errors of its own."""
        answer = (await self._http.post("/graphql", json={"query": document, "variables": variables})).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data
