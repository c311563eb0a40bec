"""How the demo tells its steps and what it does when one is not as it should be."""

import time

from rich.console import Console
from rich.markup import escape


class StoryError(Exception):
    """Something is not as it should be; the text is a sentence that says what."""


class Telling:
    """One line for each step, with its time."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, start: float, label: str, text: str) -> None:
        """Tells a step that was begun at `start` (`time.perf_counter`) and is done."""
        milliseconds = (time.perf_counter() - start) * 1000
        self._console.print(
            f"[green]ok[/green] {milliseconds:8.1f} ms  [bold]{label:<18}[/bold] {escape(text)}",
            soft_wrap=True,
            highlight=False,
        )

    def remark(self, text: str) -> None:
        """Tells something that is no step."""
        self._console.print(escape(text), soft_wrap=True)

    @staticmethod
    def expect(holds: bool, otherwise: str) -> None:
        """Raises: StoryError with `otherwise` unless it holds."""
        if not holds:
            raise StoryError(otherwise)
