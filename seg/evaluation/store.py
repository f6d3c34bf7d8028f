"""Storage of evaluations in the cache folder, by the hashes of the weights and the data.

``scores/WEIGHTS-DATA/report.json`` is the output of ``evaluate --json``, ``counts.npz`` contains the
confusion matrix of every variant and photo, and ``scoring.json`` reports the progress of a running
evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seg import paths
from seg.evaluation import metrics
from seg.evaluation.evaluate import EVALUATION_VERSION, MetricAccumulator
from seg.evaluation.photo_counts import COUNTS_FILE, PhotoCounts, read_npz, to_npz
from seg.system.atomic_io import write_atomic, write_json
from seg.system.json_file import read_json_object
from seg.system.status_file import is_active, read_status, stop_process, write_status

NOTE = "scoring"
"""Name of the status file of an evaluation, for `status_file.write_status`."""

LEAST = 64
"""Minimum pixels of a class in the ground truth of a photo that is ranked by that class."""

KEYS = ("pixel_accuracy", "mean_accuracy", "mean_iou", "boundary_iou")
"""The metrics that are compared between a card and an evaluation."""


@dataclass(frozen=True)
class StoredEvaluation:
    """An evaluation of weights on a whole split.

    Attributes:
        report: the output of ``evaluate --json``.
        counts: the counts of every photo.
    """

    report: dict[str, Any]
    counts: PhotoCounts

    @property
    def variants(self) -> tuple[str, ...]:
        """The evaluated variants."""
        return tuple(self.report["variants"])

    def of(self, variant: str) -> np.ndarray:
        """Return the photos x K x K confusion matrices of a variant on the unambiguous pixels."""
        return self.counts[variant]


def store_dir(sha256: str, digest: str) -> Path:
    """Return the folder of an evaluation.

    Args:
        sha256: hash of the weights file.
        digest: content hash of the split.
    """
    return paths.cache() / "scores" / f"{sha256[:16]}-{digest[:16]}"


def save(folder: Path, report: dict[str, Any], accumulators: Mapping[str, MetricAccumulator]) -> None:
    """Write an evaluation; the report is written last, so that it exists only if everything else does.

    Args:
        folder: from `store_dir`; created if missing.
        report: the output of ``evaluate --json``.
        accumulators: the counts by variant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / COUNTS_FILE, to_npz(accumulators))
    write_json(folder / "report.json", report)


def load(folder: Path) -> StoredEvaluation | None:
    """Read the evaluation in a folder; None if there is none of this version that can be read."""
    try:
        report = read_json_object(folder / "report.json")
        counts = read_npz(folder / COUNTS_FILE)
        is_complete = report["version"] == EVALUATION_VERSION and all(
            len(counts[variant]) == report["images"] for variant in report["variants"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return StoredEvaluation(report, counts) if is_complete else None


def progress(folder: Path) -> dict[str, Any]:
    """Return the status of the current or last evaluation in a folder, or an empty dict if there was none.

    Its ``status`` is running, finished or failed; a running evaluation whose process is gone counts as
    failed.
    """
    status = read_status(folder, NOTE)
    counts = [status.get(key, 0) for key in ("done", "total", "since")]
    if not all(isinstance(count, int | float) and abs(count) < 1e12 for count in counts):
        return {}
    if status.get("status") == "running" and not is_active(folder, NOTE):
        return status | {
            "status": "failed",
            "message": "Its process is gone: it was killed, or memory ran out.",
        }
    return status


def stop(folder: Path) -> None:
    """Stop the evaluation that is running in a folder, if any.

    Raises:
        StatusError: if it runs on another computer or cannot be identified.
    """
    if is_active(folder, NOTE):
        stop_process(folder, NOTE)
        write_status(folder, NOTE, {"status": "failed", "message": "It was stopped."})


def rank_worst(counts: np.ndarray, k: int | None = None, least: int = LEAST) -> list[tuple[int, float]]:
    """Rank photos by IoU, the worst first.

    Args:
        counts: photos x K x K confusion matrices.
        k: rank by the IoU of this class; by default by the mean IoU over the classes of the ground truth.
        least: minimum pixels of class k in the ground truth of a ranked photo.

    Returns:
        Index and IoU of each photo whose IoU is defined.
    """
    ranked = []
    for photo, matrix in enumerate(counts):
        if k is None:
            iou = metrics.compute_metrics(matrix).mean_iou_in_target
        else:
            iou = metrics.compute_metrics(matrix).iou[k] if matrix[k].sum() >= least else float("nan")
        if not np.isnan(iou):
            ranked.append((photo, float(iou)))
    return sorted(ranked, key=lambda photo_and_iou: photo_and_iou[1])


def images_in_cell(counts: np.ndarray, target: int, pred: int) -> list[tuple[int, int]]:
    """Rank photos by the pixels in one cell of the confusion matrix, the most first.

    Args:
        counts: photos x K x K confusion matrices.
        target: true class.
        pred: predicted class.

    Returns:
        Index and number of pixels of each photo that has any.
    """
    pixels = counts[:, target, pred]
    return [(int(photo), int(pixels[photo])) for photo in np.argsort(-pixels, kind="stable") if pixels[photo]]


def differences(
    card: Mapping[str, Any], evaluation: Mapping[str, Any], variants: Sequence[str]
) -> list[tuple[str, str, float, float]]:
    """Pair the metrics of a card with those of an evaluation.

    Args:
        card: the card's reports by variant.
        evaluation: the evaluation's reports by variant.
        variants: the variants to compare.

    Returns:
        Variant, metric, value on the card and value of the evaluation, for all `KEYS` that both define.
    """
    return [
        (variant, key, card[variant][key], evaluation[variant][key])
        for variant in variants
        for key in KEYS
        if variant in card
        and variant in evaluation
        and None not in (card[variant].get(key), evaluation[variant].get(key))
    ]
