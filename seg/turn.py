"""Whose turn it is on a device: one training at a time, in the order in which they asked.

Whoever asks leaves a ticket and keeps it locked; the lock ends with its process, however that ends.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from seg import dataset

POLL = 0.5
"""Seconds between two looks at whether the turn has come."""


@contextlib.contextmanager
def turn(device: str, who: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process that asked earlier uses `device`, and keeps it until the end of the block.

    `waiting` is called at every look with the `who` of the one just before in the line.
    """
    line = dataset.CACHE / "turns" / device
    line.mkdir(parents=True, exist_ok=True)
    gate = FileLock(line / "gate")  # held while the line is looked at or changed
    with gate:
        ticket = line / f"{time.time_ns():020d}-{os.getpid()}.ticket"
        mine = FileLock(ticket)
        mine.acquire()
        ticket.with_suffix(".name").write_text(who)
    try:
        while True:
            with gate:
                before = _next_before(ticket)
            if before is None:
                break
            waiting(before)
            time.sleep(POLL)
        yield
    finally:
        with gate:
            mine.release()
            _tear(ticket)


def _next_before(ticket: Path) -> str | None:
    """Who is just before a ticket in the line; tickets that nobody holds are torn."""
    for earlier in sorted((t for t in ticket.parent.glob("*.ticket") if t.name < ticket.name), reverse=True):
        try:
            with FileLock(earlier, timeout=0):
                pass
        except Timeout:
            return earlier.with_suffix(".name").read_text()
        _tear(earlier)
    return None


def _tear(ticket: Path) -> None:
    for file in (ticket, ticket.with_suffix(".name")):
        file.unlink(missing_ok=True)
