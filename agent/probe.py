"""What this host can do, found out without serving anything: for `nestbox doctor`."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from agent.computer import read_computer
from agent.drivers.choice import make_driver
from agent.errors import AgentError
from agent.settings import Settings


async def find_out(settings: Settings, *, as_json: bool) -> str:
    """The facts as JSON, or as lines for people.

    Uses a data directory of its own, so that it may run beside an agent. `problem` is a sentence if machines cannot run
    here at all, and empty otherwise.
    """
    facts: dict[str, object] = {"driver": settings.driver, "problem": ""}
    with tempfile.TemporaryDirectory(prefix="nestbox-probe-") as folder:
        Path(folder).chmod(0o711)
        facts |= asdict(read_computer(Path(folder)))
        driver = make_driver(settings.model_copy(update={"data_dir": Path(folder)}), lambda _: None)
        try:
            await driver.open()
            try:
                found = await driver.facts()
            finally:
                await driver.close()
        except AgentError as error:
            facts["problem"] = error.message
        else:
            facts |= {
                "isolation": found.isolation.value,
                "accelerator": found.accelerator,
                "kvm_usable": found.accelerator == "kvm",
                "qemu_version": found.qemu_version,
                "shortcomings": list(found.shortcomings),
            }
    if as_json:
        return json.dumps(facts, indent=2)
    return "\n".join(f"{name.replace('_', ' ')}: {_line(value)}" for name, value in facts.items())


def _line(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
