"""Temporary folders for a single process, and removal of those that killed processes left behind."""

import secrets
import shutil
import time
import weakref
from pathlib import Path

from filelock import FileLock, Timeout


class PrivateDir:
    """A folder with an unguessable name, deleted with this object or, at the latest, when the process exits.

    If the process is killed, `remove_stale` deletes the folder later.

    Args:
        parent: the folder to create it in; created if missing.
        prefix: start of the folder's name.

    Attributes:
        path: the folder.
        delete: deletes the folder now.
    """

    def __init__(self, parent: Path, prefix: str = "") -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.path = parent / f"{prefix}{secrets.token_urlsafe(32)}"
        self.path.mkdir(mode=0o700)
        lock = FileLock(self.path / ".lock", thread_local=False)
        lock.acquire()
        self.delete = weakref.finalize(self, _delete, self.path, lock)


def _delete(path: Path, lock: FileLock) -> None:
    lock.release()
    shutil.rmtree(path, ignore_errors=True)


def remove_stale(parent: Path, prefix: str = "") -> None:
    """Delete the folders of killed processes: every `PrivateDir` in `parent` whose lock is free.

    Args:
        parent: the folder to search.
        prefix: start of the folders' names.
    """
    for path in parent.glob(f"{prefix}*"):
        try:
            # a folder without a lock file is not a PrivateDir, and a new one may not be locked yet
            if path.is_symlink() or not (path / ".lock").is_file() or time.time() - path.stat().st_mtime < 60:
                continue
            with FileLock(path / ".lock", timeout=0):
                shutil.rmtree(path, ignore_errors=True)
        except (Timeout, OSError):  # in use, owned by another user, or deleted in the meantime
            continue
