"""A worker pool ends even if its processes are killed."""

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from seg.inference.directory import Pipeline
from seg.system.worker_pool import shutdown_pool, start_pool, worker_pool


@pytest.mark.parametrize("unlucky", [0, 1])
def test_a_worker_killed_at_shutdown_blocks_nothing(unlucky: int):
    pool = start_pool(2)
    assert [job.result(60) for job in [pool.submit(time.sleep, 1) for _ in range(2)]] == [
        None,
        None,
    ]  # both processes have started
    processes = list(pool._processes.values())
    time.sleep(0.5)
    for process in processes:  # both wait for work, and one of them holds the lock of the queue
        os.kill(process.pid, signal.SIGSTOP)
    ending = threading.Thread(target=shutdown_pool, args=(pool,), daemon=True)
    ending.start()
    time.sleep(0.5)
    processes[unlucky].kill()
    os.kill(processes[1 - unlucky].pid, signal.SIGCONT)
    ending.join(30)
    assert not ending.is_alive()
    assert processes[unlucky].exitcode == -signal.SIGKILL and processes[1 - unlucky].exitcode is not None


def test_a_worker_killed_at_start_is_reported(monkeypatch):
    class Unlucky(ProcessPoolExecutor):
        def submit(self, *arguments):
            job = super().submit(*arguments)
            for process in list(self._processes.values()):
                process.kill()
            assert isinstance(job.exception(60), BrokenProcessPool)  # the pool accepts no further work
            return job

    monkeypatch.setattr("seg.system.worker_pool.ProcessPoolExecutor", Unlucky)
    with pytest.raises(ChildProcessError, match="was killed.*Do the same again"), worker_pool() as pool:
        pool.submit(int)
    with Pipeline(2) as pipeline, pytest.raises(ChildProcessError, match="was killed.*Do the same again"):
        pipeline._submit(int)
