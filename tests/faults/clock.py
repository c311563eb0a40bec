"""The time of day of one program, which a test can set: libfaketime, between the program and the C library.

Only the time of day: the monotonic clock, by which the program waits, and the times of files stay as they are.
"""

from pathlib import Path

PACKAGE = "libfaketime"
NOTICED_SECONDS = 1
"""After so long the program sees that its clock was set; at once would mean to read a file at each look at it."""


def library() -> Path | None:
    """The library, if its Debian package is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def preloaded(clock: Path) -> dict[str, str]:
    """The environment of a program whose clock is set by this file."""
    found = library()
    assert found is not None, f"the package {PACKAGE} is missing"
    if not clock.exists():
        set_ahead(clock, 0)
    return {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": str(NOTICED_SECONDS),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def set_ahead(clock: Path, seconds: int) -> None:
    """Takes effect within `NOTICED_SECONDS`."""
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.replace(clock)
