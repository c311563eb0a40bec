"""What texts from users may be, so that every store and every guest can hold them."""

from api.errors import Invalid


def check_text(
    text: str, what: str, *, max_bytes: int, path: tuple[str, ...], min_bytes: int = 0, one_line: bool = False
) -> str:
    """The text, if it can be kept: valid Unicode without NUL, of at most `max_bytes` bytes of UTF-8.

    Raises:
        Invalid: it can not; the sentence names it as `what`, and `path` names the input.
    """
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{what} is not valid Unicode: it holds half of a surrogate pair.", path=path) from None
    if "\0" in text:
        raise Invalid(f"{what} must not contain a NUL character.", path=path)
    if one_line and ("\n" in text or "\r" in text):
        raise Invalid(f"{what} must be a single line.", path=path)
    if size_bytes > max_bytes:
        raise Invalid(f"{what} is too long: {size_bytes:,} bytes, at most {max_bytes:,} are accepted.", path=path)
    if size_bytes < min_bytes:
        raise Invalid(f"{what} must not be empty.", path=path)
    return text
