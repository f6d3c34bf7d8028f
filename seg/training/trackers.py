"""Experiment trackers: the metrics of a run in TensorBoard or Weights & Biases too, through Accelerate."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from seg.training.config import TrainConfig, TrainError
from seg.training.run import Run

PROJECT = "street-fcn"
"""Name of the project in Weights & Biases."""


def check_tracker(tracker: str) -> None:
    """Check that the package of a tracker is installed.

    Raises:
        TrainError: if it is not.
    """
    if tracker != "none" and find_spec(tracker) is None:
        raise TrainError(f"--log-with {tracker} needs its package: pip install {tracker}.")


def track(run: Run, config: TrainConfig, accelerator: Accelerator) -> Run:
    """Return a run whose metrics also go to the tracker of its settings, if they name one.

    Args:
        run: the run.
        config: its settings.
        accelerator: created with the tracker.
    """
    if config.log_with == "none" or not accelerator.is_main_process:
        return run
    return _TrackedRun(run.folder, config, accelerator)


class _TrackedRun(Run):
    def __init__(self, folder: Path, config: TrainConfig, accelerator: Accelerator) -> None:
        super().__init__(folder)
        self._accelerator = accelerator
        settings = {name: str(value) for name, value in vars(config).items()}
        of_wandb = {"name": folder.name, "dir": str(folder)}
        # TensorBoard's files are in the folder of this name in that of the run
        project = PROJECT if config.log_with == "wandb" else config.log_with
        accelerator.init_trackers(project, settings, {"wandb": of_wandb})

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl, and send its numbers to the tracker."""
        super().append_metrics(line)
        self._accelerator.log(dict(_numbers(line)), step=line["step"])


def _numbers(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a line of metrics, those of a variant or a class after its name and a slash."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and name != "step":
            yield f"{prefix}{name}", value
