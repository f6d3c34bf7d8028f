"""What a training will cost before it starts: time, memory, and what the loop adds to the network's own work.

The session is `train`'s own, on an untrained network in a folder that is thrown away; what it learns is of no use.
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

from seg import evaluate, train
from seg.checkpoint import Run
from seg.predict import Predictor
from seg.recipe import TrainConfig, TrainError
from seg.strip import PHOTOS
from seg.team import Team

SECONDS, LEAST, MOST = 12.0, 3, 30
"""How long steps are measured for, and how often at least and at most."""


@dataclass(frozen=True)
class Cost:
    """What was measured, and what follows from it."""

    steps: int
    seconds_per_step: float
    bare_seconds: float  # forward and backward pass alone, on such a batch
    overhead: float  # what a step takes beyond them, as a share of them
    photos_per_second: float
    memory_bytes: int  # the most that was used: of the GPU, or resident on a CPU
    seconds: float  # of the whole training, held-out photos included
    device: str
    precision: str


def measure(config: TrainConfig) -> Cost:
    """Measures steps and bare passes in turn, so that other work on the machine slows both alike. Raises as `train.create`.

    It does not wait until the device is free.
    """
    if Team.started() > 1:
        raise TrainError("The cost is measured in one process: start it as python -m seg cost.")
    with tempfile.TemporaryDirectory() as folder:
        # epochs enough that no probe comes to their end
        probe = replace(config, out=Path(folder) / "run", encoder_weights="none", parent="", epochs=10**6)
        run: Run = train.create(probe, "")
        train.keep_freed_memory()
        session = train.Session(run, probe, Team())
        step, bare, held = _clocked(session)
        memory = _most(session.device)
        bf16 = session.accelerator.mixed_precision == "bf16"
        steps = session.steps_per_epoch * config.epochs
        looked_at = config.holdout + PHOTOS
    return Cost(
        steps=steps,
        seconds_per_step=step,
        bare_seconds=bare,
        overhead=step / bare - 1,
        photos_per_second=config.batch_size / step,
        memory_bytes=memory,
        seconds=steps * step + config.epochs * looked_at * held,
        device=session.device.type,
        precision="bf16" if bf16 else "fp32",
    )


def words(cost: Cost) -> list[str]:
    """What the command prints."""
    where = f"of {'GPU memory' if cost.device == 'cuda' else 'memory'} at most"
    return [
        f"{cost.steps} steps of {cost.seconds_per_step:.3f} s on {cost.device} in {cost.precision}, "
        f"and {_span(cost.seconds)} in all, held-out photos included",
        f"{cost.photos_per_second:.1f} photos a second, {cost.memory_bytes / 1e9:.1f} GB {where}",
        f"forward and backward alone take {cost.bare_seconds:.3f} s: the loop adds {cost.overhead:.1%}",
    ]


def _clocked(session: train.Session) -> tuple[float, float, float]:
    """Seconds of a step, of a bare one, and of a held-out photo."""
    device, height = session.device, session.config.height
    shape = (session.config.batch_size, 3, height, 2 * height)
    image = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)

    def whole() -> None:
        session.advance()
        session.run.beat(session.step, "running", steps=session.steps)

    def bare() -> None:
        with session.accelerator.autocast():
            logits = list(session.model(image).values())
        session.optimizer.zero_grad()
        torch.autograd.backward(logits, [torch.full_like(scores, 1 / scores[:, 0].numel()) for scores in logits])

    def clock(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    clock(whole), clock(bare)  # what only the first do: memory, compiling, choosing kernels
    once = clock(whole) + clock(bare)
    repeats = max(LEAST, min(MOST, round(SECONDS / once)))
    times = [(clock(whole), clock(bare)) for _ in range(repeats)]
    predictor = Predictor(session.result(), height, device, session.accelerator.mixed_precision == "bf16")

    def look() -> None:
        evaluate.confusions(predictor, session.main, session.config.variants, [0])

    look()
    return *(median(column) for column in zip(*times, strict=True)), median(clock(look) for _ in range(LEAST))


def _most(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else 1024 * resident


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
