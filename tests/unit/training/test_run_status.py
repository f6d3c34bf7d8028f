"""The status of runs, read from their folders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from seg.system.process_identity import identify
from seg.system.status_file import write_status
from seg.training import run_status
from seg.training.run import Run, RunError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A half-finished run of a process that no longer exists."""
    run = Run(tmp_path / "one")
    run.create({"epochs": 2})
    for step in range(10, 60, 10):
        run.append_metrics({"step": step, "epoch": 0, "loss": 1.0, "lr": 0.1, "seconds": step * 2.0})
    run.append_metrics({"step": 50, "epoch": 0, "seconds": 100.0, "8s": {"mean_iou": 0.4}})
    beat(run.folder, status="running", pid=2**22 + 1)  # above the usual pid_max
    return run.folder


def beat(folder: Path, **changes) -> None:
    before = {
        "time": time.time(),
        "pid": os.getpid(),
        "step": 55,
        "steps": 100,
        "status": "running",
        "message": "",
    }
    (folder / "heartbeat.json").write_text(json.dumps(before | changes))


@pytest.fixture
def worker(folder: Path):
    """A process that trains the run."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    beat(folder, **identify(process.pid).to_json())
    yield process
    process.kill()
    process.wait()


def test_the_status_of_a_running_training(folder, worker):
    status = run_status.get_status(folder)
    assert (status.state, status.step, status.steps, status.message) == ("running", 55, 100, "")
    assert status.eta_seconds == pytest.approx(90) and status.seconds == 100
    assert status.metrics == {"8s": {"mean_iou": 0.4}}
    with pytest.raises(RunError, match="Stop it first"):
        run_status.delete(folder)
    with pytest.raises(RunError, match="Stop it first"):
        run_status.rename(folder, "two")
    run_status.stop(folder)
    assert worker.wait(10) == -signal.SIGTERM


def test_crashed_stopped_and_finished_runs_are_distinguished(folder, monkeypatch):
    status = run_status.get_status(folder)
    assert status.state == "crashed" and "killed" in status.message and "Resume it" in status.message
    beat(folder, pid=os.getppid(), time=time.time() - 1200)
    monkeypatch.setattr(psutil, "boot_time", lambda: time.time() - 3600)
    assert "No heartbeat for 20 minutes" in run_status.get_status(folder).message
    beat(folder, time=1.0)
    assert "has been restarted" in run_status.get_status(folder).message
    beat(folder, status="failed", message="The disk is full: free some space.")
    assert (
        run_status.get_status(folder).state == "failed"
        and "disk is full" in run_status.get_status(folder).message
    )
    beat(folder, status="stopped")
    assert (run_status.get_status(folder).state, run_status.get_status(folder).message) == ("stopped", "")
    (folder / "heartbeat.json").write_text("{")
    assert run_status.get_status(folder).state == "crashed" and run_status.get_status(folder).step == 50
    (folder / "model.safetensors").write_bytes(b"")
    assert (
        run_status.get_status(folder).state == "finished"
        and run_status.get_status(folder).eta_seconds is None
    )


def test_runs_are_found_renamed_and_deleted(folder, tmp_path):
    second_run = Run(tmp_path / "other")
    second_run.create({"created": time.time() + 5})
    (tmp_path / "no run").mkdir()
    beat(second_run.folder, status="stopped")
    assert run_status.find_runs(tmp_path) == (second_run.folder, folder)
    assert run_status.find_runs(tmp_path / "nowhere") == ()
    for wrong in ("", "..", ".hidden", "a/b", "other", "**bold**", "-x", "ends ", "x" * 81):
        with pytest.raises(RunError):
            run_status.rename(folder, wrong)
    write_status(folder, "publishing", {"status": "running"}, os.getppid())
    with pytest.raises(RunError, match="is being published"):
        run_status.delete(folder)
    write_status(folder, "publishing", {"status": "finished"})
    renamed = run_status.rename(folder, "new name")
    assert renamed == tmp_path / "new name" and run_status.get_status(renamed).step == 55
    run_status.delete(renamed)
    assert run_status.find_runs(tmp_path) == (second_run.folder,)
    with pytest.raises(RunError, match="no run"):
        run_status.delete(tmp_path / "no run")
    with pytest.raises(RunError, match="nothing to stop"):
        run_status.stop(second_run.folder)
