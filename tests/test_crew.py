"""A crew ends, whatever becomes of its processes."""

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from seg.crew import crew, dismiss, helpers
from seg.folder import Pipeline


@pytest.mark.parametrize("unlucky", [0, 1])
def test_one_killed_at_the_end_keeps_nobody(unlucky: int):
    pool = crew(2)
    assert [job.result(60) for job in [pool.submit(time.sleep, 1) for _ in range(2)]] == [None, None]  # both are there
    processes = list(pool._processes.values())
    time.sleep(0.5)
    for process in processes:  # waiting for work, one of them with the lock of the queue
        os.kill(process.pid, signal.SIGSTOP)
    ending = threading.Thread(target=dismiss, args=(pool,), daemon=True)
    ending.start()
    time.sleep(0.5)
    processes[unlucky].kill()
    os.kill(processes[1 - unlucky].pid, signal.SIGCONT)
    ending.join(30)
    assert not ending.is_alive()
    assert processes[unlucky].exitcode == -signal.SIGKILL and processes[1 - unlucky].exitcode is not None


def test_one_killed_as_it_comes_is_told_in_words(monkeypatch):
    class Unlucky(ProcessPoolExecutor):
        def submit(self, *words):
            job = super().submit(*words)
            for process in list(self._processes.values()):
                process.kill()
            assert isinstance(job.exception(60), BrokenProcessPool)  # from now on nothing can be given to them
            return job

    monkeypatch.setattr("seg.crew.ProcessPoolExecutor", Unlucky)
    with pytest.raises(ChildProcessError, match="was killed.*Do the same again"), helpers() as pool:
        pool.submit(int)
    with Pipeline(2) as pipeline, pytest.raises(ChildProcessError, match="was killed.*Do the same again"):
        pipeline._submit(int)
