"""Labels: texts by which users find their sandboxes again."""

from api.domain.text import check_text
from api.errors import Invalid

LABELS_MAX = 64
"""Labels of one sandbox."""
KEY_BYTES_MAX = 128
VALUE_BYTES_MAX = 256


def check_labels(labels: tuple[tuple[str, str], ...], *, path: tuple[str, ...]) -> dict[str, str]:
    """The labels by key.

    Raises:
        Invalid: too many, too long, an empty key, or twice the same key.
    """
    if len(labels) > LABELS_MAX:
        raise Invalid(f"At most {LABELS_MAX} labels are accepted.", path=path)
    checked: dict[str, str] = {}
    for index, (key, value) in enumerate(labels):
        here = (*path, str(index))
        check_text(key, "The key of a label", max_bytes=KEY_BYTES_MAX, min_bytes=1, one_line=True, path=(*here, "key"))
        check_text(value, "The value of a label", max_bytes=VALUE_BYTES_MAX, one_line=True, path=(*here, "value"))
        if key in checked:
            raise Invalid("Two labels have the same key.", path=(*here, "key"))
        checked[key] = value
    return checked
