"""Processes that work beside this one. Knows nothing of their work."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any

KILLED = "A process that helped was killed: by somebody, or by the system when memory ran out. Do the same again."


def crew(workers: int) -> ProcessPoolExecutor:
    """Processes that are started at once, leave ctrl-C to this one, and end when it does, however it ends.

    Where one dies meanwhile, the first work that they are given raises BrokenProcessPool.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _leave_with_parent)
    # they inherit it, in all of their threads, from their first moment
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with suppress(BrokenProcessPool):
            for _ in range(workers):
                pool.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pool


def dismiss(pool: ProcessPoolExecutor) -> None:
    """Ends a crew: what has begun comes to its end, what has not is not begun."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    while alive := [process for process in processes if process.is_alive()]:
        multiprocessing.connection.wait([process.sentinel for process in alive], 1)
        if any(process.exitcode for process in processes):
            for process in alive:  # one that was killed may have held the lock that they wait for
                process.terminate()
    pool.shutdown()


@contextmanager
def helpers() -> Iterator[ProcessPoolExecutor]:
    """A `crew`, one for each core, for a block. Raises ChildProcessError, with a sentence, where one of them died."""
    pool = crew(os.cpu_count() or 1)
    try:
        yield pool
    except BrokenProcessPool:
        raise ChildProcessError(KILLED) from None
    finally:
        dismiss(pool)


def to_the_end(call: Callable, *words: Any) -> Any:
    """Calls; where the process is told to end meanwhile, it does so afterwards. All are told when one of a crew has died."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        return call(*words)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with_parent() -> None:
    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent  # only processes of a crew come here
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # waiting for work that nobody sends, it would stay for ever

    threading.Thread(target=watch, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # in this thread only: see `to_the_end`
