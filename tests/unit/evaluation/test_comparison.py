"""Comparison of two networks from the counts of every photo."""

import numpy as np
import pytest

from seg.evaluation.bootstrap import MIN_PHOTOS, paired_difference
from seg.evaluation.comparison import compare, thirds
from seg.evaluation.metrics import compute_metrics

NAMES = ("road", "sky", "pole")


def counts_of(masks: np.ndarray, labels: np.ndarray, columns: int = 3) -> np.ndarray:
    """Count n x P masks against labels of three classes."""
    counts = np.zeros((len(labels), 3, columns), np.int32)
    for photo, (mask, label) in enumerate(zip(masks, labels, strict=True)):
        np.add.at(counts[photo], (label, mask), 1)
    return counts


@pytest.fixture
def labels() -> np.ndarray:
    """120 photos of 400 pixels; the last 20 have no pole."""
    labels = np.random.default_rng(0).integers(0, 3, (120, 400))
    labels[100:] %= 2
    return labels


def noisy(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(labels.shape) < share, (labels + 1) % 3, labels)


def test_overall_difference_equals_the_paired_difference(labels):
    first, second = (counts_of(noisy(labels, share, n), labels) for n, share in enumerate((0.1, 0.2)))
    compared, expected = compare(first, second, NAMES), paired_difference(first, second)
    assert compared.overall.difference == pytest.approx(expected.mean_iou)
    assert (compared.overall.low, compared.overall.high) == pytest.approx((expected.low, expected.high))
    for k, name in enumerate(NAMES):
        row = compared.by_class[name]
        assert row.first == pytest.approx(compute_metrics(first.sum(0)).iou[k])
        assert row.low < row.difference < row.high
    assert compared.by_class["pole"].photos == 100


def test_photos_are_won_lost_and_ranked(labels):
    first, second = labels.copy(), labels.copy()
    first[3, :50] = second[5, :20] = 0
    first[7, :200] = (labels[7, :200] + 1) % 3
    compared = compare(counts_of(first, labels), counts_of(second, labels), NAMES)
    assert (compared.won, compared.lost, compared.equal) == (1, 2, 117)
    assert [photo.index for photo in compared.regressions()] == [7, 3]
    assert [photo.index for photo in compared.improvements()] == [5]
    worst = compared.regressions(1)[0]
    assert worst.second == 1 and worst.difference == pytest.approx(worst.first - 1)
    per_photo = np.mean([photo.difference for photo in compared.photos])
    assert compared.per_photo.difference == pytest.approx(per_photo)
    assert compared.per_photo.low < per_photo < compared.per_photo.high


def test_pixels_without_a_class_count_as_wrong(labels):
    empty = counts_of(np.full_like(labels, 3), labels, 4)
    half = labels.copy()
    half[:, ::2] = 3
    compared = compare(counts_of(half, labels, 4), empty, NAMES)
    assert compared.overall.second == 0
    assert compared.overall.first == pytest.approx(0.5, abs=0.02)


def test_slices_state_their_photos_and_intervals(labels):
    first, second = counts_of(labels, labels), counts_of(noisy(labels, 0.2, 1), labels)
    groups = {"brightness": thirds(np.arange(120) / 120, ("dark", "middle", "bright"))}
    compared = compare(first, second, NAMES, groups)
    rows = {row.name: row.difference for row in compared.slices}
    assert list(rows) == ["dark (0.00–0.33)", "middle (0.33–0.66)", "bright (0.67–0.99)", "with pole"]
    assert [row.photos for row in rows.values()] == [40, 40, 40, 100]
    assert rows["dark (0.00–0.33)"].low is None and rows["dark (0.00–0.33)"].difference > 0.2
    of_poles = rows["with pole"]
    assert of_poles.low < of_poles.difference < of_poles.high
    expected = compute_metrics(second[:100].sum(0)).mean_iou_in_target
    assert of_poles.second == pytest.approx(expected)


def test_a_slice_ignores_classes_that_its_labels_lack(labels):
    stray = labels.copy()
    stray[110, 0] = 2
    groups = {"g": {"without poles": np.arange(120) >= 100}}
    compared = compare(counts_of(stray, labels), counts_of(labels, labels), NAMES, groups)
    assert compared.slices[0].difference.difference == pytest.approx(0, abs=1e-3)


def test_few_photos_have_differences_without_intervals(labels):
    few = labels[: MIN_PHOTOS - 1]
    compared = compare(counts_of(few, few), counts_of(noisy(few, 0.1, 1), few), NAMES)
    rows = [compared.overall, compared.per_photo, *compared.by_class.values()]
    assert all(row.difference > 0 and row.low is None for row in rows)


def test_photos_without_labels_are_left_out(labels):
    counts = counts_of(labels, labels)
    counts[4] = 0
    compared = compare(counts, counts, NAMES)
    assert len(compared.photos) == 119 and compared.equal == 119
    nothing = compare(counts[4:5], counts[4:5], NAMES)
    assert nothing.overall.difference is None and nothing.per_photo.photos == 0


def test_counts_of_other_labels_or_photos_are_refused(labels):
    counts = counts_of(labels, labels)
    with pytest.raises(ValueError, match="shapes"):
        compare(counts, counts[1:], NAMES)
    with pytest.raises(ValueError, match="different labels"):
        compare(counts, counts[::-1], NAMES)


def test_classes_that_only_one_network_predicts_count_for_neither(labels):
    labels = labels % 2  # no pole
    first, second = labels.copy(), labels.copy()
    second[0, :5] = 2
    compared = compare(counts_of(first, labels), counts_of(second, labels), NAMES)
    assert "pole" not in compared.by_class
    assert compared.overall.first == 1 and 0.99 < compared.overall.second < 1
