"""Confidence intervals of metrics, and of differences between networks on the same photos.

Neighboring photos of a split come from the same drive and resemble each other, so blocks of consecutive
photos are drawn, not single ones (circular block bootstrap, Politis and Romano 1992). The bounds are
bias-corrected percentiles (Efron 1981, "Nonparametric standard errors and confidence intervals"), because
rare classes bias the mean IoU of resampled photos downwards.

An interval describes the choice of photos from places like those of the split. It does not describe other
cities, or another training of the same network.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from seg.evaluation.metrics import compute_metrics

METRICS = ("pixel_accuracy", "mean_accuracy", "mean_iou")
"""The metrics that have intervals."""

BLOCK = 10
"""Number of consecutive photos that are drawn together."""

MIN_PHOTOS = 100
"""Minimum number of photos for an interval: with fewer, the bounds are too narrow."""


def confidence_intervals(
    confusions: np.ndarray, repeats: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Compute 95 % confidence intervals over photos.

    Args:
        confusions: n x K x K counts, one matrix per photo, in the order of the files.
        repeats: number of draws.
        seed: seed of the draws.

    Returns:
        Lower and upper bound of each of `METRICS`; empty with fewer than `MIN_PHOTOS` photos.
    """
    if len(confusions) < MIN_PHOTOS:
        return {}
    whole = compute_metrics(confusions.sum(0))
    resampled = [compute_metrics(total) for total in _resampled_totals(confusions, repeats, seed)]
    return {
        name: bias_corrected(np.array([getattr(sample, name) for sample in resampled]), getattr(whole, name))
        for name in METRICS
    }


@dataclass(frozen=True)
class PairedDifference:
    """The difference of the mean IoU of two networks on the same photos.

    Attributes:
        mean_iou: mean IoU of the first minus that of the second.
        low, high: bounds of its 95 % confidence interval; None with fewer than `MIN_PHOTOS` photos.
    """

    mean_iou: float
    low: float | None
    high: float | None


def paired_difference(
    first: np.ndarray, second: np.ndarray, repeats: int = 1000, seed: int = 0
) -> PairedDifference:
    """Compute the difference of two networks' mean IoU; each draw takes the same photos for both.

    Args:
        first: n x K x K counts of a network, one matrix per photo, in the order of the files.
        second: those of the other network on the same photos.
        repeats: number of draws.
        seed: seed of the draws.

    Raises:
        ValueError: if the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"the counts have the shapes {first.shape} and {second.shape}; they must be equal")
    difference = compute_metrics(first.sum(0)).mean_iou - compute_metrics(second.sum(0)).mean_iou
    if len(first) < MIN_PHOTOS:
        return PairedDifference(difference, None, None)
    of_first, of_second = (
        np.array([compute_metrics(total).mean_iou for total in _resampled_totals(counts, repeats, seed)])
        for counts in (first, second)
    )
    return PairedDifference(difference, *bias_corrected(of_first - of_second, difference))


def _resampled_totals(confusions: np.ndarray, repeats: int, seed: int) -> np.ndarray:
    """Return the repeats x K x K sums of as many photos as there are, drawn in blocks of `BLOCK`."""
    n, classes, _ = confusions.shape
    drawn = draw_photos(n, repeats, seed)
    return (drawn @ confusions.reshape(n, -1)).reshape(repeats, classes, classes)


def draw_photos(n: int, repeats: int = 1000, seed: int = 0) -> np.ndarray:
    """Draw as many photos as there are, in blocks of `BLOCK`, several times.

    Args:
        n: number of photos.
        repeats: number of draws.
        seed: seed of the draws.

    Returns:
        repeats x n float64: how often each draw contains each photo.
    """
    starts = np.random.default_rng(seed).integers(n, size=(repeats, -(-n // BLOCK)))
    photos = ((starts[..., None] + np.arange(BLOCK)) % n).reshape(repeats, -1)[:, :n]
    return np.stack([np.bincount(row, minlength=n) for row in photos]).astype(np.float64)


def bias_corrected(resampled: np.ndarray, value: float) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of a metric.

    Args:
        resampled: its value in each draw; nan if it is undefined there.
        value: its value on all photos.
    """
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return float("nan"), float("nan")
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    bias = norm.ppf(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled)))
    low, high = np.quantile(resampled, norm.cdf(2 * bias + norm.ppf((0.025, 0.975))))
    return float(low), float(high)
