"""The life of one sandbox and of its copies, step by step, each checked and timed."""

import asyncio
import time

from rich.console import Console

from nestbox.demo import counter, documents
from nestbox.demo.client import Client, Json, RefusedError
from nestbox.demo.copies import Copies
from nestbox.demo.processes import machine_processes, usage
from nestbox.demo.telling import StoryError, Telling
from nestbox.demo.watch import REMOVED, Watch

PAUSE_SECONDS = 3.0
"""Long enough that a counter which went on would be caught: 30 counts."""
SLACK_COUNTS = 5
"""Half a second for the requests around a pause."""
MESSAGE_DEADLINE_SECONDS = 10
CREATE_DEADLINE_SECONDS = 60

NOTE = "Grüße aus dem Nistkasten: 🐣\n"


class Story:
    """Walks one sandbox from creation to deletion, telling each step. `sandbox_id` is empty while there is none."""

    def __init__(self, client: Client, console: Console, name: str, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._client = client
        self._telling = Telling(console)
        self._copies = Copies(client, self._telling, name)
        self._name = name
        self._pause_seconds = pause_seconds
        self._watch = Watch()
        self._on_this_host = False
        self.sandbox_id = ""

    async def tell(self) -> None:
        """Runs the whole story.

        Raises: StoryError for a step that went wrong, RefusedError for one that the platform refused; the sandbox may
        then still be there, see `clean_up`.
        """
        async with asyncio.TaskGroup() as tasks:
            events = self._client.subscribe(documents.LIVE_LIST, name=self._name)
            following = tasks.create_task(self._watch.follow(events))
            await self._subscribe()
            await self._create()
            await self._run_python()
            await self._files()
            before = await self._start_counter()
            paused_from, paused_until = await self._pause_and_resume()
            await self._counter_went_on(before, paused_from, paused_until)
            await self._copies.tell(self.sandbox_id)
            await self._delete()
            following.cancel()

    async def clean_up(self) -> None:
        """Deletes what a failed story left behind, if the platform still answers."""
        await self._copies.clean_up()
        if self.sandbox_id:
            try:
                await self._client.mutate(documents.DELETE, id=self.sandbox_id)
            except RefusedError as error:
                self._telling.remark(f"{self.sandbox_id} could not be deleted: {error}")

    async def _subscribe(self) -> None:
        start = time.perf_counter()
        viewer = (await self._client.query(documents.VIEWER))["viewer"]
        await self._watch.live(deadline_seconds=MESSAGE_DEADLINE_SECONDS)
        self._telling.step(
            start,
            "subscribed",
            f"as key {viewer['keyName']!r} of team {viewer['teamName']!r}, over WebSocket",
        )

    async def _create(self) -> None:
        start = time.perf_counter()
        payload = await self._client.mutate(documents.CREATE, name=self._name, waitSeconds=CREATE_DEADLINE_SECONDS)
        sandbox = payload["sandbox"]
        self.sandbox_id = sandbox["id"]
        self._telling.expect(
            sandbox["state"] == "RUNNING",
            f"The new sandbox is {sandbox['state']}, not RUNNING.",
        )
        self._telling.step(
            start,
            "created",
            f"{self.sandbox_id}: {sandbox['vcpus']} vCPU, {sandbox['memoryMb']} MiB, "
            f"template {sandbox['template']['name']}; {_stages(payload)}",
        )
        await self._saw(start, 0, "RUNNING")

    async def _run_python(self) -> None:
        start = time.perf_counter()
        code = "import platform as p; print(sum(range(1_000_001)), 'by Python', p.python_version(), 'on', p.node())"
        printed = (await self._client.run(self.sandbox_id, "python3", "-c", code))["stdout"].strip()
        self._telling.expect(
            printed.startswith("500000500000 by Python 3"),
            f"Python printed {printed!r}.",
        )
        self._telling.step(start, "ran Python", printed)

    async def _files(self) -> None:
        start = time.perf_counter()
        path = "/root/notes/hello.txt"
        payload = await self._client.mutate(documents.WRITE_FILE, sandboxId=self.sandbox_id, path=path, text=NOTE)
        self._telling.step(
            start,
            "wrote a file",
            f"{payload['file']['path']}, {payload['file']['sizeBytes']} bytes",
        )
        start = time.perf_counter()
        text = (await self._client.mutate(documents.READ_FILE, sandboxId=self.sandbox_id, path=path))["text"]
        self._telling.expect(text == NOTE, f"The file that was written reads {text!r}.")
        self._telling.step(start, "read it", text.strip())
        start = time.perf_counter()
        streamed = await self._client.download(self.sandbox_id, path)
        self._telling.expect(
            streamed == NOTE.encode(),
            f"The file that was written downloads as {streamed!r}.",
        )
        self._telling.step(start, "downloaded it", f"{len(streamed)} bytes, streamed over HTTP")

    async def _start_counter(self) -> counter.Count:
        start = time.perf_counter()
        count = await counter.start(self._client, self.sandbox_id)
        self._telling.step(start, "counter started", f"pid {count.pid} in the guest, at {count.count}")
        return count

    async def _pause_and_resume(self) -> tuple[float, float]:
        """Pauses for a while; returns from when until when the guest surely stood still."""
        processes = machine_processes(self.sandbox_id)
        self._on_this_host = bool(processes)
        held_bytes = usage(list(processes)).pss_bytes
        mark, start = len(self._watch.seen), time.perf_counter()
        payload = await self._client.mutate(documents.PAUSE, id=self.sandbox_id)
        paused_from = time.perf_counter()
        state = payload["sandbox"]["state"]
        self._telling.expect(state == "PAUSED", f"The sandbox is {state} after the pause, not PAUSED.")
        self._telling.step(start, "paused", _stages(payload))
        await self._saw(start, mark, "PAUSED")
        self._is_gone(
            start,
            f"{len(processes)} processes, {held_bytes / 1e6:.0f} MB given back to the host",
        )
        await self._is_refused()
        await asyncio.sleep(self._pause_seconds)
        mark, start = len(self._watch.seen), time.perf_counter()
        payload = await self._client.mutate(documents.RESUME, id=self.sandbox_id)
        state = payload["sandbox"]["state"]
        self._telling.expect(state == "RUNNING", f"The sandbox is {state} after the resume, not RUNNING.")
        self._telling.step(start, "resumed", f"after {self._pause_seconds:.0f} s; {_stages(payload)}")
        await self._saw(start, mark, "RUNNING")
        return paused_from, start

    async def _is_refused(self) -> None:
        start = time.perf_counter()
        try:
            await self._client.run(self.sandbox_id, "true")
        except RefusedError as error:
            self._telling.step(start, "refused a command", str(error))
        else:
            raise StoryError("A command ran in a paused sandbox.")

    async def _counter_went_on(self, before: counter.Count, paused_from: float, paused_until: float) -> None:
        start = time.perf_counter()
        after = await counter.read(self._client, self.sandbox_id)
        awake_seconds = (after.answered_at - before.asked_at) - (paused_until - paused_from)
        most = awake_seconds * counter.COUNTS_PER_SECOND + SLACK_COUNTS
        counted = after.count - before.count
        self._telling.expect(
            after.pid == before.pid,
            f"The counter's pid was {before.pid} and is {after.pid}.",
        )
        self._telling.expect(counted >= 0, f"The counter went back from {before.count} to {after.count}.")
        self._telling.expect(
            counted <= most,
            f"The counter counted {counted} while awake for {awake_seconds:.1f} s.",
        )
        later = await counter.goes_on(self._client, self.sandbox_id, after.count)
        self._telling.expect(
            later.pid == before.pid,
            f"The counter's pid was {before.pid} and is {later.pid}.",
        )
        self._telling.step(
            start,
            "counter went on",
            f"pid {later.pid}: {before.count} before, {after.count} after, now {later.count}; "
            f"it did not count while paused",
        )

    async def _delete(self) -> None:
        mark, start = len(self._watch.seen), time.perf_counter()
        await self._client.mutate(documents.DELETE, id=self.sandbox_id)
        self._telling.step(start, "deleted", self.sandbox_id)
        await self._saw(start, mark, REMOVED)
        left = (await self._client.query(documents.COUNT, name=self._name))["sandboxes"]["totalCount"]
        self._telling.expect(left == 0, "The sandbox is still listed after it was deleted.")
        self._is_gone(start, "nothing left")
        self.sandbox_id = ""

    async def _saw(self, start: float, mark: int, state: str) -> None:
        """Tells what the subscription saw since `mark`, once it has seen `state`."""
        try:
            await self._watch.until(state, since=mark, deadline_seconds=MESSAGE_DEADLINE_SECONDS)
        except TimeoutError:
            states = ", ".join(seen.state for seen in self._watch.seen[mark:]) or "nothing"
            raise StoryError(f"The subscription never saw {state}; it saw {states}.") from None
        for seen in self._watch.seen[mark:]:
            self._telling.expect(
                self.sandbox_id in {"", seen.sandbox_id},
                f"The subscription told of {seen.sandbox_id}, which is another.",
            )
        self._telling.step(
            start,
            "subscriber saw",
            " → ".join(f"{seen.state} +{(seen.at_seconds - start) * 1000:.0f}" for seen in self._watch.seen[mark:]),
        )

    def _is_gone(self, start: float, remark: str) -> None:
        if not self._on_this_host:
            self._telling.step(
                start,
                "host",
                "another computer than this one: its processes were not looked at",
            )
            return
        left = machine_processes(self.sandbox_id)
        self._telling.expect(not left, f"Processes of the sandbox are still there: {left}.")
        self._telling.step(start, "QEMU is gone", remark)


def _stages(payload: Json) -> str:
    return ", ".join(f"{stage['name']} {stage['durationMs']:.0f}" for stage in payload["operation"]["stages"])
