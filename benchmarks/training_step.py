"""Measures a training step: ``python -m benchmarks.training_step``.

It prints the operations in a step for which the host waits for a GPU, and the time of a step with both ways
to compute the learned upsampling, which take turns. It renders its own pairs.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from seg.data import scenes
from seg.inference.device import synchronize
from seg.models.fcn import LearnedUpsample
from seg.training import lifecycle
from seg.training.config import TrainConfig
from seg.training.distributed import DistributedContext
from seg.training.trainer import Trainer
from tests.support.sync_counter import SyncCounter

HEIGHT, BATCH_SIZE, ROUNDS = 256, 4, 5


def trainer_of(config: TrainConfig) -> Trainer:
    """Create the folder of a run and its trainer."""
    return Trainer(lifecycle.create(config, ""), config, DistributedContext())


def synchronizing_operations(config: TrainConfig) -> None:
    """Print the synchronizing operations in a step by loss, with an EMA."""
    rows = []
    for loss in ("cross-entropy", "dice", "ohem"):
        small = replace(config, out=config.out / loss, loss=loss, ema_decay=0.9, height=32, batch_size=2)
        trainer = trainer_of(small)
        trainer.train_step()  # the first step also creates the state of the optimizer
        with SyncCounter() as counter:
            trainer.train_step()
        named = ", ".join(f"{count} {name}" for name, count in counter.counts.items())
        rows.append(f"| {loss} | {named or 'none'} |")
    print("\n## Operations in a training step that wait for a GPU\n")
    print("| loss | operations |\n|---|---|", *rows, sep="\n")


def step_seconds(config: TrainConfig) -> None:
    """Print the median time of a step with each way of upsampling, and their ratios in the same round."""
    trainer = trainer_of(replace(config, out=config.out / "timed"))
    ways = {"transposed convolution": lambda *_: True, "matrix products": lambda *_: False}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            with patch.object(LearnedUpsample, "_convolves", way):
                synchronize(trainer.device)
                start = time.perf_counter()
                trainer.train_step()
                synchronize(trainer.device)
                seconds[name].append(time.perf_counter() - start)
    convolution, products = (times[1:] for times in seconds.values())
    ratios = sorted(a / b for a, b in zip(convolution, products, strict=True))
    precision = "bf16" if trainer.accelerator.mixed_precision == "bf16" else "fp32"
    print(
        f"\n## A step of {BATCH_SIZE} crops of {HEIGHT}x{2 * HEIGHT} on {trainer.device} in {precision},"
        f" {torch.get_num_threads()} threads\n"
    )
    print("| upsampling | seconds a step, median |\n|---|---|")
    for name, times in (("transposed convolution", convolution), ("matrix products", products)):
        print(f"| {name} | {statistics.median(times):.2f} |")
    print(
        f"\nConvolution by products, in the same round: {statistics.median(ratios):.2f}, from"
        f" {ratios[0]:.2f} to {ratios[-1]:.2f}."
    )


def measure(folder: Path) -> None:
    """Print both tables; `folder` is empty."""
    scenes.write_pairs(folder / "pairs", 2 * BATCH_SIZE, 1, seed=1)
    config = TrainConfig(
        data=folder / "pairs",
        out=folder,
        encoder_weights="none",
        holdout=BATCH_SIZE,
        epochs=1000,
        batch_size=BATCH_SIZE,
        height=HEIGHT,
    )
    synchronizing_operations(config)
    step_seconds(config)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))
