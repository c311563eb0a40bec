"""Programs that the set-up runs: their output goes to a log, and its last line shows that they are alive."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from nestbox.errors import Problem
from nestbox.setup.progress import SILENCE_SECONDS, Progress

_LAST_LINES = 15
# pip and npm comment on their configuration; that does not say how far they are.
_WARNINGS = ("warning", "npm warn")


class CommandFailed(Problem):
    """A program of the set-up ended with an error; `returncode` is its exit status, `output` what it said."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str, log: Path) -> None:
        tail = "\n".join(f"    {line}" for line in output.splitlines()[-_LAST_LINES:])
        super().__init__(f"`{' '.join(argv[:6])}` ended with status {returncode}:\n{tail}\n  (all of it: {log})")
        self.returncode = returncode
        self.output = output


class Commands:
    """Runs the programs of one set-up, and can end them all."""

    def __init__(self, root: Path, progress: Progress, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.logs = root / ".setup"
        self.progress = progress
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(
        self,
        step: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        echo: bool = False,
        interruptible: bool = True,
    ) -> str:
        """Runs `argv` to its end and returns what it printed; with `echo` each of its lines is shown.
        `variables` are added to the environment.

        A program that is not `interruptible` is left to finish when another step fails (apt: dpkg must not be cut).

        Raises: CommandFailed; Problem when there is no such program.
        """
        self.logs.mkdir(exist_ok=True)
        log_path = self.logs / f"{step}.log"
        with log_path.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(argv)}\n")
            try:
                process = subprocess.Popen(
                    argv,
                    cwd=cwd or self.root,
                    env={**self.environment, **(variables or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            except FileNotFoundError as error:
                raise Problem(f"There is no program {argv[0]}.", "Install it, then repeat.") from error
            self._track(process, interruptible=interruptible)
            lines: list[str] = []
            with process, _Heartbeat(self.progress, step, lines):
                for line in process.stdout or ():
                    log.write(line)
                    lines.append(line)
                    if echo and line.strip():
                        self.progress.say(step, line.strip())
            with self._lock:
                self._running.discard(process)
        output = "".join(lines)
        if process.returncode != 0:
            raise CommandFailed(argv, process.returncode, output, log_path)
        return output

    def end_all(self) -> None:
        """Ends what runs and can be interrupted; what is started later is ended at once."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.terminate()

    def _track(self, process: subprocess.Popen[str], *, interruptible: bool) -> None:
        with self._lock:
            if interruptible:
                self._running.add(process)
                if self._ended:
                    process.terminate()


class _Heartbeat:
    """Shows the last line of a silent program from time to time."""

    def __init__(self, progress: Progress, step: str, lines: list[str]) -> None:
        self._progress = progress
        self._step = step
        self._lines = lines
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self._done.wait(SILENCE_SECONDS):
            telling = (line.strip() for line in reversed(self._lines) if not line.lower().startswith(_WARNINGS))
            last = next(telling, "working")
            self._progress.say(self._step, f"… {last}")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
