"""The confusion matrix of every photo of an evaluation, as a file.

With them, worst photos can be listed and two networks compared on the same photos, without another
evaluation. `publish` writes the file beside the card.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seg.evaluation.evaluate import MetricAccumulator
from seg.models.model_card import ModelCard
from seg.models.registry import registry_of
from seg.system.npz_file import read_arrays

COUNTS_FILE = "counts.npz"

PhotoCounts = Mapping[str, np.ndarray]
"""By `counts_key`, photos x K x K int32 in the order of the files; rows ground truth, columns prediction."""


def counts_key(variant: str, label_set: str | None = None) -> str:
    """Return the key of a variant's counts on the unambiguous pixels, or on a label set of `LABEL_SETS`."""
    return variant if label_set is None else f"{variant}.{label_set}"


def to_npz(accumulators: Mapping[str, MetricAccumulator]) -> bytes:
    """Return the contents of the file: the counts by variant, on all label sets."""
    arrays: dict[str, Any] = {}
    for variant, accumulator in accumulators.items():
        arrays[counts_key(variant)] = np.stack(accumulator.confusions)
        for label_set, others in accumulator.on.items():
            arrays[counts_key(variant, label_set)] = np.stack(others.confusions)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def read_npz(file: Path) -> PhotoCounts:
    """Read a file of `to_npz`.

    Raises:
        OSError: if it is missing.
        ValueError: if it is damaged.
    """
    counts = read_arrays(file)
    for array in counts.values():
        if array.ndim != 3 or array.shape[1] != array.shape[2] or array.dtype != np.int32:
            raise ValueError(f"{file} has counts of shape {array.shape} and type {array.dtype}")
    return counts


def published_counts(card: ModelCard, registry: Path | None = None) -> PhotoCounts:
    """Read the counts that `publish` wrote beside a card.

    Args:
        card: the card.
        registry: its registry; by default the first that has the card.

    Returns:
        The counts; empty if there are none, or if their sums are not the confusion matrices of the card.
    """
    try:
        counts = read_npz((registry or registry_of(card.name)) / card.name / COUNTS_FILE)
    except (OSError, ValueError):
        return {}
    reports = card.metrics.get("variants", {})
    agree = all(
        variant in counts and np.array_equal(counts[variant].sum(0), report["confusion"])
        for variant, report in reports.items()
    )
    return counts if agree else {}
