"""How a list of sandboxes, and a live list, chooses among them."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.domain.sandbox.lifecycle import LISTED
from api.domain.sandbox.record import Sandbox, ShownState, shown_state


@dataclass(frozen=True, slots=True)
class SandboxFilter:
    """All that is given must hold. `states` are states as shown; None is every state but deleted.

    `labels` must be there with these values, `name_contains` ignores case, `created_after` is inclusive and
    `created_before` is not. `api/db/sandboxes.py` says the same in SQL; a test compares the two.
    """

    states: frozenset[ShownState] | None = None
    template_id: UUID | None = None
    labels: dict[str, str] = field(default_factory=dict)
    name_contains: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def matches(self, sandbox: Sandbox) -> bool:
        """Whether a sandbox belongs to the list."""
        if self.states is None:
            if sandbox.state not in LISTED:
                return False
        elif shown_state(sandbox) not in self.states:
            return False
        return (
            (self.template_id is None or sandbox.template_id == self.template_id)
            and all(sandbox.labels.get(key) == value for key, value in self.labels.items())
            and (self.name_contains is None or self.name_contains.lower() in sandbox.name.lower())
            and (self.created_after is None or sandbox.created_at >= self.created_after)
            and (self.created_before is None or sandbox.created_at < self.created_before)
        )
