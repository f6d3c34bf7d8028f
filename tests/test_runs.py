"""How runs stand, told from their folders alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seg import runs
from seg.checkpoint import Run, RunError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that is half done, as if by a process that is gone."""
    run = Run(tmp_path / "one")
    run.create({"epochs": 2})
    for step in range(10, 60, 10):
        run.record({"step": step, "epoch": 0, "loss": 1.0, "lr": 0.1, "seconds": step * 2.0})
    run.record({"step": 50, "epoch": 0, "seconds": 100.0, "8s": {"mean_iou": 0.4}})
    beat(run.folder, status="running", pid=2**22 + 1)  # above any pid_max that is usual
    return run.folder


def beat(folder: Path, **changes) -> None:
    before = {"time": time.time(), "pid": os.getpid(), "step": 55, "steps": 100, "status": "running", "message": ""}
    (folder / "heartbeat.json").write_text(json.dumps(before | changes))


@pytest.fixture
def worker(folder: Path):
    """A process that works on the run."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    beat(folder, pid=process.pid)
    yield process
    process.kill()
    process.wait()


def test_a_run_at_work(folder, worker):
    seen = runs.see(folder)
    assert (seen.state, seen.step, seen.steps, seen.message) == ("running", 55, 100, "")
    assert seen.left == pytest.approx(90) and seen.seconds == 100
    assert seen.scores == {"8s": {"mean_iou": 0.4}}
    with pytest.raises(RunError, match="Stop it first"):
        runs.delete(folder)
    with pytest.raises(RunError, match="Stop it first"):
        runs.rename(folder, "two")
    runs.stop(folder)
    assert worker.wait(10) == -signal.SIGTERM


def test_the_dead_are_told_from_the_stopped_and_the_finished(folder):
    seen = runs.see(folder)
    assert seen.state == "dead" and "killed" in seen.message and "Go on" in seen.message
    beat(folder, pid=os.getppid(), time=time.time() - 1200)
    assert "has not said a word for 20 minutes" in runs.see(folder).message
    beat(folder, time=1.0)
    assert "started anew" in runs.see(folder).message
    beat(folder, status="failed", message="The disk is full: free some space.")
    assert runs.see(folder).state == "failed" and "disk is full" in runs.see(folder).message
    beat(folder, status="stopped")
    assert (runs.see(folder).state, runs.see(folder).message) == ("stopped", "")
    (folder / "heartbeat.json").write_text("{")
    assert runs.see(folder).state == "dead" and runs.see(folder).step == 50
    (folder / "model.safetensors").write_bytes(b"")
    assert runs.see(folder).state == "finished" and runs.see(folder).left is None


def test_runs_are_found_renamed_and_deleted(folder, tmp_path):
    other = Run(tmp_path / "other")
    other.create({"created": time.time() + 5})
    (tmp_path / "no run").mkdir()
    beat(other.folder, status="stopped")
    assert runs.find(tmp_path) == (other.folder, folder)
    assert runs.find(tmp_path / "nowhere") == ()
    for wrong in ("", "..", ".hidden", "a/b", "other", "**bold**", "-x", "ends ", "x" * 81):
        with pytest.raises(RunError):
            runs.rename(folder, wrong)
    Run(folder).note("publishing", {"status": "running"}, os.getppid())
    with pytest.raises(RunError, match="is being published"):
        runs.delete(folder)
    Run(folder).note("publishing", {"status": "finished"})
    renamed = runs.rename(folder, "new name")
    assert renamed == tmp_path / "new name" and runs.see(renamed).step == 55
    runs.delete(renamed)
    assert runs.find(tmp_path) == (other.folder,)
    with pytest.raises(RunError, match="no run"):
        runs.delete(tmp_path / "no run")
    with pytest.raises(RunError, match="nothing to stop"):
        runs.stop(other.folder)
