"""A template of one's own, made while the platform runs."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.images.archives import of_disk
from tests.system.platform import ROOT, Platform, platform
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(600)]


async def nestbox(on: Platform, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nestbox", *words),
        cwd=ROOT,
        env={**os.environ, "NESTBOX_DATA_DIR": str(on.data_dir)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    return process.returncode or 0, output.decode(), complaints.decode()


async def create(on: Platform, name: str) -> Any:
    query = """mutation($name: String!) { createSandbox(input: {templateName: $name, waitSeconds: 60}) {
        sandbox { id state template { name isPlatform } } userErrors { code message } } }"""
    return (await on.graphql(query, name=name))["createSandbox"]


async def test_one_that_is_imported_is_used_at_once_and_kept_as_long_as_it_is_used(
    tmp_path: Path, cache_dir: Path
) -> None:
    async with platform() as running:
        await running.start()
        # those of former recipes may lie there too
        disk = max((cache_dir / "images").glob("root-*/disk"), key=lambda path: path.stat().st_mtime)
        archive = await asyncio.to_thread(of_disk, disk, tmp_path)
        assert [error["code"] for error in (await create(running, "mine"))["userErrors"]] == ["NOT_FOUND"]

        status, output, complaints = await nestbox(running, "template", "import", "mine", str(archive), "--json")
        assert status == 0, complaints
        made = await create(running, "mine")
        assert made["userErrors"] == []
        assert made["sandbox"]["state"] == "RUNNING"
        assert made["sandbox"]["template"] == {"name": "mine", "isPlatform": True}
        assert await running.run(made["sandbox"]["id"], "cat /etc/debian_version") != ""

        await running.command("pauseSandbox", "PauseSandboxInput", "sandbox { state }", id=made["sandbox"]["id"])
        status, _, complaints = await nestbox(running, "template", "remove", "mine")
        assert (status, complaints.startswith("The template mine is in use by 1 sandbox")) == (1, True)
        await running.command("resumeSandbox", "ResumeSandboxInput", "sandbox { state }", id=made["sandbox"]["id"])
        await running.command("deleteSandbox", "DeleteSandboxInput", "sandbox { state }", id=made["sandbox"]["id"])
        status, _, complaints = await nestbox(running, "template", "remove", "mine")
        assert status == 0, complaints
        assert [error["code"] for error in (await create(running, "mine"))["userErrors"]] == ["NOT_FOUND"]

        # what it stood on goes at the next start of the agent
        running.interrupt()
        assert await running.ended() == 0
        await running.start()
        content_id = json.loads(output)["content_id"]
        await eventually(lambda: len(list((running.data_dir / "agent/memory-images").glob("[0-9a-f]*"))) == 1)
        assert not list((running.data_dir / "agent/images").glob(f"*{content_id}*"))
        running.interrupt()
        assert await running.ended() == 0
