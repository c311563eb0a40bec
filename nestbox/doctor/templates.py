"""Base templates of one's own: is the image of each on this host? Sandboxes of one that is not cannot start here."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from nestbox.doctor.finding import Finding, Verdict
from nestbox.settings import PROJECT_ROOT, Settings
from nestbox.setup.environment import Environment

LIST_DEADLINE_SECONDS = 60
_TOPIC = "templates"
_MEND = "make it again under the same name (`nestbox template build-base` or `import`), or `nestbox template remove`"


def examine_templates(settings: Settings) -> list[Finding]:
    """Before the set-up and while no database runs, what this host knows is compared with what it has; else also what
    the platform knows."""
    python = Environment(PROJECT_ROOT).python
    command = [str(python), "-m", "nestbox", "template", "list", "--json", "--no-start"]
    if not python.exists():
        command = [sys.executable, "-m", "agent.images", "list", str(settings.cache_dir), f"{settings.data_dir}/agent"]
    try:
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=LIST_DEADLINE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [Finding(_TOPIC, Verdict.NOTE, f"not examined: it took more than {LIST_DEADLINE_SECONDS} s")]
    try:
        listed = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[0]
        return [Finding(_TOPIC, Verdict.NOTE, f"not examined: {last}")]
    return read_list([{**one, **one.get("template", {})} for one in listed])


def read_list(listed: Sequence[Mapping[str, object]]) -> list[Finding]:
    """Findings from the list of all base templates; the built-in one is the set-up's to make."""
    own = [one for one in listed if one["name"] != "base"]
    missing = [str(one["name"]) for one in own if not one["is_present"]]
    if missing:
        these = f"the image of {missing[0]} is" if len(missing) == 1 else f"the images of {', '.join(missing)} are"
        text = f"{these} not on this host: sandboxes of {'it' if len(missing) == 1 else 'them'} cannot start here"
        return [Finding(_TOPIC, Verdict.NOTE, text, _MEND)]
    text = f"the images of {', '.join(str(one['name']) for one in own)} are here" if own else "only the built-in one"
    return [Finding(_TOPIC, Verdict.GOOD, text)]
