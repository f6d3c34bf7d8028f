"""Status files: a process reports its progress in a folder, and others check whether it is still running.

Status files are written often and have no value after a crash, so they are not synced to disk.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil

HEARTBEAT_TIMEOUT = 600
"""Seconds after which a status is stale: longer than any training step or hold-out evaluation takes."""


def write_status(folder: Path, name: str, values: dict[str, Any], pid: int | None = None) -> None:
    """Replace the status file ``NAME.json`` of a folder.

    Args:
        folder: an existing folder.
        name: name of the status, such as ``heartbeat``.
        values: JSON values; the current time and the process id are added.
        pid: the process that the status describes; by default this one.
    """
    temp_path = folder / f".{name}.{os.getpid()}"
    temp_path.write_text(json.dumps({"time": time.time(), "pid": pid or os.getpid(), **values}))
    os.replace(temp_path, folder / f"{name}.json")


def read_status(folder: Path, name: str) -> dict[str, Any]:
    """Return the values that `write_status` last wrote, or an empty dict if they cannot be read."""
    try:
        status = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def is_active(folder: Path, name: str) -> bool:
    """Return whether another process on this machine is working: its status is fresh and it exists."""
    try:
        status = read_status(folder, name)
        is_fresh = time.time() - status["time"] < HEARTBEAT_TIMEOUT
        if status["status"] not in ("queued", "running") or not is_fresh or status["pid"] == os.getpid():
            return False
        return psutil.Process(status["pid"]).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
