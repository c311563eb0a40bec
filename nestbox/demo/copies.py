"""What can be made of a sandbox that runs: children that go on from where it is, and a template of it."""

import time

from nestbox.demo import counter, documents
from nestbox.demo.client import Client, RefusedError
from nestbox.demo.telling import Telling

CHILDREN = 3
NAME = "copied by the demo"
"""Of all of them: not the demo's own, whose subscription is to see one sandbox only."""


class Copies:
    """Makes them, looks at them and deletes them. What is left of a story that failed is deleted by `clean_up`."""

    def __init__(self, client: Client, telling: Telling, template_name: str) -> None:
        self._client = client
        self._telling = telling
        self._template_name = template_name
        self._sandbox_ids: list[str] = []
        self._template_id = ""

    async def tell(self, sandbox_id: str) -> None:
        """Of a sandbox in which the counter runs. Raises: StoryError, RefusedError, TimeoutError."""
        before = await counter.read(self._client, sandbox_id)
        await self._fork(sandbox_id, before)
        await self._make_template(sandbox_id)
        await self._start_from_template(before)
        start = time.perf_counter()
        await self._delete()
        self._telling.step(start, "deleted them", f"{CHILDREN + 1} sandboxes, then the template")

    async def clean_up(self) -> None:
        """Deletes what is left, if the platform still answers."""
        try:
            await self._delete()
        except RefusedError as error:
            self._telling.remark(f"Copies could not be deleted: {error}")

    async def _fork(self, sandbox_id: str, before: counter.Count) -> None:
        start = time.perf_counter()
        payload = await self._client.mutate(documents.FORK, id=sandbox_id, count=CHILDREN, name=NAME)
        children = [child["sandbox"] for child in payload["children"]]
        self._sandbox_ids += [child["id"] for child in children]
        running = [child["id"] for child in children if child["state"] == "RUNNING"]
        self._telling.expect(len(running) == CHILDREN, f"{len(running)} of {CHILDREN} children run.")
        stages = ", ".join(f"{stage['name']} {stage['durationMs']:.0f}" for stage in payload["operation"]["stages"])
        self._telling.step(start, "forked it", f"{CHILDREN} children, all running; {stages}")
        start = time.perf_counter()
        hosts = {(await self._client.run(child, "hostname"))["stdout"].strip() for child in running}
        self._telling.expect(len(hosts) == CHILDREN, f"{CHILDREN} children call themselves {sorted(hosts)}.")
        for child in running:
            await self._went_on(child, before)
        self._telling.step(
            start, "children count", f"each for itself, in pid {before.pid}, as {', '.join(sorted(hosts))}"
        )

    async def _make_template(self, sandbox_id: str) -> None:
        start = time.perf_counter()
        payload = await self._client.mutate(
            documents.CREATE_TEMPLATE, sandboxId=sandbox_id, name=self._template_name, waitSeconds=60
        )
        template = payload["template"]
        self._telling.expect(template is not None, "The template is not ready after a minute.")
        self._template_id = template["id"]
        stored = f"{template['storedBytes'] / 1e6:.0f} MB on disk"
        self._telling.step(start, "made a template", f"{template['name']}, {stored}; the sandbox ran on")

    async def _start_from_template(self, before: counter.Count) -> None:
        start = time.perf_counter()
        payload = await self._client.mutate(
            documents.CREATE, name=NAME, templateName=self._template_name, waitSeconds=60
        )
        sandbox = payload["sandbox"]
        self._sandbox_ids.append(sandbox["id"])
        self._telling.expect(sandbox["state"] == "RUNNING", f"The sandbox of the template is {sandbox['state']}.")
        later = await self._went_on(sandbox["id"], before)
        self._telling.step(start, "started from it", f"the counter is there, in pid {later.pid}, at {later.count}")

    async def _went_on(self, sandbox_id: str, before: counter.Count) -> counter.Count:
        found = await counter.read(self._client, sandbox_id)
        self._telling.expect(
            found.pid == before.pid, f"The counter's pid was {before.pid} and is {found.pid} in a copy."
        )
        self._telling.expect(
            found.count >= before.count, f"A copy counts from {found.count}, not from {before.count} on."
        )
        return await counter.goes_on(self._client, sandbox_id, found.count)

    async def _delete(self) -> None:
        while self._sandbox_ids:
            await self._client.mutate(documents.DELETE, id=self._sandbox_ids[-1])
            self._sandbox_ids.pop()
        if self._template_id:
            await self._client.mutate(documents.DELETE_TEMPLATE, id=self._template_id)
            self._template_id = ""
