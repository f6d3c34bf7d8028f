"""Pools of worker processes that end together with their parent.

Use `worker_pool` for a block of work, or `start_pool` and `shutdown_pool` for a pool that lives longer.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_SAFE_PATH = "PYTHONSAFEPATH"

WORKER_KILLED_MESSAGE = (
    "A process that helped was killed: by somebody, or by the system when memory ran out. Do the same again."
)


@contextmanager
def _safe_import_path() -> Iterator[None]:
    """Let Python processes that start in a block import nothing from the working directory.

    Python searches it first: in a folder of somebody else, a file ``multiprocessing.py`` would run.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(_SAFE_PATH)
        if before is not None:
            os.environ[_SAFE_PATH] = before


class _SafeProcess(SpawnProcess):
    @staticmethod
    def _Popen(process: Any) -> Any:  # noqa: N802
        with _safe_import_path():
            return SpawnProcess._Popen(process)


class SafeContext(SpawnContext):
    """Starts processes that import nothing from the working directory."""

    Process = _SafeProcess

    def __init__(self) -> None:
        super().__init__()
        with _safe_import_path():
            resource_tracker.ensure_running()  # a process, too, which is started once


def start_pool(workers: int) -> ProcessPoolExecutor:
    """Start worker processes immediately.

    The workers leave Ctrl-C to their parent and end with it, even if it is killed. If a worker dies during
    start-up, the first job raises BrokenProcessPool.

    Args:
        workers: number of processes.

    Returns:
        The pool; end it with `shutdown_pool`.
    """
    pool = ProcessPoolExecutor(workers, SafeContext(), _leave_with_parent)
    # the workers inherit the mask, in all of their threads, from their first moment
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with suppress(BrokenProcessPool):
            for _ in range(workers):
                pool.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
    return pool


def shutdown_pool(pool: ProcessPoolExecutor) -> None:
    """Finish the running jobs of a pool, cancel the pending ones and end the workers."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    while alive := [process for process in processes if process.is_alive()]:
        multiprocessing.connection.wait([process.sentinel for process in alive], 1)
        if any(process.exitcode for process in processes):
            for process in alive:  # a killed worker may have held the lock that they wait for
                process.terminate()
    pool.shutdown()


@contextmanager
def worker_pool() -> Iterator[ProcessPoolExecutor]:
    """Provide a pool with one worker per core for a block.

    Raises:
        ChildProcessError: with a message for users, if a worker died.
    """
    pool = start_pool(os.cpu_count() or 1)
    try:
        yield pool
    except BrokenProcessPool:
        raise ChildProcessError(WORKER_KILLED_MESSAGE) from None
    finally:
        shutdown_pool(pool)


def defer_sigterm(function: Callable, *args: Any) -> Any:
    """Call a function and delay SIGTERM until it returns.

    When one worker has died, all others receive SIGTERM; this lets them finish a file that they are writing.
    """
    previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return function(*args)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def _leave_with_parent() -> None:
    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent  # only worker processes run this
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # otherwise the worker would wait for jobs forever

    threading.Thread(target=watch, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # in this thread only: see `defer_sigterm`
