"""The runs in a folder: their states, and how to stop, rename and delete them."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from seg import paths
from seg.models.factory import DISPLAY_NAMES
from seg.system import process_identity
from seg.system.file_names import is_system_file
from seg.system.status_file import (
    CLOCK_TOLERANCE,
    HEARTBEAT_TIMEOUT,
    StatusError,
    at_work,
    is_active,
    stop_process,
)
from seg.training.run import HEARTBEAT, PUBLISHING, Run, RunError

State = Literal["queued", "running", "stopped", "finished", "failed", "crashed"]

_STATES = get_args(State)

_SPEED_LINES = 30
"""The speed of a run is that of its last records: other work on the machine slows it temporarily."""


@dataclass(frozen=True)
class RunStatus:
    """The state and progress of a run."""

    folder: Path
    state: State
    step: int
    steps: int | None  # in all; None if unknown
    seconds: float  # of training so far, over all sessions
    eta_seconds: float | None  # to the end at the present speed; None if unknown
    seconds_per_step: float  # recently; 0 if unknown
    message: str  # what happened and what to do; empty if nothing did
    metrics: dict[str, dict[str, Any]]  # by variant, on the held-out samples, of the last evaluation


def find_runs(folder: Path) -> tuple[Path, ...]:
    """The runs in a folder, the newest first; empty if there is no such folder."""
    if not folder.is_dir():
        return ()
    runs = [path.parent for path in folder.glob("*/config.json") if not is_system_file(path.parent.name)]
    return tuple(sorted(runs, key=lambda path: (-_created(path), path.name)))


def find_run(run: Path) -> Path:
    """Return the folder of a run that is given as a folder, or by its name among the runs of `paths.runs`.

    A name is looked up there only if it is no folder here.

    Raises:
        RunError: if there is no run of this name in either place.
    """
    if len(run.parts) != 1 or run.name in ("", "..") or run.exists():
        return run
    in_runs = paths.runs() / run
    if not in_runs.is_dir():
        raise RunError(
            f"{run} is not a run: there is no such folder here or in {paths.runs()}. List the runs with"
            " python -m seg runs."
        )
    return in_runs


def get_status(folder: Path) -> RunStatus:
    """The state and progress of a run.

    Raises:
        RunError: if the folder is not a run.
    """
    run = Run(folder)
    run.config()
    heartbeat = run.read_heartbeat()
    lines = run.metrics()
    train_lines = [line for line in lines if "loss" in line]
    evaluation: dict[str, Any] = next((line for line in reversed(lines) if "loss" not in line), {})
    step = max(heartbeat.get("step", 0), train_lines[-1]["step"] if train_lines else 0)
    steps = heartbeat.get("steps")
    state: State = heartbeat["status"] if heartbeat.get("status") in _STATES else "crashed"
    message = heartbeat.get("message", "")
    if (folder / "model.safetensors").exists():
        state = "finished"
    elif state in ("queued", "running") and not run.alive():
        state = "crashed"
    if state == "crashed":
        message = _crash_reason(heartbeat)
    return RunStatus(
        folder=folder,
        state=state,
        step=step,
        steps=steps,
        seconds=train_lines[-1]["seconds"] if train_lines else 0.0,
        eta_seconds=(
            (steps - step) * _seconds_per_step(train_lines)
            if steps and len(train_lines) > 1 and state != "finished"
            else None
        ),
        seconds_per_step=_seconds_per_step(train_lines) if len(train_lines) > 1 else 0.0,
        message=message,
        metrics={
            v: evaluation[v] for v in evaluation if v in DISPLAY_NAMES and isinstance(evaluation[v], dict)
        },
    )


def list_statuses(folder: Path) -> tuple[list[RunStatus], list[str]]:
    """The states of the runs in a folder, the newest first, and a sentence for each run that is damaged."""
    statuses, faults = [], []
    for run in find_runs(folder):
        try:
            statuses.append(get_status(run))
        except RunError as error:
            faults.append(str(error))
    return statuses, faults


def stop(folder: Path) -> None:
    """Ask the process that trains a run, or waits to, to save and end.

    Raises:
        RunError: if there is no such process, or if it is on another computer or cannot be identified.
    """
    if not Run(folder).alive():
        raise RunError(f"{folder} is not in training, so there is nothing to stop.")
    try:
        stop_process(folder, HEARTBEAT)
    except StatusError as error:
        raise RunError(str(error)) from None


def check_name(name: str) -> None:
    """Check the name of a run.

    Raises:
        RunError: if no run can have it.
    """
    if not re.fullmatch(r"[^\W_]([\w .+-]{0,78}[\w+-])?", name):
        shown = name if len(name) < 40 else f"{name[:40]}…"
        raise RunError(
            f'"{shown}" cannot name a run: use up to 80 letters, digits, spaces and . _ + -, and begin with a'
            " letter or a digit."
        )


def rename(folder: Path, name: str) -> Path:
    """Rename the folder of a run.

    Returns:
        The renamed folder.

    Raises:
        RunError: if the run is in training, or if the name is invalid or taken.
    """
    check_name(name)
    target = folder.with_name(name)
    with _idle(folder, "renamed"):
        if target.exists():
            raise RunError(f"{target} exists already. Choose another name.")
        return folder.rename(target)


def delete(folder: Path) -> None:
    """Delete a run and everything in its folder.

    Raises:
        RunError: if the run is in training, or if the folder is not a run.
    """
    with _idle(folder, "deleted"):
        shutil.rmtree(folder)


@contextmanager
def _idle(folder: Path, action: str) -> Iterator[None]:
    """Check that no process works in a run, and keep processes from starting to during the block."""
    run = Run(folder)
    if not (folder / "config.json").exists():
        run.config()  # not a run, as its error says; a damaged one can be deleted
    if run.alive():
        raise RunError(f"{folder} is being trained, so it cannot be {action}. Stop it first.")
    if is_active(folder, PUBLISHING):
        raise RunError(f"{folder} is being published, so it cannot be {action} yet.")
    try:
        with at_work(folder, HEARTBEAT), at_work(folder, PUBLISHING):
            yield
    except StatusError:
        raise RunError(f"{folder} is in use, so it cannot be {action} yet. Try again.") from None


def _created(folder: Path) -> float:
    with suppress(RunError, OSError):
        return Run(folder).config().get("created") or (folder / "config.json").stat().st_mtime
    return 0.0


def _seconds_per_step(train_lines: list[dict[str, Any]]) -> float:
    first, last = train_lines[-_SPEED_LINES:][0], train_lines[-1]
    return max(0.0, last["seconds"] - first["seconds"]) / max(1, last["step"] - first["step"])


def _crash_reason(heartbeat: dict[str, Any]) -> str:
    """Why the process of a run has ended, as far as that is known, and what to do."""
    advice = "Resume it: only the steps after its last checkpoint are trained again."
    if not heartbeat:
        return f"The process ended before its first heartbeat. {advice}"
    if psutil.boot_time() > heartbeat["time"]:
        return f"The computer has been restarted since. {advice}"
    silent = time.time() - heartbeat["time"]
    if silent < -CLOCK_TOLERANCE:
        return f"Its last heartbeat lies in the future: the clock or the folder was changed. {advice}"
    if silent > HEARTBEAT_TIMEOUT and process_identity.may_exist(heartbeat):
        return f"No heartbeat for {silent / 60:.0f} minutes: the process may be hung, or its PID was reused."
    return f"The process was killed, possibly because the system ran out of memory. {advice}"
