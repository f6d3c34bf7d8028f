"""Estimate of a training before it starts: time, memory, and the overhead of the training loop.

`measure` runs some steps of the real `trainer.Trainer` on an untrained network, in a temporary folder.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from seg.data.transforms import crop_width
from seg.evaluation import evaluate
from seg.inference.device import synchronize
from seg.system.allocator import keep_freed_memory
from seg.system.durations import format_duration
from seg.training import lifecycle, trainer
from seg.training.config import TrainConfig, TrainError
from seg.training.distributed import DistributedContext
from seg.training.pacing import evaluation_interval
from seg.training.run import Run
from seg.training.snapshots import PHOTOS

SECONDS = 12.0
"""Time for which steps are measured, within `MIN_REPEATS` and `MAX_REPEATS`."""

MIN_REPEATS, MAX_REPEATS = 3, 30


@dataclass(frozen=True)
class CostEstimate:
    """The estimated cost of a training; the command writes the fields to its JSON file."""

    steps: int
    """Number of steps of the whole training."""
    seconds_per_step: float
    """Median time of a step."""
    compute_seconds: float
    """Median time of the forward and backward pass alone on a batch of the same shape."""
    overhead: float
    """Additional time of a step, relative to `compute_seconds`."""
    photos_per_second: float
    """Training throughput."""
    memory_bytes: int
    """Peak memory: allocated on the GPU, or resident on a CPU."""
    seconds: float
    """Time of the whole training, including the evaluation of the held-out photos and the checkpoints."""
    device: str
    """``cuda``, ``mps`` or ``cpu``."""
    precision: str
    """``bf16`` or ``fp32``."""


def measure(config: TrainConfig) -> CostEstimate:
    """Measure the cost of a training on this machine, without waiting for the device to be free.

    Steps and bare passes are timed alternately, so that other load on the machine slows both alike.

    Args:
        config: the settings of the training.

    Raises:
        TrainError: if several processes are running.
        StreetFCNError: as `lifecycle.create` does.
    """
    if DistributedContext.world_size_from_env() > 1:
        raise TrainError("The cost is measured in one process: start it as python -m seg cost.")
    with tempfile.TemporaryDirectory() as folder:
        # more epochs than any measurement needs
        probe = replace(
            config, out=Path(folder) / "run", encoder_weights="none", init_from="", epochs=10**6, minutes=0.0
        )
        run: Run = lifecycle.create(probe, "")
        keep_freed_memory()
        measured = trainer.Trainer(run, probe, DistributedContext())
        step_seconds, compute_seconds, eval_seconds, checkpoint_seconds = _time_steps(measured)
        memory = _peak_memory(measured.device)
        bf16 = measured.accelerator.mixed_precision == "bf16"
        steps_per_epoch = measured.steps_per_epoch
        train_seconds = steps_per_epoch * step_seconds
        evaluation_seconds = (config.holdout + PHOTOS) * eval_seconds
        evaluate_every = config.evaluate_every or evaluation_interval(evaluation_seconds, train_seconds)
        epoch_seconds = (
            train_seconds
            + evaluation_seconds / (evaluate_every if config.minutes else min(evaluate_every, config.epochs))
            + _checkpoints_per_epoch(config, steps_per_epoch, train_seconds) * checkpoint_seconds
        )
        epochs = 60 * config.minutes / epoch_seconds if config.minutes else config.epochs
        seconds = 60 * config.minutes or epochs * epoch_seconds + checkpoint_seconds
    return CostEstimate(
        steps=round(steps_per_epoch * epochs),
        seconds_per_step=step_seconds,
        compute_seconds=compute_seconds,
        overhead=step_seconds / compute_seconds - 1,
        photos_per_second=config.batch_size / step_seconds,
        memory_bytes=memory,
        seconds=seconds,
        device=measured.device.type,
        precision="bf16" if bf16 else "fp32",
    )


def format_lines(cost: CostEstimate) -> list[str]:
    """Format an estimate as the lines that the command prints."""
    memory = f"of {'GPU memory' if cost.device == 'cuda' else 'memory'} at most"
    return [
        f"{cost.steps} steps of {cost.seconds_per_step:.3f} s on {cost.device} in {cost.precision}, "
        f"and {format_duration(cost.seconds)} in all, held-out photos and checkpoints included",
        f"{cost.photos_per_second:.1f} photos a second, {cost.memory_bytes / 1e9:.1f} GB {memory}",
        f"forward and backward alone take {cost.compute_seconds:.3f} s: the loop adds {cost.overhead:.1%}",
    ]


def _checkpoints_per_epoch(config: TrainConfig, steps_per_epoch: int, train_seconds: float) -> float:
    """Return the checkpoints of an epoch of `train_seconds`."""
    if config.checkpoint_every:
        return steps_per_epoch / config.checkpoint_every
    return train_seconds / (60 * config.checkpoint_minutes)


def _time_steps(measured: trainer.Trainer) -> tuple[float, float, float, float]:
    """Return the median seconds of a step, of its bare passes, of the evaluation of a photo, and of a
    checkpoint."""
    device, height = measured.device, measured.config.height
    width = crop_width(height, measured.dataset.crop_aspect)
    shape = (measured.config.batch_size, 3, height, width)
    image = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        measured.train_step()
        measured.run.write_heartbeat(measured.step, "running", steps=measured.steps)

    def bare_passes() -> None:
        with measured.accelerator.autocast():
            outputs = list(measured.model(image).values())
        measured.optimizer.zero_grad()
        torch.autograd.backward(
            outputs, [torch.full_like(logits, 1 / logits[:, 0].numel()) for logits in outputs]
        )

    def clock(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        synchronize(device)
        return time.perf_counter() - start

    clock(step), clock(bare_passes)  # warm-up: memory, compilation, choice of kernels
    pair_seconds = clock(step) + clock(bare_passes)
    repeats = max(MIN_REPEATS, min(MAX_REPEATS, round(SECONDS / pair_seconds)))
    times = [(clock(step), clock(bare_passes)) for _ in range(repeats)]
    predictor = measured.predictor()

    def evaluate_photo() -> None:
        evaluate.confusion_matrices(predictor, measured.dataset, measured.config.variants, [0])

    evaluate_photo()
    eval_seconds = median(clock(evaluate_photo) for _ in range(MIN_REPEATS))
    checkpoint_seconds = median(clock(measured.save_checkpoint) for _ in range(MIN_REPEATS))
    return *(median(column) for column in zip(*times, strict=True)), eval_seconds, checkpoint_seconds


def _peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes; ru_maxrss is in KiB except on macOS."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else 1024 * resident
