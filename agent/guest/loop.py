"""What the guest waits for: descriptors, deadlines and work to go on with. Without any of them it sleeps for ever."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN = select.EPOLLIN
OUT = select.EPOLLOUT
EDGE = select.EPOLLET


class Loop:
    """One thread, no periodic timer. A handler must bear being called for nothing: within one round a descriptor can
    be closed and its number given to another."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._timer_count = 0
        self.work: list[Callable[[], None]] = []
        """Called once each, before the loop waits again."""

    def watch(self, descriptor: int, events: int, handler: Callable[[], None]) -> None:
        """Calls `handler` whenever one of `events` holds (or the other end has gone), until `forget`."""
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def change(self, descriptor: int, events: int) -> None:
        """Other events for one that is watched."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """To be called before the descriptor is closed."""
        self._epoll.unregister(descriptor)
        del self._handlers[descriptor]

    def call_in(self, milliseconds: int, handler: Callable[[], None]) -> int:
        """Returns a number for `cancel`."""
        self._timer_count += 1
        self._timers.append((time.monotonic_ns() + milliseconds * 1_000_000, self._timer_count, handler))
        self._timers.sort(key=_due)
        return self._timer_count

    def cancel(self, number: int) -> None:
        """Does nothing for one that was called."""
        self._timers = [timer for timer in self._timers if timer[1] != number]

    def turn(self) -> None:
        """Waits for something, and does what it calls for."""
        timeout: float = -1
        if self.work:
            timeout = 0
        elif self._timers:
            timeout = max(0, self._timers[0][0] - time.monotonic_ns()) / 1e9
        for descriptor, _ in self._epoll.poll(timeout):
            handler = self._handlers.get(descriptor)
            if handler is not None:
                handler()
        while self._timers and self._timers[0][0] <= time.monotonic_ns():
            self._timers.pop(0)[2]()
        if self.work:
            work, self.work = self.work, []
            for step in work:
                step()


def _due(timer: tuple[int, int, Callable[[], None]]) -> int:
    return timer[0]
