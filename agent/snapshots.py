"""Keeping what a sandbox is now, for a template or for children: what is written down before, and undone after a
failure."""

from agent.drivers.driver import LiveMachine
from agent.errors import AgentError, Code
from agent.failure import as_failure
from agent.machine import Fork, Machine, Snapshot
from agent.parts import Parts
from agent.stopwatch import Stopwatch
from agent.template import KeptFork


async def keep(
    parts: Parts, machine: Machine, live: LiveMachine | None, action: Snapshot | Fork, watch: Stopwatch
) -> None:
    """Keeps it; who it is for is in the ledger before. `live` None: it is paused.

    Raises: AgentError, as the driver's `snapshot`, and as `Templates.begin` and `Forks.begin`: nothing is kept.
    """
    match action:
        case Snapshot():
            await parts.templates.begin(machine, action)
        case Fork():
            await parts.forks.begin(KeptFork(action.snapshot_id, machine.sandbox_id, frozenset(action.children)))
    children = len(action.children) if isinstance(action, Fork) else 0
    try:
        await parts.driver.snapshot(machine.spec, live, action.snapshot_id, watch.mark, children)
    except BaseException as error:
        # a cancellation goes on from here: the next agent looks how far it came
        failure = as_failure(error, Code.SNAPSHOT_FAILED, "The sandbox could not be snapshotted.")
        await _forget(parts, action, failure)
        raise failure from error


async def _forget(parts: Parts, action: Snapshot | Fork, failure: AgentError) -> None:
    match action:
        case Snapshot():
            await parts.templates.builds.abandon(action.template_id, failure)
        case Fork():
            await parts.forks.drop(action.snapshot_id)
