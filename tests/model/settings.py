"""How much the model does, from the environment."""

import os


def profile() -> str:
    """`quick`: the same few runs each time, for the suite; `deep`: many, each time others (`make model`)."""
    return os.environ.get("NESTBOX_MODEL", "quick")


def examples() -> int:
    """How many runs the deep profile makes."""
    return int(os.environ.get("NESTBOX_MODEL_EXAMPLES", "300"))
