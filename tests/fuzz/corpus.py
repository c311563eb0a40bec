"""The kept inputs of a fuzzer: as few and as small as reach everything that was ever reached."""

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from agent import link

Feature = tuple[str, str, int, int, int]
"""File, function, a line, the line before it there, and how often, as a power of two."""
Play = Callable[[bytes], None]

_TRACED = str(Path(link.__file__).parent)


def inputs(folder: Path) -> list[bytes]:
    """All that lie in a folder, the smallest first."""
    return sorted((path.read_bytes() for path in folder.iterdir()), key=lambda data: (len(data), data))


def name(data: bytes) -> str:
    """What the file of an input is called: the same as the engine's name for it."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


class _Tracer:
    """Counts the steps from line to line in `agent/link/`."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[CodeType, int, int]] = Counter()
        self._before: dict[FrameType, int] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_TRACED):
            return None
        if event == "return":
            self._before.pop(frame, None)
        elif event in ("call", "line"):
            self.counts[code, self._before.get(frame, 0), frame.f_lineno] += 1
            self._before[frame] = frame.f_lineno
        return self


def features(play: Play, data: bytes) -> frozenset[Feature]:
    """What playing it reaches. Raises what `play` raises."""
    tracer, before = _Tracer(), sys.gettrace()
    sys.settrace(tracer)
    try:
        play(data)
    finally:
        sys.settrace(before)
    return frozenset(
        (Path(code.co_filename).name, code.co_qualname, line, last, int(math.log2(count)))
        for (code, last, line), count in tracer.counts.items()
    )


def lines(reached: Iterable[Feature]) -> set[tuple[str, int]]:
    """File and number of each line among the features."""
    return {(file, line) for file, _, line, _, _ in reached}


def possible_lines() -> set[tuple[str, int]]:
    """Every line of `agent/link/` that a trace can name, in functions."""
    found: set[tuple[str, int]] = set()
    for path in sorted(Path(_TRACED).glob("*.py")):
        codes = [compile(path.read_text(encoding="utf-8"), str(path), "exec")]
        while codes:
            code = codes.pop()
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            if code.co_flags & 0x02:  # CO_NEWLOCALS: a function, not a module or a class
                found.update((path.name, line) for *_, line in code.co_lines() if line)
    return found


def minimised(
    play: Play, always: Iterable[bytes], candidates: Iterable[bytes]
) -> tuple[list[bytes], frozenset[Feature]]:
    """Those of the candidates that reach something that neither `always` does nor a smaller one, and what all of them
    reach together."""
    seeded = frozenset[Feature]().union(*(features(play, data) for data in always))
    reached = set(seeded)
    kept: list[tuple[bytes, frozenset[Feature]]] = []
    for data in sorted(set(candidates), key=lambda data: (len(data), data)):
        found = features(play, data)
        if not found <= reached:
            kept.append((data, found - seeded))
            reached |= found
    # What a small one was kept for, larger ones may have reached since.
    held = Counter(feature for _, found in kept for feature in found)
    needed = []
    for data, found in kept:
        if all(held[feature] > 1 for feature in found):
            held.subtract(found)
        else:
            needed.append(data)
    return needed, frozenset(reached)
