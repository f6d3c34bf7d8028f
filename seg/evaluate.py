"""Masks against labels over a split: what is counted of each variant, and what is reported of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from seg import labels, metrics, preprocess
from seg.dataset import Split, read_pair
from seg.predict import Predictor

Truth = Literal["decoded", "nearest"]
Progress = Callable[[int, int], None]

SIZES = (1, 64, 256, 1024, 4096)
"""Where the classes of size of the truth's connected parts begin, in pixels of the 256 x 256 labels."""

BINS = 20
"""Of confidence, in which accuracy is counted."""


@dataclass
class Tally:
    """What is counted of one variant over a split."""

    confusions: list[np.ndarray] = field(default_factory=list)  # K x K, one a photo
    boundary: np.ndarray = field(default_factory=lambda: np.zeros((2, len(labels.CLASSES)), np.int64))
    segments: list[np.ndarray] = field(default_factory=list)  # rows of `metrics.segments`, one array a photo
    calibration: np.ndarray = field(default_factory=lambda: np.zeros((3, BINS)))  # of `metrics.calibration`

    def add(self, label: np.ndarray, mask: np.ndarray, confidence: np.ndarray) -> None:
        """Counts one photo."""
        classes = len(labels.CLASSES)
        self.confusions.append(metrics.confusion(label, mask, classes, labels.IGNORE).astype(np.int32))
        self.boundary += metrics.boundary(label, mask, classes, labels.IGNORE)
        self.segments.append(metrics.segments(label, mask, classes, labels.IGNORE))
        self.calibration += metrics.calibration(label, mask, confidence, BINS, labels.IGNORE)


def confusions(
    predictor: Predictor,
    split: Split,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """The K x K confusion matrix of each variant over the pairs at `indices`, and nothing else: for choosing between settings."""
    classes = len(labels.CLASSES)
    totals = {variant: np.zeros((classes, classes), np.int64) for variant in variants}
    for label, decided in _masks(predictor, split, variants, indices, working_height, "decoded", False, progress):
        for variant, (mask, _) in decided.items():
            totals[variant] += metrics.confusion(label, mask, classes, labels.IGNORE)
    return totals


def tally(
    predictor: Predictor,
    split: Split,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None = None,
    truth: Truth = "decoded",
    best: bool = False,
    progress: Progress | None = None,
) -> dict[str, Tally]:
    """Everything that `report` tells, of each variant over the pairs at `indices`, at the labels' own 256 x 256.

    Every photo is unsquashed and goes the way of a user's photo, at several scales and flipped if `best`. `truth` "nearest"
    scores against plain nearest colours, as others did who published figures on these pairs; what is not one of the nineteen
    colours is then ignored.
    """
    tallies = {variant: Tally() for variant in variants}
    for label, decided in _masks(predictor, split, variants, indices, working_height, truth, best, progress, sure=True):
        for variant, (mask, confidence) in decided.items():
            assert confidence is not None  # `sure` asks for it
            tallies[variant].add(label, mask, confidence)
    return tallies


def _masks(
    predictor: Predictor,
    split: Split,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None,
    truth: Truth,
    best: bool,
    progress: Progress | None,
    sure: bool = False,
) -> Iterator[tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray | None]]]]:
    """Label after label, and each variant's mask with, where `sure` asks for it, its confidence."""
    for done, i in enumerate(indices):
        label = split.labels[i] if truth == "decoded" else labels.nearest(read_pair(split.files[i])[1])
        photo = preprocess.unsquash(Image.fromarray(split.photos[i]))
        yield label, predictor.decide(photo, variants, label.shape, working_height, best, sure)
        if progress:
            progress(done + 1, len(indices))


def report(of: Tally) -> dict[str, Any]:
    """What `evaluate --json` says of one variant; null where there is nothing to say, as of a class that occurs nowhere."""
    stacked = np.stack(of.confusions)
    by_class, mean = metrics.boundary_iou(of.boundary)
    return summary(stacked.sum(0, dtype=np.int64)) | {
        "intervals": {name: list(ends) for name, ends in metrics.interval(stacked).items()},
        "boundary_iou": _number(mean),
        "boundary_iou_by_class": {name: _number(v) for name, v in zip(labels.NAMES, by_class, strict=True)},
        "by_size": _by_size(np.concatenate(of.segments)),
        "calibration_error": _number(metrics.calibration_error(of.calibration)),
        "calibration": _by_confidence(of.calibration),
    }


def summary(confusion: np.ndarray) -> dict[str, Any]:
    """What is read off one confusion matrix."""
    scores = metrics.scores(confusion)
    groups = [labels.CATEGORIES.index(c.category) for c in labels.CLASSES]
    by_category = metrics.scores(metrics.merge(confusion, groups)).iou
    return {
        "pixel_accuracy": _number(scores.pixel_accuracy),
        "mean_accuracy": _number(scores.mean_accuracy),
        "mean_iou": _number(scores.mean_iou),
        "frequency_weighted_iou": _number(scores.frequency_weighted_iou),
        "iou": {name: _number(v) for name, v in zip(labels.NAMES, scores.iou, strict=True)},
        "category_iou": {name: _number(v) for name, v in zip(labels.CATEGORIES, by_category, strict=True)},
        "confusion": confusion.tolist(),
    }


def _by_size(segments: np.ndarray) -> list[dict[str, Any]]:
    """The mean IoU of the truth's connected parts, by their size in pixels."""
    rows = []
    for low, high in zip(SIZES, (*SIZES[1:], None), strict=True):
        within = segments[(segments[:, 1] >= low) & (segments[:, 1] < (high or np.inf)), 2]
        rows.append({"from": low, "below": high, "segments": len(within), "iou": _number(within.mean()) if len(within) else None})
    return rows


def _by_confidence(counts: np.ndarray) -> list[dict[str, Any]]:
    """Of the pixels of each bin of confidence that has any: how many, their mean confidence, and the share that is right."""
    edges = [i / BINS for i in range(BINS + 1)]
    return [
        {"from": low, "to": high, "pixels": int(pixels), "confidence": float(sure / pixels), "accuracy": float(right / pixels)}
        for low, high, (pixels, sure, right) in zip(edges, edges[1:], counts.T, strict=False)
        if pixels
    ]


def size_words(size: dict[str, Any]) -> str:
    """What a class of size of `report` is called."""
    ends = f"{size['from']} pixels and more" if size["below"] is None else f"{size['from']}–{size['below'] - 1} pixels"
    return f"parts of {ends}"


def figure(value: float | None) -> str:
    """A score as it is printed; a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
