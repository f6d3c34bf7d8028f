"""A crew ends, whatever becomes of its processes."""

import os
import signal
import threading
import time

import pytest

from seg.crew import crew, dismiss


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
