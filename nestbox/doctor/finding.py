"""One thing that the doctor looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is. The value is what is shown."""

    GOOD = "ok"
    # Works, but less well or less safely than it could.
    NOTE = "note"
    # Nestbox does not work until this is mended.
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in a few words, and what to do about it (empty when nothing has to be done)."""

    topic: str
    verdict: Verdict
    text: str
    mend: str = ""

    def lines(self) -> list[str]:
        """As people read it."""
        first = f"{self.verdict:>5}  {self.topic:<14} {self.text}"
        return [first, *([f"{'':>5}  {'':<14} → {self.mend}"] if self.mend else [])]
