"""Decorators for resolvers, typed: Strawberry's own make what they decorate `Any`."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


def resolved(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of a type, with arguments or I/O of its own."""
    return cast("Callable[[ResolverT], ResolverT]", strawberry.field(description=description))


def command(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of Mutation."""
    return cast("Callable[[ResolverT], ResolverT]", strawberry.mutation(description=description))


def stream(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of Subscription."""
    return cast("Callable[[ResolverT], ResolverT]", strawberry.subscription(description=description))
