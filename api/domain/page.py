"""Pages of lists. The key of every list is the id: UUIDs of version 7 sort by the time they were made."""

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from api.errors import Invalid

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list, in the order of the list."""

    items: tuple[T, ...]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part: the `size` items that follow `after`, or, when `backwards`, that precede `before`."""

    size: int
    after: UUID | None = None
    before: UUID | None = None
    backwards: bool = False


def page_request(
    *, first: int | None = None, after: UUID | None = None, last: int | None = None, before: UUID | None = None
) -> PageRequest:
    """The arguments of a Relay connection, checked.

    Raises:
        Invalid: both directions at once, or a size outside 1 to 100.
    """
    if first is not None and last is not None:
        raise Invalid("Give first or last, not both.", path=("last",))
    size = first if first is not None else last
    if size is None:
        size = PAGE_SIZE_DEFAULT
    if not 1 <= size <= PAGE_SIZE_MAX:
        raise Invalid(
            f"A page has 1 to {PAGE_SIZE_MAX} items, not {size}.", path=("first" if first is not None else "last",)
        )
    backwards = last is not None or (first is None and before is not None and after is None)
    return PageRequest(size=size, after=after, before=before, backwards=backwards)


def page_of(found: tuple[T, ...], request: PageRequest) -> Page[T]:
    """The page made of what was found when one item more than its size was asked for, in the direction of reading."""
    more = len(found) > request.size
    items = found[: request.size]
    if request.backwards:
        return Page(items[::-1], has_next=request.before is not None, has_previous=more)
    return Page(items, has_next=more, has_previous=request.after is not None)
