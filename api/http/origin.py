"""Which web pages may use a session, or open a WebSocket."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers


def is_allowed_origin(headers: Headers, allowed: tuple[str, ...]) -> bool:
    """Whether a connection comes from no page at all, from one of ours, or from a listed origin.

    Browsers let any page connect anywhere and always say where it is from; programs say nothing.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin.rstrip("/") in allowed:
        return True
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        # no origin that a browser would send
        return False


def is_our_origin(headers: Headers, allowed: tuple[str, ...]) -> bool:
    """Whether a request comes from a page of ours, or of a listed origin, and says so. A browser adds its cookies
    whoever asks, so a session needs this where a key does not."""
    return headers.get("origin") is not None and is_allowed_origin(headers, allowed)
