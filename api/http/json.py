"""JSON in and out."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from api.errors import Invalid


class JSONResponse(Response):
    """A response in JSON. Never cached: everything that answers in JSON depends on the caller."""

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, {"cache-control": "no-store", **(headers or {})}, media_type)

    def render(self, content: Any) -> bytes:
        """The bytes of the JSON."""
        return orjson.dumps(content)


def parse_json(body: bytes | str) -> Any:
    """What the text says.

    Raises:
        Invalid: `MALFORMED_JSON`. Lone surrogates, NaN and bytes that are not UTF-8 are no JSON either.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error}.", code="MALFORMED_JSON") from None
