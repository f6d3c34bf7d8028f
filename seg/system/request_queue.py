"""The queue of requests for a network: threads use it in order of arrival, one or a few at a time.

A plain lock can go repeatedly to one thread, such as a batch of photos, while the others wait.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from seg.errors import StreetFCNError

POLL = 1.0
"""Seconds after which a waiting thread is told its position again, even if it has not changed."""


class QueueFullError(StreetFCNError, RuntimeError):
    """The queue has no room for another thread."""


class RequestQueue:
    """First-come, first-served lock with a bounded queue.

    Args:
        most: number of threads that may wait at the same time.
        holders: number of threads that may hold the lock at the same time.
    """

    def __init__(self, most: int, holders: int = 1) -> None:
        self._most, self._holders = most, holders
        self._queue_moved = threading.Condition()
        self._tickets: list[object] = []

    @contextmanager
    def acquire(self, on_position: Callable[[int], object] = lambda ahead: None) -> Iterator[None]:
        """Wait for the lock and hold it until the end of the block.

        Args:
            on_position: called with the number of threads ahead while there are any, and finally with the
                number of other holders before this one; it may raise to stop waiting.

        Raises:
            QueueFullError: immediately, if too many threads are waiting already.
        """
        ticket = object()
        with self._queue_moved:
            if len(self._tickets) >= self._most + self._holders:
                raise QueueFullError(
                    f"The queue is full: {self._most} photos are already waiting. Try again in a moment."
                )
            self._tickets.append(ticket)
        try:
            while (ahead := self._position(ticket)) >= self._holders:
                on_position(ahead)
                with self._queue_moved:
                    self._queue_moved.wait_for(partial(self._has_moved, ticket, ahead), POLL)
            on_position(ahead)
            yield
        finally:
            with self._queue_moved:
                self._tickets.remove(ticket)
                self._queue_moved.notify_all()

    def _has_moved(self, ticket: object, last_position: int) -> bool:
        return self._tickets.index(ticket) != last_position

    def _position(self, ticket: object) -> int:
        with self._queue_moved:
            return self._tickets.index(ticket)
