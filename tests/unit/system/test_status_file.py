"""Status files, the identity of their processes, and the lock of a process at work."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from seg import jobs
from seg.system import process_identity
from seg.system.status_file import (
    HEARTBEAT_TIMEOUT,
    StatusError,
    at_work,
    is_active,
    read_status,
    stop_process,
    write_status,
)
from seg.training import lifecycle, run_status
from seg.training.config import TrainError
from seg.training.run import HEARTBEAT, Run, RunError


@pytest.fixture
def worker():
    """A process that sleeps."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    run.create({"epochs": 2})
    return run


def note(folder: Path, process: int, **changes) -> None:
    """Write a running heartbeat of a process, with other values; None removes one."""
    write_status(folder, HEARTBEAT, {"status": "running", "step": 1}, process)
    status = read_status(folder, HEARTBEAT) | changes
    status = {key: value for key, value in status.items() if value is not None}
    (folder / "heartbeat.json").write_text(json.dumps(status))


def test_a_process_of_a_status_is_recognized_and_stopped(run, worker):
    note(run.folder, worker.pid)
    assert is_active(run.folder, HEARTBEAT)
    stop_process(run.folder, HEARTBEAT)
    assert worker.wait(10) == -signal.SIGTERM
    assert not is_active(run.folder, HEARTBEAT)


def test_a_process_that_has_got_the_same_pid_is_not_signaled(run, worker):
    successor = {"started": read_start(worker.pid) - 5}
    note(run.folder, worker.pid, **successor)
    assert not is_active(run.folder, HEARTBEAT)
    with pytest.raises(RunError, match="nothing to stop"):
        run_status.stop(run.folder)
    # while the lock shows that somebody works here, the process is still not the one to signal
    with at_work(run.folder, HEARTBEAT), pytest.raises(StatusError, match="Stop it where"):
        stop_process(run.folder, HEARTBEAT)
    assert worker.poll() is None


def read_start(pid: int) -> float:
    return process_identity.identify(pid).started


@pytest.mark.parametrize(
    "changes",
    [
        {"time": time.time() + 3600},
        {"time": time.time() + 1e9},
        {"time": time.time() - HEARTBEAT_TIMEOUT - 1},
        {"pid": "1"},
        {"pid": -1},
        {"pid": 2**70},
        {"pid": True},
        {"started": "now"},
        {"started": None},
        {"time": "now"},
        {"time": float("nan")},
        {"status": ["running"]},
    ],
    ids=lambda changes: "" if "time" in changes else str(changes),  # the same in every test process
)
def test_a_damaged_or_stale_status_is_not_active(run, worker, changes):
    note(run.folder, worker.pid, **changes)
    assert not is_active(run.folder, HEARTBEAT)
    with pytest.raises(StatusError, match="nothing to stop"):
        stop_process(run.folder, HEARTBEAT)
    assert run_status.get_status(run.folder).state == "crashed"
    assert worker.poll() is None


def test_a_run_of_another_computer_or_container_is_protected_and_not_signaled(run, worker):
    note(run.folder, worker.pid, host="elsewhere", system="another boot pid:[1]")
    assert run_status.get_status(run.folder).state == "running"
    with pytest.raises(RunError, match="Stop it first"):
        run_status.delete(run.folder)
    with pytest.raises(RunError, match=r"another computer or container \(elsewhere\)"):
        run_status.stop(run.folder)
    assert worker.poll() is None
    note(run.folder, worker.pid, host="elsewhere", system="another", time=time.time() - 700)
    assert run_status.get_status(run.folder).state == "crashed"
    with at_work(run.folder, HEARTBEAT), pytest.raises(RunError, match="Stop it first"):
        run_status.delete(run.folder)  # its clock differs, but its lock is held
    run_status.delete(run.folder)


def test_a_status_from_before_a_restart_is_not_active(run, worker, monkeypatch):
    note(run.folder, worker.pid, system="the boot before pid:[1]")
    monkeypatch.setattr(psutil, "boot_time", lambda: time.time() + 1)
    assert process_identity.state_of(read_status(run.folder, HEARTBEAT)) == "gone"


def test_a_status_of_an_earlier_version_is_read_and_its_process_not_signaled(run, worker):
    old = {"started": None, "host": None, "system": None}
    note(run.folder, worker.pid, **old)
    assert run_status.get_status(run.folder).state == "running"
    with pytest.raises(RunError, match=f"earlier version.*{worker.pid}"):
        run_status.stop(run.folder)
    note(run.folder, worker.pid, **old, time=time.time() - 300)  # the process is younger than the status
    assert run_status.get_status(run.folder).state == "crashed"
    assert worker.poll() is None


def test_a_run_at_work_is_locked(run):
    code = "import sys; from pathlib import Path; from seg.system.status_file import at_work\n"
    code += "with at_work(Path(sys.argv[1]), 'heartbeat'):\n    print('held', flush=True); input()"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, str(run.folder)]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[3]
    ) as other:
        assert other.stdout.readline() == "held\n"
        for refused in (run_status.delete, lambda folder: run_status.rename(folder, "two")):
            with pytest.raises(RunError, match="Stop it first"):
                refused(run.folder)
        with pytest.raises(TrainError, match="Another process is training"), lifecycle._training(run.folder):
            pass
        other.kill()  # the operating system releases the lock
    run_status.delete(run.folder)
    assert not run.folder.exists()


def test_two_windows_resume_one_process(run, worker, monkeypatch):
    started = []

    def spawn(output: Path, *arguments: str) -> subprocess.Popen:
        started.append(arguments)
        return worker

    monkeypatch.setattr(jobs, "spawn_detached", spawn)
    barrier, errors = threading.Barrier(4), []

    def press() -> None:
        barrier.wait(30)
        try:
            jobs.resume(run.folder)
        except StatusError as error:
            errors.append(str(error))

    windows = [threading.Thread(target=press) for _ in range(4)]
    for window in windows:
        window.start()
    for window in windows:
        window.join()
    assert started == [("train", "--resume", str(run.folder))] and len(errors) == 3
    assert all("already" in error or "Another process" in error for error in errors)
    assert run_status.get_status(run.folder).state == "queued"


def test_a_process_does_not_take_itself_for_another_one(run):
    note(run.folder, os.getpid())
    assert not is_active(run.folder, HEARTBEAT)
    note(run.folder, os.getpid(), started=1e9)  # an earlier process had this pid
    assert not is_active(run.folder, HEARTBEAT)
