"""Sandboxes: their lifecycle, the record of one, what may be done with it, and how lists choose among them."""

from api.domain.sandbox.actions import RESUMABLE, RESUMES, Action, Allowed, accepted_in, allowed_actions, refusal
from api.domain.sandbox.creation import CreateSandbox, Creation, check_creation, check_shape, check_timeout
from api.domain.sandbox.filter import SandboxFilter
from api.domain.sandbox.forking import CHILDREN_MAX, Forking, ForkSandbox, check_forking, inherit
from api.domain.sandbox.lifecycle import (
    ACCEPTS_EXEC,
    HOLDS_CAPACITY,
    LISTED,
    MOVES,
    NEEDS_HOST,
    TERMINAL,
    TRANSITIONAL,
    Cause,
    Goal,
    Move,
    Owner,
    State,
    deadline_of,
    sources,
)
from api.domain.sandbox.record import UNREACHABLE, Sandbox, ShownState, shown_state

__all__ = [
    "ACCEPTS_EXEC",
    "CHILDREN_MAX",
    "HOLDS_CAPACITY",
    "LISTED",
    "MOVES",
    "NEEDS_HOST",
    "RESUMABLE",
    "RESUMES",
    "TERMINAL",
    "TRANSITIONAL",
    "UNREACHABLE",
    "Action",
    "Allowed",
    "Cause",
    "CreateSandbox",
    "Creation",
    "ForkSandbox",
    "Forking",
    "Goal",
    "Move",
    "Owner",
    "Sandbox",
    "SandboxFilter",
    "ShownState",
    "State",
    "accepted_in",
    "allowed_actions",
    "check_creation",
    "check_forking",
    "check_shape",
    "check_timeout",
    "deadline_of",
    "inherit",
    "refusal",
    "shown_state",
    "sources",
]
