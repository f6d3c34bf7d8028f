"""Who is next: first come, first served, between the threads of one process; and the same work for two of them done once.

A plain lock may go to whoever asks again at once, a batch of photos say, and leave the others waiting.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

POLL = 1.0
"""Seconds after which who waits is told its place again, even if it is the same."""


class FullError(RuntimeError):
    """So many wait already that one more would wait too long."""


class Line:
    """What one at a time may have, and no more than `most` may wait for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._moved = threading.Condition()
        self._tickets: list[object] = []

    @contextmanager
    def turn(self, told: Callable[[int], None] = lambda before: None) -> Iterator[None]:
        """Waits for the turn and keeps it to the end of the block.

        `told` hears how many are before, down to none, and may raise to give up. Raises `FullError` at once where too many wait.
        """
        mine = object()
        with self._moved:
            if len(self._tickets) > self._most:
                raise FullError(f"{self._most} photos wait for the network already. Try again in a moment.")
            self._tickets.append(mine)
        try:
            while before := self._before(mine):
                told(before)
                with self._moved:
                    self._moved.wait_for(partial(self._has_moved, mine, before), POLL)
            told(0)
            yield
        finally:
            with self._moved:
                self._tickets.remove(mine)
                self._moved.notify_all()

    def _has_moved(self, ticket: object, since: int) -> bool:
        return self._tickets.index(ticket) != since

    def _before(self, ticket: object) -> int:
        with self._moved:
            return self._tickets.index(ticket)


class Once:
    """Work that is asked for again while it is being done is not done again. Nothing is kept afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._underway: dict[Hashable, Future] = {}

    def do(self, key: Hashable, work: Callable[[], Any], waiting: Callable[[], None] = lambda: None) -> Any:
        """What `work` gives or raises, here or where it is being done already; `waiting` is called meanwhile and may raise."""
        while True:
            with self._lock:
                other = self._underway.get(key)
                if other is None:
                    mine = self._underway[key] = Future()
                    break
            while not other.done():
                waiting()
                wait([other], POLL)
            if not other.cancelled():  # else whoever did it has given up
                return other.result()
        try:
            result = work()
        except Exception as error:
            mine.set_exception(error)
            raise
        except BaseException:
            mine.cancel()
            raise
        else:
            mine.set_result(result)
            return result
        finally:
            with self._lock:
                del self._underway[key]
