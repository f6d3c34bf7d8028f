"""Measures training and prediction on a GPU: ``python -m benchmarks.gpu``. It prints a Markdown table.

It renders its own scenes and uses the published weights. Without a GPU it measures nothing; ``--device cpu
--quick`` rehearses every part at tiny sizes.
"""

import argparse
import functools
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from seg.data import scenes
from seg.inference.device import CPU, pick_device, synchronize
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from seg.profiling.latency import machine
from seg.system.signals import StopRequest
from seg.training import lifecycle
from seg.training.config import TrainConfig
from seg.training.distributed import DistributedContext
from seg.training.pacing import RECORD_STEPS
from seg.training.trainer import Trainer

Rows = list[tuple[str, str]]
"""Lines of the table: what was measured, and the result."""


@dataclass(frozen=True)
class Scale:
    """The sizes of the measurements."""

    crop_height: int = 384
    batch_size: int = 16  # of the training
    pairs: int = 16  # for training
    steps: int = 60  # at least two records of the training apart
    photo: tuple[int, int] = (1024, 512)  # width, height
    working_height: int = 448
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    photos: int = 64  # of the folder
    scenes: int = 8  # of which the photos are copies, as rendering takes longer than all else
    repeats: int = 20


QUICK = Scale(32, 2, 4, 2 * RECORD_STEPS, (128, 64), 64, (1, 2), 4, 2, 2)


