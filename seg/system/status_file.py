"""Status files: a process reports its progress in a folder, and others check whether it is still running.

A status file names its process by `process_identity`. While at work, the process also holds a lock in the
folder, which the operating system releases when the process ends. The lock reaches as far as the file system:
processes in other containers and, on most network file systems, on other computers see it.

Status files are written often and have no value after a crash, so they are not synced to disk.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seg.errors import StreetFCNError
from seg.system import process_identity
from seg.system.json_file import read_json_object

HEARTBEAT_TIMEOUT = 600
"""Seconds after which a status is stale: longer than any training step or hold-out evaluation takes."""

CLOCK_TOLERANCE = 30
"""Seconds that a status may be ahead of this computer's clock; later ones are stale."""

ACTIVE = ("queued", "running")
"""The states of a process at work."""

LOCK_PATIENCE = 2.0
"""Seconds to wait for a lock: others hold it for a moment to see whether it is free."""


class StatusError(StreetFCNError, RuntimeError):
    """A process that cannot be signaled or work that is already being done; the message says why."""


def write_status(folder: Path, name: str, values: dict[str, Any], pid: int | None = None) -> None:
    """Replace the status file ``NAME.json`` of a folder.

    Args:
        folder: an existing folder.
        name: name of the status, such as ``heartbeat``.
        values: JSON values; the current time and the identity of the process are added.
        pid: the process that the status describes; by default this one.
    """
    status = {"time": time.time(), **process_identity.identify(pid).to_json(), **values}
    temp_path = folder / f".{name}.{os.getpid()}"
    temp_path.write_text(json.dumps(status))
    os.replace(temp_path, folder / f"{name}.json")


def read_status(folder: Path, name: str) -> dict[str, Any]:
    """Return the values that `write_status` last wrote, or an empty dict if they cannot be read.

    The file may come from elsewhere: callers check all values but ``time``, ``pid``, ``status`` and
    ``message``, which have the right type.
    """
    try:
        status = read_json_object(folder / f"{name}.json")
    except (OSError, ValueError):
        return {}
    return status if _is_well_formed(status) else {}


def _is_well_formed(status: dict[str, Any]) -> bool:
    written = status.get("time")
    return (
        isinstance(written, int | float)
        and abs(written) < 1e12
        and type(status.get("pid")) is int
        and isinstance(status.get("status"), str)
        and isinstance(status.get("message", ""), str)
    )


def is_active(folder: Path, name: str) -> bool:
    """Return whether another process is at work in a folder, on this computer or elsewhere.

    A process of this computer must exist and have reported lately. What a process of another computer or
    container does can only be told from its lock and from its last report.
    """
    status = read_status(folder, name)
    if status and (status["status"] not in ACTIVE or process_identity.is_own(status)):
        return False
    return is_running(status) or is_locked(folder, name)


def is_running(status: dict[str, Any]) -> bool:
    """Return whether the process of a status, which may be this one, is at work according to the status."""
    if status.get("status") not in ACTIVE:
        return False
    is_fresh = -CLOCK_TOLERANCE <= time.time() - status["time"] < HEARTBEAT_TIMEOUT
    return is_fresh and process_identity.state_of(status) != "gone"


def stop_process(folder: Path, name: str) -> None:
    """Send SIGTERM to the process that is at work in a folder.

    Raises:
        StatusError: if there is none, or if it cannot be said which process it is.
    """
    status = read_status(folder, name)
    if status.get("status") not in ACTIVE or not is_active(folder, name):
        raise StatusError(f"No process is at work in {folder}, so there is nothing to stop.")
    if process_identity.terminate(status):
        return
    match process_identity.state_of(status):
        case "elsewhere":
            host = str(status.get("host", ""))[:80]
            raise StatusError(f"{folder} is in use on another computer or container ({host}). Stop it there.")
        case "unverified":
            raise StatusError(
                f"An earlier version of Street FCN works in {folder}. Stop it where it was started: its"
                f" process id is {status['pid']}."
            )
    raise StatusError(f"The process that works in {folder} does not report. Stop it where it was started.")


@contextmanager
def at_work(folder: Path, name: str, patience: float = LOCK_PATIENCE) -> Iterator[None]:
    """Hold the lock of a status in a folder during the block.

    Args:
        folder: an existing folder.
        name: name of the status, or of another kind of work that one process at a time may do.
        patience: seconds to wait for the lock; negative to wait until it is free.

    Raises:
        StatusError: if another process or thread holds it.
        OSError: if the folder cannot be written.
    """
    lock = FileLock(_lock_path(folder, name))
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise StatusError(f"Another process is at work in {folder}. Wait for its end, or stop it.") from None
    try:
        yield
    finally:
        _release(lock)


def is_locked(folder: Path, name: str) -> bool:
    """Return whether a process or thread holds the lock of `at_work`."""
    path = _lock_path(folder, name)
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder of another user: its status tells
        return False
    _release(lock)
    return False


def _release(lock: FileLock) -> None:
    """Remove the file of a lock that is held, and release it; those who wait for it notice and retry."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()


def _lock_path(folder: Path, name: str) -> Path:
    return folder / f".{name}.lock"
