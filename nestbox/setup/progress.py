"""What the set-up says while it works: a line for each thing that happens, with the seconds since the start."""

import threading
import time

# A step that says nothing for this long gets a line of its own, so that nobody wonders whether it hangs.
SILENCE_SECONDS = 15.0
_LINE_WIDTH_MAX = 110


class Progress:
    """Prints lines of several threads, whole and in order."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def say(self, step: str, text: str) -> None:
        """Prints one line about `step`."""
        elapsed = time.monotonic() - self._started
        with self._lock:
            print(f"{elapsed:7.1f} s  {step:<9} {text[:_LINE_WIDTH_MAX]}", flush=True)

    def seconds(self) -> float:
        """Since the start of the set-up."""
        return time.monotonic() - self._started
