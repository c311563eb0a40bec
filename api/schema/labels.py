"""Labels and environment variables: pairs of texts."""

import strawberry


@strawberry.type(description="A note on a sandbox that lists can be filtered by.")
class Label:
    key: str = strawberry.field(description="Its name, unique on the sandbox.")
    value: str = strawberry.field(description="Its value.")


@strawberry.input(description="A label to set, or to filter by.")
class LabelInput:
    key: str = strawberry.field(description="Its name: 1 to 128 bytes on one line.")
    value: str = strawberry.field(description="Its value: at most 256 bytes on one line.")


@strawberry.input(description="An environment variable.")
class EnvironmentVariableInput:
    name: str = strawberry.field(description="Its name: letters, digits and underscores, not starting with a digit.")
    value: str = strawberry.field(description="Its value: at most 32 KiB, without NUL.")


def label_pairs(labels: list[LabelInput] | None) -> tuple[tuple[str, str], ...]:
    """Labels as services take them: pairs, so that what is given twice is seen."""
    return tuple((label.key, label.value) for label in labels or ())


def environment_pairs(variables: list[EnvironmentVariableInput] | None) -> tuple[tuple[str, str], ...]:
    """Environment variables as services take them."""
    return tuple((variable.name, variable.value) for variable in variables or ())
