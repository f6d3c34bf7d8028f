"""Processes of their own for what the app starts: trainings, and what is done with runs and data.

They go on when the app ends, and tell of themselves in the run's folder alone. Knows nothing of networks.
"""

import dataclasses
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from seg import scoring
from seg.checkpoint import Run
from seg.networks import ARCHITECTURES
from seg.recipe import TrainConfig
from seg.train import create

OUTPUT = "output.txt"
"""In a run's folder: what the processes that the app started for it have printed."""


def command(config: TrainConfig) -> str:
    """The command line that starts this very training."""
    words = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        every = field.name == "variants" and value == ARCHITECTURES[config.arch].variants
        if value != field.default and not every:
            option = "--" + field.name.replace("_", "-")
            words += [option] if value is True else [option, *_words(value)]
    return "python -m seg train " + shlex.join(words)


def start(config: TrainConfig) -> Run:
    """Makes the run's folder and starts a process that trains in it. Raises as `train.create` does."""
    run = create(config, command(config))
    go_on(run.folder)
    return run


def go_on(folder: Path) -> None:
    """Starts a process that goes on with a run."""
    run = Run(folder)
    process = detached(folder / OUTPUT, "train", "--resume", str(folder))
    before = run.heartbeat()
    run.beat(before.get("step", 0), "queued", "starting", before.get("steps"), process.pid)


def publish(folder: Path, name: str, best: bool) -> None:
    """Starts a process that publishes a finished run."""
    process = detached(folder / OUTPUT, "publish", str(folder), "--name", name, *["--best"] * best)
    Run(folder).note("publishing", {"name": name, "status": "running", "what": "starting", "done": 0, "total": 1}, process.pid)


def score(name: str, data: Path, folder: Path, photos: int) -> None:
    """Starts a process that evaluates published weights on the val of a data set and keeps that in `scoring.place`'s folder."""
    folder.mkdir(parents=True, exist_ok=True)
    process = detached(folder / OUTPUT, "evaluate", name, "--data", str(data), "--keep")
    Run(folder).note(scoring.NOTE, {"status": "running", "done": 0, "total": photos, "since": time.time()}, process.pid)


def detached(output: Path, *words: str) -> subprocess.Popen:
    """Starts ``python -m seg`` with these words as a process that outlives this one; what it prints is added to a file."""
    with open(output, "a") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "seg", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the app's terminal is not meant for it
        )
    # else it stays in the table of processes as if it were alive
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def _words(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, tuple) else (value,))]
