"""The queue of requests for a network or a process: threads use it one or a few at a time, in order of
arrival or by turns of the visitors for whom they ask.

A plain lock can go repeatedly to one thread, such as a batch of photos, while the others wait.
"""

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from seg.errors import StreetFCNError

POLL = 1.0
"""Seconds after which a waiting thread is told its position again, even if it has not changed."""

REMEMBERED = 60.0
"""Seconds for which the use of a visitor counts."""

SLOW = 4.0
"""Seconds, of the use in that time and the request itself, from which a request is slow."""

_clock = time.monotonic


class QueueFullError(StreetFCNError, RuntimeError):
    """The queue has no room for another thread.

    Args:
        waiting: number of threads that wait.
    """

    def __init__(self, waiting: float) -> None:
        super().__init__(f"The queue is full: {waiting} photos are already waiting. Try again in a moment.")


@dataclass(eq=False)
class _Request:
    visitor: Hashable
    seconds: float  # that it will probably take
    since: float  # its arrival, then the start of its turn
    is_slow: bool = False  # known when its turn starts


class RequestQueue:
    """Lock with a bounded queue.

    Args:
        most: number of threads that may wait at the same time.
        holders: number of threads that may hold the lock at the same time.
        visitor: returns for whom the present thread asks. A visitor holds the lock once at a time, and a
            request counts as having arrived later by the seconds that it will probably take and for which its
            visitor held the lock in the last minute. If these are many, it leaves the last place to others.
            By default every request is of another visitor: the first-come is the first served.
    """

    def __init__(
        self, most: float = math.inf, holders: int = 1, visitor: Callable[[], Hashable] = object
    ) -> None:
        self._most, self._holders, self._visitor = most, holders, visitor
        self._queue_moved = threading.Condition()
        self._waiting: list[_Request] = []
        self._holding: list[_Request] = []
        self._ended: deque[tuple[float, Hashable, float]] = deque()  # when, visitor, seconds
        self._used: defaultdict[Hashable, float] = defaultdict(float)  # the sum of these seconds

    @contextmanager
    def acquire(
        self, on_position: Callable[[int], object] = lambda ahead: None, seconds: float = 0.0
    ) -> Iterator[None]:
        """Wait for the lock and hold it until the end of the block.

        Args:
            on_position: called with the number of threads ahead while there are any, and finally with the
                number of other holders; it may raise to stop waiting.
            seconds: for which the lock will probably be held.

        Raises:
            QueueFullError: immediately, if too many threads are waiting already.
        """
        request = _Request(self._visitor(), seconds, _clock())
        with self._queue_moved:
            if len(self._waiting) + len(self._holding) >= self._most + self._holders:
                raise QueueFullError(self._most)
            self._waiting.append(request)
        try:
            while not self._admit(request):
                self._wait(request, on_position)
            on_position(len(self._holding) - 1)
            yield
        finally:
            self._remove(request)

    def _admit(self, request: _Request) -> bool:
        """Give the lock to a request if it is the next one."""
        with self._queue_moved:
            if not self._is_next(request):
                return False
            self._waiting.remove(request)
            self._holding.append(request)
            request.is_slow = self._is_slow(request)
            request.since = _clock()
            self._queue_moved.notify_all()
            return True

    def _wait(self, request: _Request, on_position: Callable[[int], object]) -> None:
        ahead = self._position(request)
        on_position(ahead)
        with self._queue_moved:
            self._queue_moved.wait_for(
                lambda: self._is_next(request) or self._position(request) != ahead, POLL
            )

    def _remove(self, request: _Request) -> None:
        with self._queue_moved:
            if request in self._holding:
                self._holding.remove(request)
                now = _clock()
                self._ended.append((now, request.visitor, now - request.since))
                self._used[request.visitor] += now - request.since
            else:
                self._waiting.remove(request)
            self._queue_moved.notify_all()

    def _is_next(self, request: _Request) -> bool:
        if len(self._holding) >= self._holders:
            return False
        served = {holder.visitor for holder in self._holding}
        full = sum(holder.is_slow for holder in self._holding) >= max(1, self._holders - 1)
        for other in self._order():
            if other.visitor not in served and not (full and self._is_slow(other)):
                return other is request
        return False

    def _is_slow(self, request: _Request) -> bool:
        return self._cost(request) >= SLOW

    def _cost(self, request: _Request) -> float:
        return request.seconds + self._used.get(request.visitor, 0.0)

    def _position(self, request: _Request) -> int:
        with self._queue_moved:
            return len(self._holding) + self._order().index(request)

    def _order(self) -> list[_Request]:
        """The waiting requests in the order of their turns."""
        while self._ended and self._ended[0][0] < _clock() - REMEMBERED:
            _, visitor, seconds = self._ended.popleft()
            self._used[visitor] -= seconds
            if self._used[visitor] < 1e-6:  # the rest is a rounding error
                del self._used[visitor]
        return sorted(self._waiting, key=lambda request: request.since + self._cost(request))
