"""Another server in a thread, for what our own talks to."""

import contextlib
import threading
from collections.abc import Iterator

import uvicorn

from tests.api.conftest import START_SECONDS_MAX, wait_until


@contextlib.contextmanager
def thread_serving(config: uvicorn.Config) -> Iterator[None]:
    """Serves until the end of the block."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="another server")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "The start of the other server")
        assert thread.is_alive(), "the other server could not start"
        yield
    finally:
        server.should_exit = True
        thread.join(START_SECONDS_MAX)
