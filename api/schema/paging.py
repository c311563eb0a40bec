"""Relay connections: arguments in, cursors out.

A cursor is the id of the row, encoded so that nobody is tempted to build one: pages are found by key, never by offset.
"""

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

import strawberry

from api.domain.page import Page, PageRequest, page_request
from api.errors import Invalid

First = Annotated[
    int | None,
    strawberry.argument(description="The first n after the cursor. Default 50, at most 100; not with `last`."),
]
After = Annotated[str | None, strawberry.argument(description="Start after this cursor; together with `first`.")]
Last = Annotated[
    int | None, strawberry.argument(description="The last n before the cursor, at most 100; not with `first`.")
]
Before = Annotated[str | None, strawberry.argument(description="End before this cursor; together with `last`.")]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="More follows after this page.")
    has_previous_page: bool = strawberry.field(description="More comes before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first edge; null when the page is empty."
    )
    end_cursor: str | None = strawberry.field(description="The cursor of the last edge; null when the page is empty.")


def encode_cursor(row_id: UUID) -> str:
    """The cursor of a row: 22 characters, safe in an address."""
    return base64.urlsafe_b64encode(row_id.bytes).rstrip(b"=").decode()


def decode_cursor(text: str, argument: str) -> UUID:
    """The row that a cursor stands for.

    Raises:
        Invalid: this platform never made such a cursor.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
        return UUID(bytes=raw)
    except (ValueError, binascii.Error):
        raise Invalid(
            "This is not a cursor of this list; take one from `edges.cursor` or `pageInfo`.", path=(argument,)
        ) from None


def requested_page(first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """The arguments of a connection as services take them.

    Raises:
        Invalid: a forged cursor, a size out of bounds, or both directions at once.
    """
    return page_request(
        first=first,
        after=None if after is None else decode_cursor(after, "after"),
        last=last,
        before=None if before is None else decode_cursor(before, "before"),
    )


def page_info(page: Page[Any], ids: list[UUID]) -> PageInfo:
    """`PageInfo` for a page whose rows have these ids."""
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=encode_cursor(ids[0]) if ids else None,
        end_cursor=encode_cursor(ids[-1]) if ids else None,
    )
