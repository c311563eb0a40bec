"""Runs steps at the same time where they do not need each other."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do after the steps named in `after`; names that are not planned count as done."""

    name: str
    work: Callable[[], None]
    after: tuple[str, ...] = ()


def run_steps(steps: Iterable[Step], on_failure: Callable[[], None]) -> None:
    """Runs all steps, each once those that it comes after are done.

    When one fails, no other is started, `on_failure` is called (to end what runs), and once nothing runs any more its
    error is raised. What the others raise because they were ended is dropped.
    """
    waiting = {step.name: step for step in steps}
    done = set[str]()
    planned = set(waiting)
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(waiting))) as pool:
        try:
            while waiting or running:
                for step in list(waiting.values()):
                    if all(name in done or name not in planned for name in step.after):
                        running[pool.submit(waiting.pop(step.name).work)] = step.name
                if not running:
                    raise ValueError(f"steps that wait for each other: {', '.join(waiting)}")
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    future.result()
                    done.add(name)
        except BaseException:
            on_failure()
            raise
