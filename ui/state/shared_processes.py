"""Processes that pages start and all visitors share: one for each command, and few at a time.

A page that is rerun or left does not end the process that it waits for. The next run of the page, and every
other visitor who needs the same, therefore waits for this process instead of starting another one.
"""

import hashlib
import subprocess
import threading
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from seg import jobs, paths

MAX_PROCESSES = 2
"""Processes that run at the same time, for all visitors; each of them uses all cores."""


class SharedProcess:
    """A running or ended ``python -m seg``.

    Args:
        arguments: the command and its options.
        lock: held until the process ends, so that another server does not start the same.
    """

    def __init__(self, arguments: tuple[str, ...], lock: FileLock) -> None:
        self._lock = lock
        self._process = jobs.spawn_watched(*arguments)
        self.pid = self._process.pid
        self.error: str | None = None
        """The error message once the process has ended; empty if it succeeded."""
        threading.Thread(target=self._wait, args=(self._process,), daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.error is None

    def _wait(self, process: subprocess.Popen) -> None:
        assert process.stderr is not None  # it is a pipe
        with process.stderr as pipe:
            stderr = pipe.read()
        process.wait()
        # the lines before it report progress
        message = f"\n{stderr.strip()}".rpartition("\nerror ")[2].strip()
        failed = f"The command failed with exit code {process.returncode}."
        self._lock.release()
        self.error = (message or failed) if process.returncode else ""


class SharedProcesses:
    """The running processes of this server, by command.

    Args:
        limit: number of processes that run at the same time.
    """

    def __init__(self, limit: int = MAX_PROCESSES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._running: dict[tuple[str, ...], SharedProcess] = {}

    def start(self, arguments: tuple[str, ...]) -> SharedProcess | None:
        """Return the process of a command, which is started unless it is running already.

        Args:
            arguments: the command and its options.

        Returns:
            The process; None if another server runs this command, or if the limit is reached.
        """
        with self._lock:
            self._running = {key: process for key, process in self._running.items() if process.is_running}
            if arguments not in self._running:
                if len(self._running) >= self._limit or not (lock := _acquire(arguments)):
                    return None
                try:
                    self._running[arguments] = SharedProcess(arguments, lock)
                except BaseException:
                    lock.release()
                    raise
            return self._running[arguments]


def _acquire(arguments: tuple[str, ...]) -> FileLock | None:
    """Take the lock of a command in the cache folder, which all servers of this folder respect."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]
    lock = FileLock(paths.cache() / f".command-{name}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


shared_processes = SharedProcesses()
"""Those of this server."""

POLL_SECONDS = 0.3
"""Seconds between two looks at a process."""


def run_shared(
    arguments: tuple[str, ...],
    show: Callable[[SharedProcess | None], object],
    is_needed: Callable[[], bool] = lambda: True,
) -> str:
    """Run ``python -m seg`` as a process that all visitors share, and wait for its end.

    Args:
        arguments: the command and its options.
        show: called with the running process several times a second, with None while it must wait for
            others. It draws on the page, which ends the wait if the visitor leaves; the process continues.
        is_needed: returns False if another server has done the same meanwhile.

    Returns:
        The error message; empty if it succeeded or is not needed.
    """
    while (process := shared_processes.start(arguments)) is None:
        if not is_needed():
            return ""
        show(None)
        time.sleep(POLL_SECONDS)
    while process.is_running:
        show(process)
        time.sleep(POLL_SECONDS)
    return process.error or ""
