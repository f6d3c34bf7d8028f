"""A run's folder: settings, log, metrics, heartbeat and checkpoints of a training.

``config.json  log.txt  metrics.jsonl  heartbeat.json
checkpoints/step-00000400/{model,optimizer}.safetensors,state.json`` and at the end ``model.safetensors``.
Every file is written completely or not at all; no pickle is written or read.
"""

import json
import shutil
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from seg.errors import StreetFCNError, printable, user_message
from seg.system.atomic_io import new_file, new_folder, write_atomic, write_json
from seg.system.file_names import is_system_file
from seg.system.json_file import parse_json, read_json_object
from seg.system.status_file import is_active, read_status, write_status
from seg.training import run_records

HEARTBEAT, PUBLISHING = "heartbeat", "publishing"
"""Names of the status files of a run: of its training, and of its publication."""

METRICS_FILE = "metrics.jsonl"

MAX_CHECKPOINTS = 2
"""Checkpoints that a run keeps: the newest, and one to fall back on."""


_RESTORE = "Restore the file from a copy, or delete the run."


class RunError(StreetFCNError, ValueError):
    """A run's folder that cannot be used; the message names the cause and a remedy."""


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    with new_file(path) as temp_path:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temp_path, metadata)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; unlike `load_file`, also one whose path is not valid UTF-8.

    Raises:
        RunError: if the file is damaged.
        OSError: if it cannot be read.
    """
    try:
        return load(path.read_bytes())
    except SafetensorError as error:
        raise RunError(f"{path} is damaged ({error}).") from None


def to_json_lines(records: list[dict[str, Any]]) -> bytes:
    """Return records as a file of JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


