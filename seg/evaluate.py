"""Masks against labels over a split: one confusion matrix per variant."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from seg import labels, metrics, preprocess
from seg.dataset import Split, read_pair
from seg.fcn import Variant
from seg.predict import Predictor

Truth = Literal["decoded", "nearest"]


def confusions(
    predictor: Predictor,
    split: Split,
    variants: Sequence[Variant],
    indices: Sequence[int],
    working_height: int | None = None,
    truth: Truth = "decoded",
    progress: Callable[[int, int], None] | None = None,
) -> dict[Variant, np.ndarray]:
    """The 19 x 19 confusion matrix of each variant over the pairs at `indices`, at the labels' own 256 x 256.

    Every photo is unsquashed and goes the way of a user's photo. `truth` "nearest" scores against plain nearest colours, as
    others did who published figures on these pairs; what is not one of the nineteen colours is then ignored.
    """
    classes = len(labels.CLASSES)
    totals = {variant: np.zeros((classes, classes), np.int64) for variant in variants}
    for done, i in enumerate(indices):
        label = split.labels[i] if truth == "decoded" else labels.nearest(read_pair(split.files[i])[1])
        photo = preprocess.unsquash(Image.fromarray(split.photos[i]))
        for variant, logits in predictor.logits(photo, variants, working_height).items():
            mask, _ = preprocess.to_mask(logits, *label.shape)
            totals[variant] += metrics.confusion(label, mask, classes, labels.IGNORE)
        if progress:
            progress(done + 1, len(indices))
    return totals


def report(confusion: np.ndarray) -> dict[str, Any]:
    """What `evaluate --json` says of one variant; a class that occurs nowhere has the IoU null."""
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


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
