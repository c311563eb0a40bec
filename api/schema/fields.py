"""Decorators for resolvers, typed: Strawberry's own make what they decorate `Any`."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import strawberry
from strawberry.extensions import FieldExtension

from api.schema.context import OperationInfo
from api.services.audit import Deed

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


_TARGETS = ("id", "sandbox_id", "user_id", "team_id", "host_id")
"""Fields of inputs that name what is changed."""


class Audited(FieldExtension):
    """Lets a mutation leave a line in the audit log, whatever comes of it."""

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: Any,
        info: OperationInfo,
        **given: Any,
    ) -> Any:
        """What the mutation answers."""
        context = info.context
        deed = Deed.of(
            context.principal,
            info.field_name,
            request_id=context.request_id,
            address=context.address,
            target=_target(given),
        )
        async with context.services.audit.doing(deed):
            payload = await next_(source, info, **given)
            if payload.user_errors:
                deed.result = payload.user_errors[0].code.value
        return payload


def _target(given: dict[str, Any]) -> str:
    named = (getattr(value, name, None) for value in given.values() for name in _TARGETS)
    return next((str(text) for text in named if text), "")


def resolved(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of a type, with arguments or I/O of its own."""
    return cast("Callable[[ResolverT], ResolverT]", strawberry.field(description=description))


def command(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of Mutation. Its payload has `user_errors`."""
    return cast(
        "Callable[[ResolverT], ResolverT]", strawberry.mutation(description=description, extensions=[Audited()])
    )


def stream(description: str) -> Callable[[ResolverT], ResolverT]:
    """A field of Subscription."""
    return cast("Callable[[ResolverT], ResolverT]", strawberry.subscription(description=description))
