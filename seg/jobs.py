"""Background processes that the app starts: trainings, publications, evaluations.

They outlive the app and report their progress in files of the run's folder.
"""

import dataclasses
import hashlib
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seg import paths
from seg.data.datasets import check_split
from seg.errors import printable
from seg.evaluation import store
from seg.models.factory import ARCHITECTURES
from seg.system.status_file import StatusError, at_work, is_active, write_status
from seg.training.config import TrainConfig
from seg.training.lifecycle import create
from seg.training.run import HEARTBEAT, PUBLISHING, Run

PROGRAM = (sys.executable, "-P", "-m", "seg")
"""The command line of this package, in this Python; -P ignores modules in the working directory."""

OUTPUT = "output.txt"
"""In a run's folder: the output of the processes that the app started for it."""


def train_args(config: TrainConfig) -> list[str]:
    """The arguments of ``train`` for these settings, without those that have their default."""
    args = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        all_variants = field.name == "variants" and value == ARCHITECTURES[config.arch].variants
        if value != field.default and not all_variants:
            option = "--" + field.name.replace("_", "-")
            args += [option] if value is True else [option, *_args(value)]
    return args


def command(config: TrainConfig) -> str:
    """The command line that starts a training with these settings."""
    return "python -m seg train " + shlex.join(train_args(config))


def displayed_command(args: Sequence[str]) -> str:
    """A command line of this package for the user's terminal, in the working directory of this process."""
    is_shadowed = not paths.is_clone(Path.cwd()) and (Path("seg").exists() or Path("seg.py").exists())
    safe = " -P" if is_shadowed else ""  # a package of the same name in the working directory
    line = f"python{safe} -m seg {printable(shlex.join(args))}"
    return line if paths.is_importable() else f"PYTHONPATH={shlex.quote(str(paths.package_parent()))} {line}"


def start(config: TrainConfig) -> Run:
    """Create a run and start a process that trains it.

    Raises:
        StreetFCNError: as `lifecycle.create`.
    """
    run = create(config, command(config))
    resume(run.folder)
    return run


def resume(folder: Path) -> None:
    """Start a process that resumes a run.

    Raises:
        StatusError: if a process trains it already, or is being started.
    """
    run = Run(folder)
    with _starting(folder, HEARTBEAT):
        process = spawn_detached(folder / OUTPUT, "train", "--resume", str(folder))
        last = run.read_heartbeat()
        run.write_heartbeat(last.get("step", 0), "queued", "starting", last.get("steps"), process.pid)


def publish(folder: Path, name: str, tta: bool) -> None:
    """Start a process that publishes a finished run as `name`; with `tta`, it is also evaluated with
    augmentation.

    Raises:
        StatusError: if a process publishes it already, or is being started.
    """
    with _starting(folder, PUBLISHING):
        process = spawn_detached(folder / OUTPUT, "publish", str(folder), "--name", name, *["--tta"] * tta)
        write_status(
            folder,
            PUBLISHING,
            {"name": name, "status": "running", "what": "starting", "done": 0, "total": 1},
            process.pid,
        )


def evaluate(name: str, data: Path, folder: Path, photos: int) -> None:
    """Start a process that evaluates published weights on val.

    Args:
        name: the name of the weights.
        data: the folder of the pairs.
        folder: the folder of the result, `store.store_dir`.
        photos: the number of pairs, for the progress.

    Raises:
        DatasetError: if the pairs have no labels.
        StatusError: if a process evaluates them already, or is being started.
    """
    check_split(data, "val")
    folder.mkdir(parents=True, exist_ok=True)
    with _starting(folder, store.NOTE):
        process = spawn_detached(folder / OUTPUT, "evaluate", name, "--data", str(data), "--keep")
        write_status(
            folder,
            store.NOTE,
            {"status": "running", "done": 0, "total": photos, "since": time.time()},
            process.pid,
        )


@contextmanager
def _starting(folder: Path, name: str) -> Iterator[None]:
    """Let one window at a time start a process in a folder, and none if one is at work there."""
    with at_work(folder, f"{name}-start"):
        if is_active(folder, name):
            raise StatusError(f"A process is at work in {folder} already. Wait for its end, or stop it.")
        yield


def cost_command(config: TrainConfig) -> tuple[tuple[str, ...], Path]:
    """The arguments that measure the cost of a training, and the file of their result: the same for the same
    settings, whatever the name of the run. Results of earlier days are deleted.
    """
    arguments = ("cost", *train_args(dataclasses.replace(config, out=paths.default_run())))
    for file in paths.cache().glob("cost-*.json"):
        if time.time() - file.stat().st_mtime > 24 * 3600:
            file.unlink(missing_ok=True)
    file = paths.cache() / f"cost-{hashlib.sha256(repr(arguments).encode()).hexdigest()[:16]}.json"
    return (*arguments, "--json", str(file)), file


def spawn_detached(output: Path, *args: str) -> subprocess.Popen:
    """Start ``python -m seg`` with arguments as a process that outlives this one.

    Args:
        output: the file to which its output is appended.
        args: the command and its options.
    """
    with open(output, "a") as file:
        process = _spawn(args, stdout=file, stderr=subprocess.STDOUT)
    # without this it would stay in the process table as if it were alive
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def spawn_watched(*args: str) -> subprocess.Popen:
    """Start ``python -m seg`` as a process that outlives this one; its standard error is a text pipe."""
    return _spawn(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _spawn(args: Sequence[str], stdout: int | IO, stderr: int) -> subprocess.Popen:
    return subprocess.Popen(
        [*PROGRAM, *args],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=paths.child_environment(),
        start_new_session=True,  # Ctrl-C in the app's terminal must not end it
    )


def _args(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, tuple) else (value,))]
