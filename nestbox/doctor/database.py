"""Whom the API is to the database: could it change what the audit log says?"""

import subprocess
from collections.abc import Mapping

from nestbox.doctor.asking import SaidNothingError, answer_of
from nestbox.doctor.finding import Finding, Verdict
from nestbox.settings import PROJECT_ROOT, Settings
from nestbox.setup.environment import Environment

EXAMINE_DEADLINE_SECONDS = 60
_TOPIC = "database"
_MEND = 'give the API a role that owns nothing: README, "A PostgreSQL of your own"'


def examine_database(settings: Settings) -> list[Finding]:
    """Asks the API what it is to the database of `DATABASE_URL`. In the embedded one `nestbox up` sees to that."""
    if not settings.database_url:
        return [Finding(_TOPIC, Verdict.GOOD, "embedded; the API has a role of its own there")]
    python = Environment(PROJECT_ROOT).python
    if not python.exists():
        return [Finding(_TOPIC, Verdict.NOTE, "not examined: that needs the set-up", "make setup")]
    try:
        said = answer_of(python, ("-m", "api", "show-database-role"), EXAMINE_DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        return [Finding(_TOPIC, Verdict.NOTE, f"not examined: it took more than {EXAMINE_DEADLINE_SECONDS} s")]
    except SaidNothingError as error:
        last = str(error) or "nothing was said"
        return [Finding(_TOPIC, Verdict.NOTE, f"not examined: {last.removeprefix('api: ')}")]
    return [read_role(said)]


def read_role(said: Mapping[str, str]) -> Finding:
    """The finding from what the API said of its role."""
    role, weakness = said["role"], said["weakness"]
    if weakness:
        text = f"the role {role} of DATABASE_URL {weakness}: only triggers keep the audit log as it is"
        return Finding(_TOPIC, Verdict.NOTE, text, _MEND)
    return Finding(_TOPIC, Verdict.GOOD, f"the role {role} of DATABASE_URL can only add to the audit log")