def training(scale: Scale, device: torch.device, folder: Path) -> Rows:
    """Measure the steps of a training of all variants."""
    scenes.write_pairs(folder / "pairs", scale.pairs + 2, 1, seed=1)
    epochs = -(-scale.steps * scale.batch_size // scale.pairs)
    config = TrainConfig(
        data=folder / "pairs",
        out=folder / "run",
        encoder_weights="none",
        holdout=2,
        epochs=epochs,
        evaluate_every=epochs,
        batch_size=scale.batch_size,
        height=scale.crop_height,
        device="cpu" if device == CPU else "auto",
    )
    trainer = _trainer(replace(config, out=folder / "alone"))
    steps = {
        "network alone": lambda: _network_step(trainer, scale),
        "with data and augmentation": trainer.train_step,
    }
    _start_counting_memory(device)
    seconds = {name: _mean_seconds(step, scale.repeats, device) for name, step in steps.items()}
    memory = _peak_memory(device)
    looped = _trainer(config)
    looped.fit(StopRequest(at_once=False))
    lines = [line for line in looped.run.metrics() if "lr" in line]
    first, last = lines[0], lines[-1]
    seconds["inside the training loop"] = (last["seconds"] - first["seconds"]) / (
        last["step"] - first["step"]
    )
    size = f"{scale.batch_size} crops of {scale.crop_height}x{2 * scale.crop_height}"
    rows = [
        (f"step of {size}, {name}", f"{1000 * value:.1f} ms, {scale.batch_size / value:.1f} samples/s")
        for name, value in seconds.items()
    ]
    return [*rows, ("peak memory of a step", memory)]


def _trainer(config: TrainConfig) -> Trainer:
    trainer = Trainer(lifecycle.create(config, ""), config, DistributedContext())
    trainer.console.quiet = True
    return trainer


def _network_step(trainer: Trainer, scale: Scale) -> None:
    """Forward and backward pass and the optimizer, with a simple loss and no data."""
    shape = (scale.batch_size, 3, scale.crop_height, 2 * scale.crop_height)
    image = torch.zeros(shape, device=trainer.device).to(memory_format=torch.channels_last)
    trainer.model.train()
    with trainer.accelerator.autocast():
        loss = sum(logits.mean() for logits in trainer.model(image).values())
    trainer.optimizer.zero_grad()
    trainer.accelerator.backward(loss)
    trainer.optimizer.step()


def photo_to_masks(scale: Scale, predictor: Predictor) -> Rows:
    """Measure the stages from the file of a photo to its masks."""
    file, stages = io.BytesIO(), []
    _scenes(scale)[0].save(file, "JPEG", quality=92)
    for _ in range(scale.repeats + 1):
        stages.append(predictor.predict(file.getvalue(), working_height=scale.working_height).seconds)
    medians = {stage: statistics.median(row[stage] for row in stages[1:]) for stage in stages[0]}
    cells = ", ".join(f"{stage} {1000 * seconds:.1f}" for stage, seconds in medians.items())
    name = f"photo of {scale.photo[0]}x{scale.photo[1]} to all masks"
    return [(name, f"{1000 * sum(medians.values()):.1f} ms: {cells}")]


def latency_by_batch(scale: Scale, predictor: Predictor) -> Rows:
    """Measure the network, without the last upsampling, at batch 1 and at the batch of most images/s."""
    device, height = predictor.device, scale.working_height
    seconds = {}
    for batch in scale.batches:
        image = torch.zeros(batch, 3, height, 2 * height, device=device)
        image = image.to(memory_format=torch.channels_last)
        step = _forward(predictor, image)
        seconds[batch] = _mean_seconds(step, scale.repeats, device) / batch
    best = min(seconds, key=lambda batch: seconds[batch])
    return [
        (
            f"network at {height}x{2 * height}, batch {batch}",
            f"{1000 * batch * seconds[batch]:.2f} ms, {1 / seconds[batch]:.0f} images/s",
        )
        for batch in dict.fromkeys((scale.batches[0], best))
    ]


def _forward(predictor: Predictor, image: torch.Tensor) -> Callable[[], object]:
    return lambda: predictor.forward_batch(image, predictor.model.variants)


def folder_throughput(scale: Scale, predictor: Predictor) -> Rows:
    """Measure decoded photos to masks at working size, one at a time and in batches."""
    size = (2 * scale.working_height, scale.working_height)
    resized = [photo.resize(size) for photo in _scenes(scale)]
    photos = [resized[i % scale.scenes] for i in range(scale.photos)]
    batch = min(16, scale.photos)
    rates = {}
    for count in (1, batch):
        predictor.predict_batch(photos[:count], working_height=scale.working_height)
        start = time.perf_counter()
        for first in range(0, len(photos), count):
            predictor.predict_batch(photos[first : first + count], working_height=scale.working_height)
        rates[count] = len(photos) / (time.perf_counter() - start)
    name = f"{len(photos)} decoded photos of {size[1]}x{size[0]} to all masks"
    return [(f"{name}, batch {count}", f"{rate:.1f} photos/s") for count, rate in rates.items()]


def parity(scale: Scale, predictor: Predictor) -> Rows:
    """Compare the masks with those of the CPU in the same precision, and batches with single photos."""
    on_cpu = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", precision="bf16" if predictor.bf16 else "fp32")
    photos = _scenes(scale)
    height = scale.working_height
    alone = [predictor.predict(photo, working_height=height).masks for photo in photos]
    batched = [result.masks for result in predictor.predict_batch(photos, working_height=height)]
    expected = [on_cpu.predict(photo, working_height=height).masks for photo in photos]
    return [
        (f"pixels that differ from those of the CPU, {len(photos)} photos", _differing(alone, expected)),
        (
            f"pixels that differ between a batch of {len(photos)} and single photos",
            _differing(batched, alone),
        ),
    ]


def _differing(results: Sequence[dict], expected: Sequence[dict]) -> str:
    """Return the share of differing pixels by variant."""
    pairs = list(zip(results, expected, strict=True))
    shares = {
        variant: statistics.mean(float((a[variant] != b[variant]).mean()) for a, b in pairs)
        for variant in results[0]
    }
    return ", ".join(f"{variant} {share:.3%}" for variant, share in shares.items())


@functools.cache
def _scenes(scale: Scale) -> list[Image.Image]:
    return [Image.fromarray(scenes.render_scene(seed, *scale.photo).photo) for seed in range(scale.scenes)]


def _mean_seconds(step: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the time of a step among many, for which the host does not wait one by one."""
    for _ in range(3):
        step()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def _start_counting_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: torch.device) -> str:
    return f"{torch.cuda.max_memory_allocated(device) / 1e6:.0f} MB" if device.type == "cuda" else "–"


def measure(scale: Scale, device: torch.device) -> None:
    """Print the table, each line as soon as it is measured."""
    start = time.monotonic()
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu" if device == CPU else "auto")
    precision = "bf16" if predictor.bf16 else "fp32"
    print(f"\n## {machine(device)}, {precision}\n\n| measurement | result |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _print_rows(training(scale, device, Path(folder)))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    _start_counting_memory(device)
    for part in (photo_to_masks, latency_by_batch, folder_throughput):
        _print_rows(part(scale, predictor))
    _print_rows([("peak memory of predictions", _peak_memory(device))])
    _print_rows(parity(scale, predictor))
    print(f"\nTook {time.monotonic() - start:.0f} s.")


def _print_rows(rows: Rows) -> None:
    for name, result in rows:
        print(f"| {name} | {result} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Measures training and prediction on a GPU.")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="cpu only rehearses")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    if device.type != "cuda" and options.device == "auto":
        print("not run on a GPU")
        return
    measure(QUICK if options.quick else Scale(), device)


if __name__ == "__main__":
    main()
