"""A run's folder: what a training writes so that it can go on, and so that others can watch it.

``config.json  log.txt  metrics.jsonl  heartbeat.json  checkpoints/step-00000400/{model,optimizer}.safetensors,state.json``
and at the end ``model.safetensors``. Everything is written whole or not at all; no pickle is written or read.
Knows nothing of networks or data.
"""

import json
import os
import shutil
import tempfile
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seg.files import write_atomic, write_json

KEEP = 2
"""How many checkpoints a run keeps: the newest, and one to fall back on."""

FRESH = 600
"""Seconds after which a heartbeat says nothing: longer than any step or evaluation of a held-out slice takes between two."""


class RunError(ValueError):
    """A run's folder that cannot be used; the message says why and what to do."""


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file atomically."""
    holding = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, holding, metadata)
        with open(holding, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(holding, 0o644)
        os.replace(holding, path)
    finally:
        holding.unlink(missing_ok=True)


class Run:
    """The folder of one training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def create(self, config: dict[str, Any]) -> None:
        """Makes the folder. Raises `RunError` if it holds anything: a run is never overwritten."""
        # what a creation cut off left behind does not count
        if self.folder.exists() and not all(p.name.startswith(".config.json.") for p in self.folder.iterdir()):
            finished = (self.folder / "model.safetensors").exists()
            advice = "" if finished else f"Go on with it by --resume {self.folder}, or delete it. "
            raise RunError(f"{self.folder} is not empty; a run is never overwritten. {advice}Name another folder with --out.")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "config.json", config)

    def config(self) -> dict[str, Any]:
        """What `create` was given. Raises `RunError` if this is no run."""
        try:
            return json.loads((self.folder / "config.json").read_text())
        except FileNotFoundError:
            raise RunError(f"{self.folder} is no run: it has no config.json.") from None
        except ValueError:
            raise RunError(f"{self.folder}/config.json is damaged.") from None

    def save(self, step: int, model: dict[str, Tensor], optimizer: dict[str, Any], state: dict[str, Any]) -> None:
        """Writes a checkpoint: model and optimizer tensors, and JSON for the rest; then drops all but the newest `KEEP`."""
        self.checkpoints.mkdir(exist_ok=True)
        for left in self.checkpoints.glob(".writing-*"):
            shutil.rmtree(left, ignore_errors=True)
        final = self.checkpoints / f"step-{step:08d}"
        holding = Path(tempfile.mkdtemp(dir=self.checkpoints, prefix=".writing-"))
        try:
            moments, groups = _flatten(optimizer)
            save_tensors(holding / "model.safetensors", model)
            save_tensors(holding / "optimizer.safetensors", moments)
            sums = {file.name: _sum(file) for file in sorted(holding.glob("*.safetensors"))}
            write_json(holding / "state.json", {"step": step, "groups": groups, "crc32": sums, **state})
            shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step, from before a resumption
            holding.rename(final)
        finally:
            shutil.rmtree(holding, ignore_errors=True)
        for old in sorted(self.checkpoints.glob("step-*"))[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)

    def state(self) -> dict[str, Any] | None:
        """The state and step of the newest checkpoint whose state can be read, without its tensors; None before the first."""
        for folder in sorted(self.checkpoints.glob("step-*"), reverse=True):
            with suppress(OSError, ValueError):
                return json.loads((folder / "state.json").read_text())
        return None

    def latest(self) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]] | None:
        """Model, optimizer and state of the newest checkpoint that can be read; None before the first. Logs what cannot be read.

        Raises `RunError` where there are checkpoints and none can be read: to begin anew would lose what they hold.
        """
        folders = sorted(self.checkpoints.glob("step-*"), reverse=True)
        for folder in folders:
            try:
                state = json.loads((folder / "state.json").read_text())
                for name, sum_ in state.pop("crc32", {}).items():  # runs of earlier versions have none
                    if _sum(folder / name) != sum_:
                        raise ValueError(f"{name} is not what was written")
                model = load_file(folder / "model.safetensors")
                optimizer = _unflatten(load_file(folder / "optimizer.safetensors"), state.pop("groups"))
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                # a disk can damage what was once written whole; the one before serves
                self.log(f"warning: the checkpoint {folder.name} cannot be read ({error}); the one before it serves")
                continue
            return model, optimizer, state
        if folders:
            raise RunError(f"None of the checkpoints in {self.checkpoints} can be read. Are they yours, and is the disk sound?")
        return None

    def truncate_metrics(self, step: int) -> None:
        """Drops what was recorded after `step`: the resumed run records it again."""
        lines = [line for line in self.metrics() if line["step"] <= step]
        write_atomic(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())

    def record(self, line: dict[str, Any]) -> None:
        """Appends one line to metrics.jsonl."""
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl."""
        lines = []
        with suppress(FileNotFoundError):
            for text in (self.folder / "metrics.jsonl").read_text().splitlines():
                with suppress(ValueError):  # the last line may be cut off
                    lines.append(json.loads(text))
        return lines

    def beat(self, step: int, status: str, message: str = "", steps: int | None = None, pid: int | None = None) -> None:
        """Says who works on the run and that it is alive; `status` is queued, running, stopped, failed or finished."""
        self.note("heartbeat", {"step": step, "steps": steps, "status": status, "message": message}, pid)

    def heartbeat(self) -> dict[str, Any]:
        """What `beat` said last; empty where that cannot be read."""
        return self.noted("heartbeat")

    def unfinished(self) -> bool:
        """Whether this is a run that has not come to its end."""
        return (self.folder / "config.json").exists() and not (self.folder / "model.safetensors").exists()

    def alive(self) -> bool:
        """Whether a process of this machine is at work on the run or waits for its turn: its heartbeat is fresh and it exists."""
        return self.busy("heartbeat")

    def note(self, name: str, values: dict[str, Any], pid: int | None = None) -> None:
        """Keeps what this process, or the one of `pid`, has to say now of its work, in place of what was said before."""
        # not synced to disk: it is written often and worth nothing after a crash
        holding = self.folder / f".{name}.{os.getpid()}"
        holding.write_text(json.dumps({"time": time.time(), "pid": pid or os.getpid(), **values}))
        os.replace(holding, self.folder / f"{name}.json")

    def noted(self, name: str) -> dict[str, Any]:
        """What `note` was given last; empty where that cannot be read."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def busy(self, name: str) -> bool:
        """Whether another process of this machine is at the work that it noted: the note is fresh and the process exists."""
        try:
            note = self.noted(name)
            fresh = note["status"] in ("queued", "running") and time.time() - note["time"] < FRESH
            return fresh and note["pid"] != os.getpid() and psutil.Process(note["pid"]).status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, KeyError, TypeError, ValueError):
            return False

    def log(self, text: str) -> None:
        """Appends a dated line to log.txt."""
        with open(self.folder / "log.txt", "a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


class SilentRun(Run):
    """A run as a process sees it that leaves the writing to another."""

    def save(self, *_, **__) -> None:
        """Nothing; as are all below."""

    truncate_metrics = record = beat = log = save


def _sum(file: Path) -> int:
    found = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 22):
            found = zlib.crc32(block, found)
    return found


def _flatten(optimizer: dict[str, Any]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """A torch optimizer's state -> flat tensors, and its groups as JSON."""
    tensors = {
        f"{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, entry in optimizer["state"].items()
        for name, value in entry.items()
    }
    return tensors, optimizer["param_groups"]


def _unflatten(tensors: dict[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
