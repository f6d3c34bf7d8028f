"""Who is next: first come, first served, between the threads of one process; each can be told its place.

A plain lock may go to whoever asks again at once, a batch of photos say, and leave the others waiting.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL = 1.0
"""Seconds after which who waits is told its place again, even if it is the same."""


class Line:
    """What one at a time may have."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._tickets: list[object] = []

    @contextmanager
    def turn(self, told: Callable[[int], None] = lambda before: None) -> Iterator[None]:
        """Waits for the turn and keeps it to the end of the block; `told` hears how many are before, and may raise to give up."""
        mine = object()
        with self._moved:
            self._tickets.append(mine)
        try:
            while before := self._before(mine):
                told(before)
                with self._moved:
                    self._moved.wait_for(lambda seen=before: self._tickets.index(mine) != seen, POLL)
            yield
        finally:
            with self._moved:
                self._tickets.remove(mine)
                self._moved.notify_all()

    def _before(self, ticket: object) -> int:
        with self._moved:
            return self._tickets.index(ticket)
