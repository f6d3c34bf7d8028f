"""A first-come, first-served queue of processes for one device, such as trainings on a GPU.

Each waiting process holds a lock on a ticket file. The operating system releases the lock when the process
ends, even if it is killed.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from seg import paths
from seg.errors import printable

POLL = 0.5
"""Seconds between two checks of the queue."""


@contextlib.contextmanager
def wait_for_device(device: str, who: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Wait until no earlier process uses a device, and hold the device until the end of the block.

    Args:
        device: name of the device, used as a folder name.
        who: description of this process, shown to the processes behind it.
        on_wait: called at every check with the `who` of the process directly ahead in the queue.
    """
    queue = paths.cache() / "turns" / device
    queue.mkdir(parents=True, exist_ok=True)
    queue_lock = FileLock(queue / "gate")
    with queue_lock:
        ticket = queue / f"{time.time_ns():020d}-{os.getpid()}.ticket"
        ticket_lock = FileLock(ticket)
        ticket_lock.acquire()
        ticket.with_suffix(".name").write_text(printable(who))
    try:
        while True:
            with queue_lock:
                process_ahead = _process_ahead_of(ticket)
            if process_ahead is None:
                break
            on_wait(process_ahead)
            time.sleep(POLL)
        yield
    finally:
        with queue_lock:
            ticket_lock.release()
            _remove(ticket)


def _process_ahead_of(ticket: Path) -> str | None:
    """Return the description of the process directly ahead, and remove the tickets of dead processes."""
    for earlier in sorted((t for t in ticket.parent.glob("*.ticket") if t.name < ticket.name), reverse=True):
        try:
            with FileLock(earlier, timeout=0):
                pass
        except Timeout:
            return earlier.with_suffix(".name").read_text()
        _remove(earlier)
    return None


def _remove(ticket: Path) -> None:
    for file in (ticket, ticket.with_suffix(".name")):
        file.unlink(missing_ok=True)
