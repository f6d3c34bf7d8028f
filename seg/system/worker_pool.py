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
from multiprocessing.context import SpawnContext
from typing import Any

WORKER_KILLED_MESSAGE = (
    "A process that helped was killed: by somebody, or by the system when memory ran out. Do the same again."
)


def spawn_context() -> SpawnContext:
    """Return the context that starts processes which import nothing from the working directory.

    Python searches the working directory first when it starts a worker: in a folder of somebody else, a file
    ``multiprocessing.py`` would run.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # for the processes that this one starts
    return multiprocessing.get_context("spawn")


def start_pool(workers: int) -> ProcessPoolExecutor:
    """Start worker processes immediately.

    The workers leave Ctrl-C to their parent and end with it, even if it is killed. If a worker dies during
    start-up, the first job raises BrokenProcessPool.

    Args:
        workers: number of processes.

    Returns:
        The pool; end it with `shutdown_pool`.
    """
    pool = ProcessPoolExecutor(workers, spawn_context(), _leave_with_parent)
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
