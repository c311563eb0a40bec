"""What `nestbox up` says: one short line for each thing, with the seconds since the start."""

import time

import click


class Speaker:
    """Prints to standard output; the programs' own words are in their log files."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def did(self, what: str, text: str) -> None:
        """Something was done."""
        click.echo(f"{time.monotonic() - self._started:6.1f} s  {what:<10} {text}")

    def show(self, name: str, value: str) -> None:
        """A value that people want to copy."""
        click.echo(f"  {name:<10} {value}")

    def line(self, text: str = "") -> None:
        """A line of its own."""
        click.echo(text)

    def problem(self, text: str) -> None:
        """Something went wrong; to standard error."""
        click.echo(text, err=True)
