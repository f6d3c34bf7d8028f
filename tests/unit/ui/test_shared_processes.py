"""Processes that pages start by being looked at."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seg import jobs
from seg.training.config import TrainConfig
from ui.state import shared_processes
from ui.state.shared_processes import SharedProcess, SharedProcesses
from ui.training import new_run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[subprocess.Popen]:
    """The started processes; each waits for a line of input."""
    monkeypatch.setenv("SEG_CACHE", str(tmp_path))
    processes: list[subprocess.Popen] = []

    def spawn(*arguments: str) -> subprocess.Popen:
        message = f"reading: 1 of 2\\nerror {arguments[0]} failed"
        code = f"import sys; input(); sys.stderr.write('{message}'); sys.exit(1)"
        if "--json" in arguments:
            code = f"input(); open({arguments[-1]!r}, 'w').write('{{\"steps\": 7}}')"
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stderr=pipe, text=True))
        return processes[-1]

    monkeypatch.setattr(jobs, "spawn_watched", spawn)
    return processes


def finish(process: subprocess.Popen, shared: SharedProcess) -> None:
    process.stdin.write("\n")
    process.stdin.close()
    process.wait(30)
    wait_until(lambda: not shared.is_running)


def wait_until(is_done: Callable[[], object]) -> None:
    for _ in range(300):
        if is_done():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_visitors_share_one_process_for_a_command_and_few_in_all(started):
    processes = SharedProcesses(limit=2)
    barrier, results = threading.Barrier(8), []

    def visit() -> None:
        barrier.wait(30)
        results.append(processes.start(("first",)))

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(started) == 1 and len(set(map(id, results))) == 1 and results[0].is_running
    second = processes.start(("second",))
    assert second and processes.start(("third",)) is None and len(started) == 2
    finish(started[0], results[0])
    assert results[0].error == "first failed" and second.is_running
    third = processes.start(("third",))
    assert third is not None and len(started) == 3
    finish(started[1], second)
    finish(started[2], third)


def test_visitors_share_the_estimate_of_a_training(started, monkeypatch):
    processes = SharedProcesses(limit=1)
    monkeypatch.setattr(shared_processes, "shared_processes", processes)
    results: list[Mapping[str, Any]] = []

    def press(epochs: int, name: str) -> threading.Thread:
        config = TrainConfig(out=Path("runs") / name, epochs=epochs)
        visitor = threading.Thread(target=lambda: results.append(new_run.measure(config)))
        visitor.start()
        return visitor

    visitors = [press(3, name) for name in ("mine", "yours", "mine")]
    wait_until(lambda: started)
    visitors.append(press(4, "mine"))
    time.sleep(2 * shared_processes.POLL_SECONDS)
    assert len(started) == 1  # the fourth visitor waits for the process of the others
    finish(started[0], *processes._running.values())
    wait_until(lambda: len(started) == 2 and len(results) == 3)
    finish(started[1], *processes._running.values())
    for visitor in visitors:
        visitor.join(30)
    assert results == [{"steps": 7}] * 4


def test_another_server_does_not_start_the_same_command(started):
    first = SharedProcesses().start(("same",))
    other_server = SharedProcesses()
    assert first and other_server.start(("same",)) is None and len(started) == 1
    finish(started[0], first)
    again = other_server.start(("same",))
    assert again and len(started) == 2
    finish(started[1], again)
