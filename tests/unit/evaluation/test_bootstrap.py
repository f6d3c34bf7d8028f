"""Confidence intervals over photos, and paired differences of two networks."""

import numpy as np
import pytest

from seg.evaluation.bootstrap import MIN_PHOTOS, confidence_intervals, paired_difference
from seg.evaluation.metrics import compute_metrics


def random_confusions(count: int, seed: int = 1) -> np.ndarray:
    """Counts of photos with two classes."""
    rng = np.random.default_rng(seed)
    return np.stack([[[h, 100 - h], [10, 90]] for h in rng.integers(40, 100, count)])


def test_the_interval_contains_the_score_and_narrows():
    widths = []
    for count in (MIN_PHOTOS, 25 * MIN_PHOTOS):
        confusions = random_confusions(count)
        intervals = confidence_intervals(confusions)
        for name in ("pixel_accuracy", "mean_accuracy", "mean_iou"):
            low, high = intervals[name]
            assert low < getattr(compute_metrics(confusions.sum(0)), name) < high
        widths.append(intervals["mean_iou"][1] - intervals["mean_iou"][0])
    assert widths[1] < widths[0] / 3
    same = random_confusions(1).repeat(MIN_PHOTOS, 0)
    low, high = confidence_intervals(same)["mean_iou"]
    assert low == pytest.approx(high)


def test_fewer_than_a_hundred_photos_have_no_interval():
    assert confidence_intervals(random_confusions(MIN_PHOTOS - 1)) == {}
    difference = paired_difference(random_confusions(30), random_confusions(30, seed=2))
    assert difference.low is difference.high is None and difference.mean_iou != 0


def dependent_accuracies(rng: np.random.Generator, count: int) -> np.ndarray:
    """Correct pixels of 100, 80 on average; the five photos of a drive resemble each other."""
    return rng.binomial(100, rng.beta(8, 2, count // 5).repeat(5))


def test_neighboring_photos_that_resemble_each_other_widen_the_interval():
    rng = np.random.default_rng(2)
    repeats = 60
    inside = 0
    for repeat in range(repeats):
        right = dependent_accuracies(rng, 500)
        confusions = np.stack([[[h, 100 - h], [0, 0]] for h in right])
        low, high = confidence_intervals(confusions, 200, repeat)["pixel_accuracy"]
        inside += low <= 0.8 <= high
    # single photos as blocks would hold the mean in about 60 % of the draws
    assert inside >= 0.86 * repeats


def test_the_interval_of_a_rare_class_is_corrected_for_bias():
    """A class in one of fifty photos: resampled mean IoUs are lower than the mean IoU of all photos."""
    confusions = np.zeros((200, 3, 3), np.int64)
    confusions[:, 0] = (95, 5, 0)
    confusions[:, 1] = (10, 90, 0)
    confusions[::50, 2] = (0, 20, 80)
    low, high = confidence_intervals(confusions)["mean_iou"]
    value = compute_metrics(confusions.sum(0)).mean_iou
    assert low < value <= high


def test_a_paired_difference_is_narrower_than_the_intervals():
    better = random_confusions(400)
    worse = better.copy()
    worse[:, 0] += (-2, 2)
    difference = paired_difference(better, worse)
    assert 0 < difference.low < difference.mean_iou < difference.high
    intervals = [confidence_intervals(counts)["mean_iou"] for counts in (better, worse)]
    assert intervals[0][0] < intervals[1][1]  # they overlap
    assert difference.high - difference.low < (intervals[0][1] - intervals[0][0]) / 5
    reverse = paired_difference(worse, better)
    assert reverse.mean_iou == -difference.mean_iou
    assert (reverse.low, reverse.high) == pytest.approx((-difference.high, -difference.low), abs=1e-6)


def test_counts_of_different_photos_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        paired_difference(random_confusions(100), random_confusions(99))
