"""The evaluations during a training, on the held-out samples."""

import time
from collections.abc import Callable
from typing import Any

from rich.progress import Progress

from seg.data.decode_cache import DecodedSplit
from seg.evaluation import evaluate
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.training import snapshots
from seg.training.config import TrainConfig
from seg.training.distributed import DistributedContext
from seg.training.run import Run


class HoldoutEvaluator:
    """Evaluates a network in training, and measures how long that takes.

    Args:
        run: the run.
        config: the settings.
        distributed: the processes that train together, which share the pairs.
        dataset: the training data, whose last pairs are held out.

    Attributes:
        seconds: time of an evaluation, measured or estimated; 0 if unknown.
    """

    def __init__(
        self, run: Run, config: TrainConfig, distributed: DistributedContext, dataset: DecodedSplit
    ) -> None:
        self.run, self.config, self.distributed, self.dataset = run, config, distributed, dataset
        first = len(dataset) - config.holdout if config.holdout else 0
        self.indices = range(first, len(dataset))
        self.seconds = 0.0
        self._is_measured = False

    def is_recorded(self, step: int) -> bool:
        """Whether metrics.jsonl has the evaluation after a step. A collective."""
        lines = self.run.metrics() if self.distributed.is_main_process else []
        return self.distributed.any_rank(any(line["step"] == step and "loss" not in line for line in lines))

    def estimate(self, predictor: Predictor) -> None:
        """Estimate `seconds` from a few photos, unless an evaluation has been measured. A collective."""
        if self._is_measured:
            return
        photos = self.indices[-snapshots.PHOTOS :]
        for _ in range(2):  # the first time also chooses kernels
            start = time.monotonic()
            evaluate.confusion_matrices(predictor, self.dataset, self.config.variants, photos)
            seconds = (time.monotonic() - start) / len(photos)
        evaluated = self.config.holdout / self.distributed.size + snapshots.PHOTOS
        self.seconds = self.distributed.mean(seconds) * evaluated

    def evaluate(
        self,
        predictor: Predictor,
        record: dict[str, Any],
        bar: Progress,
        on_photo: Callable[[], object],
    ) -> None:
        """Save a snapshot of the masks, and append the metrics to metrics.jsonl. A collective.

        Args:
            predictor: the network.
            record: the step, its epoch and the seconds so far.
            bar: displays the progress.
            on_photo: called after each photo.
        """
        start = time.monotonic()
        if self.config.holdout:
            record = record | self._metrics(predictor, record["epoch"], bar, on_photo)
        if self.distributed.is_main_process:
            folder, number = self.run.folder, record["epoch"] + 1
            snapshots.save_snapshot(folder, number, predictor, self.dataset, self.indices)
        if self.config.holdout:  # last, so that a run killed meanwhile repeats all of it
            self.run.append_metrics(record)
        self.seconds = self.distributed.mean(time.monotonic() - start)
        self._is_measured = True

    def _metrics(
        self, predictor: Predictor, epoch: int, bar: Progress, on_photo: Callable[[], object]
    ) -> dict[str, Any]:
        """Return the metrics by variant, and log and print them."""
        config, distributed = self.config, self.distributed
        task = bar.add_task("", total=config.holdout, epoch=f"{epoch + 1} held out", loss="–")

        def on_progress(done: int, _: int) -> None:
            bar.update(task, completed=done * distributed.size)
            on_photo()

        own_indices = self.indices[distributed.rank :: distributed.size]
        confusions = evaluate.confusion_matrices(
            predictor, self.dataset, config.variants, own_indices, on_progress=on_progress
        )
        bar.remove_task(task)
        by_variant: dict[str, Any] = {}
        for variant, confusion in confusions.items():
            metrics = evaluate.metrics_from_confusion(
                distributed.all_reduce_sum(confusion), self.dataset.classes
            )
            metrics.pop("confusion")
            by_variant[variant] = metrics
        summary = "; ".join(
            f"{DISPLAY_NAMES[variant]} mean IoU {evaluate.format_score(metrics['mean_iou'], 3)} pixel"
            f" accuracy {evaluate.format_score(metrics['pixel_accuracy'], 3)}"
            for variant, metrics in by_variant.items()
        )
        self.run.log(f"epoch {epoch + 1}: {summary}")
        bar.console.print(f"epoch {epoch + 1} on {config.holdout} held-out samples: {summary}")
        return by_variant
