"""The runs in a folder: how each stands, in words, and what can be done with it.

Reads what `checkpoint` writes, whoever started the run; knows nothing of networks, and starts nothing.
"""

import os
import re
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from seg.checkpoint import FRESH, Run, RunError

State = Literal["queued", "running", "stopped", "finished", "failed", "dead"]

FOLDER = Path(os.environ.get("SEG_RUNS", os.path.relpath(Path(__file__).parent.parent / "runs")))
"""Where the app keeps runs; ``SEG_RUNS`` moves it."""

_SPEED_LINES = 30
"""The speed of a run is that of so many of its last records: other work on the machine slows it for a while only."""


@dataclass(frozen=True)
class Seen:
    """How a run stands."""

    folder: Path
    state: State
    step: int
    steps: int | None  # in all; None before it is known
    seconds: float  # of training so far, all sessions together
    left: float | None  # seconds to the end at the present speed; None where that is not known
    pace: float  # seconds a step, lately; 0 where that is not known
    message: str  # what happened and what to do, where something did
    scores: dict[str, dict[str, Any]]  # of each variant on the held-out pairs, after the last whole epoch


def find(folder: Path) -> tuple[Path, ...]:
    """The runs in a folder, the newest first. None where there is no such folder."""
    if not folder.is_dir():
        return ()
    found = [path.parent for path in folder.glob("*/config.json")]
    return tuple(sorted(found, key=lambda path: (-_created(path), path.name)))


def see(folder: Path) -> Seen:
    """How the run in `folder` stands. Raises `RunError` if it is none."""
    run = Run(folder)
    run.config()
    beat = run.heartbeat()
    lines = run.metrics()
    trained = [line for line in lines if "loss" in line]
    scored: dict[str, Any] = next((line for line in reversed(lines) if "loss" not in line), {})
    step = max(beat.get("step", 0), trained[-1]["step"] if trained else 0)
    steps = beat.get("steps")
    state: State = beat.get("status", "dead")
    message = beat.get("message", "")
    if (folder / "model.safetensors").exists():
        state = "finished"
    elif state in ("queued", "running") and not run.alive():
        state = "dead"
    if state == "dead":
        message = _obituary(beat)
    return Seen(
        folder=folder,
        state=state,
        step=step,
        steps=steps,
        seconds=trained[-1]["seconds"] if trained else 0.0,
        left=(steps - step) * _pace(trained) if steps and len(trained) > 1 and state != "finished" else None,
        pace=_pace(trained) if len(trained) > 1 else 0.0,
        message=message,
        scores={variant: value for variant, value in scored.items() if isinstance(value, dict)},
    )


def stop(folder: Path) -> None:
    """Asks the process that works on a run, or waits to, to save and end. Raises `RunError` if there is none."""
    if not Run(folder).alive():
        raise RunError(f"Nothing works on {folder}, so there is nothing to stop.")
    os.kill(Run(folder).heartbeat()["pid"], signal.SIGTERM)


def check_name(name: str) -> None:
    """Raises `RunError` for a name that no run can have."""
    if not re.fullmatch(r"[^\W_]([\w .+-]{0,78}[\w+-])?", name):
        shown = name if len(name) < 40 else f"{name[:40]}…"
        raise RunError(
            f'"{shown}" is no name for a run: it takes up to 80 letters, digits, spaces and . _ + -, and begins with a letter or '
            "a digit."
        )


def rename(folder: Path, name: str) -> Path:
    """Gives a run's folder another name. Raises `RunError` for a run at work, and for a name that is none or is taken."""
    _idle(folder, "renamed")
    check_name(name)
    target = folder.with_name(name)
    if target.exists():
        raise RunError(f"There is something named {target} already.")
    return folder.rename(target)


def delete(folder: Path) -> None:
    """Deletes a run with all that it holds. Raises `RunError` for a run at work, and for a folder that is no run."""
    _idle(folder, "deleted")
    shutil.rmtree(folder)


def _idle(folder: Path, what: str) -> None:
    run = Run(folder)
    run.config()
    if run.alive():
        raise RunError(f"{folder} is being trained, so it cannot be {what}. Stop it first.")
    if run.busy("publishing"):
        raise RunError(f"{folder} is being published, so it cannot be {what} yet.")


def _created(folder: Path) -> float:
    with suppress(RunError):
        return Run(folder).config().get("created") or (folder / "config.json").stat().st_mtime
    return 0.0


def _pace(trained: list[dict[str, Any]]) -> float:
    """Seconds a step, lately."""
    first, last = trained[-_SPEED_LINES:][0], trained[-1]
    return max(0.0, last["seconds"] - first["seconds"]) / max(1, last["step"] - first["step"])


def _obituary(beat: dict[str, Any]) -> str:
    """Why a run's process is gone, as far as that can be told, and what to do."""
    go_on = "Go on with it: what came after its last checkpoint is trained again, nothing else is lost."
    if not beat:
        return f"It ended before it said anything. {go_on}"
    if psutil.boot_time() > beat["time"]:
        return f"The computer was started anew since. {go_on}"
    silent = time.time() - beat["time"]
    if silent > FRESH and psutil.pid_exists(beat["pid"]):
        return f"It has not said a word for {silent / 60:.0f} minutes: it hangs, or another process has its number."
    return f"Its process was killed: by somebody, or by the system when memory ran out. {go_on}"
