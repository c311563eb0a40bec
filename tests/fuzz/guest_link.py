"""`python -m tests.fuzz.guest_link --seconds 600`: lets a fuzzer be the guest, and keeps what it found out.

A guest is an attacker: nothing that it says may have the host raise anything but an AgentError, hold more memory than
its limits say, wait for ever, or disturb another link (`tests/fuzz/limits.py`, `tests/fuzz/scene.py`). Inputs that
reach something new stay in `.fuzz/`, and the smallest that reach the same go to `tests/fuzz/corpus/`, which every run
of the tests plays again. An input that breaks a promise is left in `.fuzz/`; `--play` shows what is wrong with it.
"""

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import corpus, scene, script
from tests.fuzz.seeds import SEEDS

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus/guest_link"
WORK = ROOT / ".fuzz/guest_link"
INPUT_BYTES_MAX = 2048
SCENE_SECONDS_MAX = 20
MEMORY_MIB_MAX = 1024


def fuzz(seconds: int, seed: int) -> int:
    """Lets the engine run. Returns the exit status: 0 if it found nothing wrong."""
    seen, seeds = WORK / "seen", WORK / "seeds"
    for folder in (seen, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for steps in SEEDS.values():
        data = script.written(steps)
        (seeds / corpus.name(data)).write_bytes(data)
    flags = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={SCENE_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-artifact_prefix={WORK}/",
        "-use_value_profile=1",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.engine", *flags, str(seen), str(seeds), str(CORPUS)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def minimise() -> None:
    """Brings the kept corpus to the fewest and smallest inputs that reach what it and the last runs reached beyond the
    seeds."""
    seen = WORK / "seen"
    candidates = corpus.inputs(CORPUS) + (corpus.inputs(seen) if seen.is_dir() else [])
    kept, reached = corpus.minimised(scene.play, map(script.written, SEEDS.values()), candidates)
    for path in CORPUS.iterdir():
        path.unlink()
    for data in kept:
        (CORPUS / corpus.name(data)).write_bytes(data)
    lines, possible = corpus.lines(reached), corpus.possible_lines()
    print(
        f"{len(candidates)} inputs became {len(kept)} of {sum(map(len, kept))} bytes, which with the seeds reach"
        f" {len(reached)} features and {len(lines & possible)} of {len(possible)} lines of agent/link"
    )
    for file in sorted({file for file, _ in possible}):
        missed = sorted(line for name, line in possible - lines if name == file)
        print(f"  {file}: {'all' if not missed else 'all but ' + ', '.join(map(str, missed))}")


def main() -> int:
    """Returns the exit status of the engine."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guest_link", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long to fuzz; 0 only minimises the corpus")
    parser.add_argument("--seed", type=int, default=0, help="of chance; 0 takes another one each time")
    parser.add_argument("--play", type=Path, help="only play this input, to see what is wrong with it")
    options = parser.parse_args()
    if options.play:
        scene.play(options.play.read_bytes())
        return 0
    if options.seconds and not find_spec("atheris"):
        print("The engine is not installed: `make fuzz` installs it, on x86-64.", file=sys.stderr)
        return 1
    status = fuzz(options.seconds, options.seed) if options.seconds else 0
    if status == 0:
        minimise()
    return status


if __name__ == "__main__":
    sys.exit(main())