class Run:
    """The folder of one training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def create(self, config: dict[str, Any]) -> None:
        """Create the folder with its config.json.

        Raises:
            RunError: if the folder is not empty: a run is never overwritten.
        """
        # hidden files do not count: an interrupted creation and file managers leave some
        if self.folder.exists() and not all(is_system_file(p.name) for p in self.folder.iterdir()):
            finished = (self.folder / "model.safetensors").exists()
            advice = "" if finished else f"Resume it with --resume {self.folder}, or delete it. "
            raise RunError(
                f"{self.folder} is not empty; a run is never overwritten. {advice}Name another folder with"
                " --out."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "config.json", config)

    def config(self) -> dict[str, Any]:
        """The contents of config.json; keys may be missing, the values of the present ones have their types.

        Raises:
            RunError: if the folder is not a run, or if the file is damaged.
        """
        try:
            values = read_json_object(self.folder / "config.json")
        except FileNotFoundError:
            raise RunError(f"{self.folder} is not a run: it has no config.json.") from None
        except ValueError as error:
            raise RunError(f"{self.folder}/config.json is damaged ({error}). {_RESTORE}") from None
        except OSError as error:
            raise RunError(user_message(error)) from None
        if fault := run_records.config_fault(values):
            raise RunError(f"{self.folder}/config.json is damaged ({fault}). {_RESTORE}")
        return values

    def complete_config(self) -> dict[str, Any]:
        """The contents of config.json with all that a training records.

        Raises:
            RunError: as `config`, or if keys are missing.
        """
        values = self.config()
        missing = {"command", "decoder_version", "start", "batch_size"} - values.keys()
        if missing or not {"name", "strides"} <= values["start"].keys():
            names = ", ".join(sorted(missing)) or "parts of start"
            raise RunError(f"{self.folder}/config.json is damaged (it lacks {names}). {_RESTORE}")
        return values

    def save(
        self, step: int, model: dict[str, Tensor], optimizer: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """Write a checkpoint, then delete all but the newest `MAX_CHECKPOINTS`.

        Args:
            step: the number of completed steps.
            model: the model's tensors.
            optimizer: the optimizer's state dictionary.
            state: everything else, as JSON.
        """
        self.checkpoints.mkdir(exist_ok=True)
        for leftover in self.checkpoints.glob(".writing-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # a damaged checkpoint of the same step, from before a resumption, is replaced
        with new_folder(self.checkpoints / f"step-{step:08d}", replace=True) as temp_dir:
            moments, groups = _flatten(optimizer)
            save_tensors(temp_dir / "model.safetensors", model)
            save_tensors(temp_dir / "optimizer.safetensors", moments)
            checksums = {file.name: _crc32(file) for file in sorted(temp_dir.glob("*.safetensors"))}
            write_json(temp_dir / "state.json", {"step": step, "groups": groups, "crc32": checksums, **state})
        for old in sorted(self.checkpoints.glob("step-*"))[:-MAX_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def state(self) -> dict[str, Any] | None:
        """The state of the newest readable checkpoint, without its tensors; None if there is none."""
        for folder in sorted(self.checkpoints.glob("step-*"), reverse=True):
            with suppress(OSError, ValueError):
                return _read_state(folder)
        return None

    def load_latest(self) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]] | None:
        """Model, optimizer and state of the newest readable checkpoint; None if there is no checkpoint.

        Unreadable checkpoints are logged.

        Raises:
            RunError: if there are checkpoints and none is readable: to start again would lose them.
        """
        folders = sorted(self.checkpoints.glob("step-*"), reverse=True)
        for folder in folders:
            try:
                state = _read_state(folder)
                for name, checksum in state.pop("crc32", {}).items():  # runs of earlier versions have none
                    if _crc32(folder / name) != checksum:
                        raise ValueError(f"{name} has changed since it was written")
                model = load_tensors(folder / "model.safetensors")
                optimizer = _unflatten(load_tensors(folder / "optimizer.safetensors"), state.pop("groups"))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                # a disk can damage a file that was written completely; the checkpoint before it is used
                self.log(
                    f"warning: the checkpoint {folder.name} cannot be read ({error}); the one before it is"
                    " used"
                )
                continue
            return model, optimizer, state
        if folders:
            raise RunError(
                f"None of the checkpoints in {self.checkpoints} can be read. Are they yours, and is the disk"
                " sound?"
            )
        return None

    def truncate_metrics(self, step: int) -> None:
        """Delete the metrics after `step`: the resumed run records them again."""
        lines = [line for line in self.metrics() if line["step"] <= step]
        write_atomic(self.folder / METRICS_FILE, to_json_lines(lines))

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with open(self.folder / METRICS_FILE, "a") as file:
            file.write(json.dumps(line) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All complete and valid lines of metrics.jsonl."""
        lines = []
        with suppress(OSError):
            for text in (self.folder / METRICS_FILE).read_bytes().splitlines():
                with suppress(ValueError):  # the last line may be cut off
                    lines.append(parse_json(text))
        return [line for line in lines if run_records.is_metrics_line(line)]

    def write_heartbeat(
        self, step: int, status: str, message: str = "", steps: int | None = None, pid: int | None = None
    ) -> None:
        """Record that this process is alive; `status` is queued, running, stopped, failed or finished."""
        write_status(
            self.folder,
            HEARTBEAT,
            {"step": step, "steps": steps, "status": status, "message": message},
            pid,
        )

    def read_heartbeat(self) -> dict[str, Any]:
        """The last heartbeat; empty if it cannot be read."""
        heartbeat = read_status(self.folder, HEARTBEAT)
        return heartbeat if run_records.has_valid_heartbeat(heartbeat) else {}

    def read_publishing(self) -> dict[str, Any]:
        """The last status of a publication: name, what, done, total; empty if it cannot be read."""
        status = read_status(self.folder, PUBLISHING)
        return status if run_records.has_valid_progress(status) else {}

    def unfinished(self) -> bool:
        """Whether this is a run that is not finished."""
        return (self.folder / "config.json").exists() and not (self.folder / "model.safetensors").exists()

    def alive(self) -> bool:
        """Whether another process trains the run or waits to, see `is_active`."""
        return is_active(self.folder, HEARTBEAT)

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        with open(self.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(text)}\n")


class SilentRun(Run):
    """A run for a process that leaves all writing to the main process."""

    def save(self, *_: object, **__: object) -> None:
        """Do nothing, like all methods below."""

    truncate_metrics = append_metrics = write_heartbeat = log = save


def _read_state(folder: Path) -> dict[str, Any]:
    """The state of a checkpoint. Raises OSError and ValueError."""
    state = read_json_object(folder / "state.json")
    if fault := run_records.state_fault(state):
        raise ValueError(fault)
    return state


def _crc32(file: Path) -> int:
    checksum = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 22):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _flatten(optimizer: dict[str, Any]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The state of an optimizer as flat tensors, and its groups as JSON."""
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
    # runs from before version 1.0 call the maximum learning rate "highest"
    groups = [
        {"max_lr" if key == "highest" else key: value for key, value in group.items()} for group in groups
    ]
    return {"state": state, "param_groups": groups}
