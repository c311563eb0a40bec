"""Which media type a GraphQL answer has: the specification "GraphQL over HTTP", sections 4 and 6."""

from api.errors import Invalid

GRAPHQL_RESPONSE = "application/graphql-response+json"
LEGACY = "application/json"
_ACCEPTED_RANGES = {
    GRAPHQL_RESPONSE: GRAPHQL_RESPONSE,
    LEGACY: LEGACY,
    # who accepts anything, or says nothing, is taken for a client from before the specification
    "application/*": LEGACY,
    "*/*": LEGACY,
}


def answer_media_type(accept: str | None) -> str:
    """The media type that the client likes best of the two that there are.

    Raises:
        Invalid: `NOT_ACCEPTABLE`, it wants neither.
    """
    if accept is None or not accept.strip():
        return LEGACY
    best, best_quality = None, 0.0
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found = _ACCEPTED_RANGES.get(name)
        quality = _quality(parameters)
        if found is not None and quality > best_quality:
            best, best_quality = found, quality
    if best is None:
        raise Invalid(f"The answer can be {GRAPHQL_RESPONSE} or {LEGACY}.", code="NOT_ACCEPTABLE")
    return best


def is_json(content_type: str | None) -> bool:
    """Whether a body declares itself as JSON in UTF-8.

    Forms and plain text, which a foreign page can make a browser send without asking, are refused by this.
    """
    name, *parameters = (piece.strip().lower() for piece in (content_type or "").split(";"))
    charsets = [value.strip('"') for key, _, value in (text.partition("=") for text in parameters) if key == "charset"]
    return name == LEGACY and all(charset in {"utf-8", "utf8"} for charset in charsets)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
