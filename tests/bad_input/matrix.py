"""The matrix of bad input: every row and every item of it, each with at least one cell or one test elsewhere.

A bad input gets a typed answer in less than a second, and changes nothing: no 5xx, no insides in the text, and no
memory that is kept. `test_cells.py` sends each cell once, `test_memory.py` again and again.
"""

from tests.bad_input.cells import Cell
from tests.bad_input.rows import elsewhere, graphql, hosts, http, sandboxes, sockets, values

ITEMS: dict[str, tuple[str, ...]] = {
    "HTTP": (
        *("empty body", "1 GiB body", "endless body", "endless head", "slow sender", "gzip bomb", "bad UTF-8"),
        "foreign Origin",
    ),
    "GraphQL": (
        *("depth 10,000", "10,000 aliases", "10,000 directives", "fragment cycle", "doubling fragments"),
        *("batch", "mutation by GET"),
    ),
    "Values": (
        *("NUL", "lone surrogate", "NaN", "2^63", "foreign id", "deleted id", "malformed id"),
        *("forged cursor", "page size 0", "page size 10^9"),
    ),
    "Create": (
        *("unknown template", "foreign template", "half-deleted template", "memory 0", "memory 1 PiB"),
        *("10,000 labels", "env with =", "env with newline", "env with NUL"),
    ),
    "Lifecycle": ("every operation in every state", "50 identical at once", "opposite ones racing"),
    "Exec": (
        *("2 MB argv", "missing binary", "endless output", "split UTF-8", "1,000 at once"),
        "stdin to one that ended",
    ),
    "Files": (
        *("..", "NUL", "4,096-byte name", "symlink loop", "link to /proc", "FIFO", "device"),
        *("sparse 1 TiB", "disk full in the guest"),
    ),
    "WebSocket": (
        *("no init", "double init", "old subprotocol", "foreign Origin", "10,000 subscriptions"),
        "a reader that stops",
    ),
    "gRPC": ("no credentials", "wrong credentials", "100 MB message", "stale generation"),
    "Guest → host": ("wrong length", "foreign stream", "endless frames", "terminal escapes"),
    "Dashboard": ("HTML and script in every field",),
}

CELLS: tuple[Cell, ...] = (
    *http.CELLS,
    *graphql.CELLS,
    *values.CELLS,
    *sandboxes.CELLS,
    *sockets.CELLS,
    *hosts.CELLS,
)
COVERED = elsewhere.COVERED
