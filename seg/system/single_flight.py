"""Deduplication of concurrent work: threads that request the same result at the same time share one run."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Any

from seg.system.request_queue import POLL


class SingleFlight:
    """Runs concurrent calls with the same key only once. Results are not cached afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future] = {}

    def do(self, key: Hashable, work: Callable[[], Any], on_wait: Callable[[], object] = lambda: None) -> Any:
        """Run `work`, or wait for another thread that runs it with the same key.

        Args:
            key: identifies the work.
            work: called without arguments; its exceptions reach every waiting thread.
            on_wait: called repeatedly while another thread runs the work; it may raise to stop waiting.

        Returns:
            The result of `work`.
        """
        while True:
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    result_future = self._running[key] = Future()
                    break
            while not running.done():
                on_wait()
                wait([running], POLL)
            if not running.cancelled():  # a cancelled run was interrupted: this thread runs the work itself
                return running.result()
        try:
            result = work()
        except Exception as error:
            result_future.set_exception(error)
            raise
        except BaseException:
            result_future.cancel()
            raise
        else:
            result_future.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[key]
