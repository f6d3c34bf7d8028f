"""Metrics are right in hand-computed cases and agree with torchmetrics."""

import numpy as np
import pytest
import torch

from seg.evaluation.metrics import (
    boundary_counts,
    boundary_iou,
    boundary_width,
    calibration,
    calibration_error,
    component_ious,
    compute_metrics,
    confusion,
    merge_classes,
)


def test_five_pixels_by_hand():
    matrix = confusion(np.array([0, 0, 1, 1, 255]), np.array([0, 1, 1, 1, 2]), classes=4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    s = compute_metrics(matrix)
    assert s.pixel_accuracy == 3 / 4
    assert s.mean_accuracy == (1 / 2 + 1) / 2
    np.testing.assert_array_equal(s.iou, [1 / 2, 2 / 3, np.nan, np.nan])
    np.testing.assert_array_equal(s.accuracy, [1 / 2, 1, np.nan, np.nan])
    assert s.mean_iou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert s.frequency_weighted_iou == pytest.approx((2 * 1 / 2 + 2 * 2 / 3) / 4)


def test_class_only_predicted_is_an_iou_of_zero():
    s = compute_metrics(confusion(np.array([0, 0]), np.array([0, 2]), classes=3))
    np.testing.assert_array_equal(s.iou, [1 / 2, np.nan, 0])
    assert (s.mean_iou, s.mean_accuracy) == (1 / 4, 1 / 2)
    assert s.mean_iou_in_target == 1 / 2


@pytest.mark.filterwarnings("ignore")  # torchmetrics' own
def test_agrees_with_torchmetrics():
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

    rng = np.random.default_rng(0)
    truth = rng.choice([*range(17), 255], size=(4, 37, 53))  # 17 is only predicted, 18 is absent
    prediction = np.where(
        rng.random(truth.shape) < 0.6, np.minimum(truth, 17), rng.integers(0, 18, truth.shape)
    )
    s = compute_metrics(sum(confusion(t, p, 19) for t, p in zip(truth, prediction, strict=True)))
    pair = torch.from_numpy(prediction), torch.from_numpy(truth)
    each = MulticlassJaccardIndex(19, average="none", ignore_index=255)(*pair)
    np.testing.assert_allclose(s.iou[:18], each[:18], rtol=1e-6)
    assert np.isnan(s.iou[18])
    assert s.mean_iou == pytest.approx(
        MulticlassJaccardIndex(19, average="macro", ignore_index=255)(*pair).item()
    )
    assert s.pixel_accuracy == pytest.approx(
        MulticlassAccuracy(19, average="micro", ignore_index=255)(*pair).item()
    )
    recall = MulticlassAccuracy(19, average="none", ignore_index=255)(*pair)
    np.testing.assert_allclose(s.accuracy[:17], recall[:17], rtol=1e-6)
    assert s.mean_accuracy == pytest.approx(recall[:17].mean().item())


def test_small_dtypes_do_not_overflow():
    ids = np.full((2, 3), 18, np.uint8)
    assert confusion(ids, ids.astype(np.uint64), 19)[18, 18] == 6


def test_nothing_counted_is_nan():
    s = compute_metrics(confusion(np.full(3, 255), np.zeros(3, int), classes=2))
    assert np.isnan(
        [s.pixel_accuracy, s.mean_accuracy, s.mean_iou, s.frequency_weighted_iou, *s.iou, *s.accuracy]
    ).all()


@pytest.mark.parametrize(
    "truth, prediction, message",
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(2, 3\).*\(3, 2\)"),
        (np.array([0, 3]), np.array([0, 1]), "target contains the id 3"),
        (np.array([0, 1]), np.array([0, 255]), "pred contains the id 255"),
        (np.array([0, 1]), np.array([0, -1]), "pred contains the id -1"),
        (np.array([0, 1]), np.array([0.0, 1.0]), "pred must hold integer"),
    ],
)
def test_invalid_arrays_are_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        confusion(truth, prediction, classes=3)


def test_merging_counts_confusions_within_a_group_as_correct():
    matrix = np.array([[5, 2, 1], [3, 7, 0], [4, 6, 9]])
    assert merge_classes(matrix, [1, 1, 0]).tolist() == [[9, 10], [1, 17]]
    rng = np.random.default_rng(1)
    truth, prediction, groups = rng.integers(0, 6, 500), rng.integers(0, 6, 500), np.array([0, 2, 2, 1, 0, 1])
    expected = confusion(groups[truth], groups[prediction], 3)
    np.testing.assert_array_equal(merge_classes(confusion(truth, prediction, 6), groups), expected)


def test_shapes_of_matrices_are_checked():
    with pytest.raises(ValueError, match="2 classes need 2 groups"):
        merge_classes(np.zeros((2, 2), int), [0])
    with pytest.raises(ValueError, match="numbered from 0"):
        merge_classes(np.zeros((2, 2), int), [0, -1])
    with pytest.raises(ValueError, match="square"):
        compute_metrics(np.zeros((2, 3), int))


def test_boundary_counts_by_hand():
    truth = np.zeros((9, 20), np.uint8)
    truth[:, 10:] = 1
    # three columns on each side
    assert boundary_counts(truth, truth, 3, width=3).tolist() == [[27, 27, 0], [27, 27, 0]]
    shifted = np.roll(truth, 1, 1)
    shifted[:, 0] = 0
    # the bands of class 0 are columns 7-9 and 8-10; both are 0 in columns 8 and 9
    assert boundary_counts(truth, shifted, 3, width=3)[:, 0].tolist() == [18, 36]
    only_zeros = boundary_counts(truth, np.zeros_like(truth), 3, width=3)
    assert only_zeros.tolist() == [[0, 0, 0], [27, 27, 0]]


def test_the_band_is_two_percent_of_the_diagonal():
    assert [boundary_width(shape) for shape in ((256, 256), (512, 1024), (1024, 2048), (9, 20))] == [
        7,
        23,
        46,
        1,
    ]
    truth = np.zeros((512, 1024), np.uint8)
    truth[:, 512:] = 1
    assert boundary_counts(truth, truth, 2)[0].tolist() == [23 * 512] * 2


def test_boundary_iou_agrees_with_eroded_masks():
    """As in the published code: a band is a mask without its erosion. A row of each class lies at the edge of
    the picture, which the published code counts as an outline and this one does not, so it is ignored."""
    from scipy.ndimage import binary_erosion

    rng = np.random.default_rng(3)
    truth, mask = (rng.integers(0, 3, (8, 8)).repeat(16, 0).repeat(16, 1).astype(np.uint8) for _ in range(2))
    mask = np.where(rng.random(truth.shape) < 0.1, mask, truth).astype(np.uint8)
    width = boundary_width(truth.shape)

    def band(selected: np.ndarray) -> np.ndarray:
        inner = binary_erosion(selected, np.ones((3, 3)), iterations=width, border_value=1)
        return selected & ~inner

    expected = []
    for k in range(3):
        of_truth, of_mask = band(truth == k), band(mask == k)
        expected.append((of_truth & of_mask).sum() / (of_truth | of_mask).sum())
    by_class, mean = boundary_iou(boundary_counts(truth, mask, 3))
    np.testing.assert_allclose(by_class, expected)
    assert mean == pytest.approx(np.mean(expected))


def test_boundaries_exclude_ignored_pixels_and_the_picture_edge():
    truth = np.zeros((9, 20), np.uint8)
    assert boundary_counts(truth, truth, 2).sum() == 0
    truth[:, 10:] = 255
    assert boundary_counts(truth, np.zeros_like(truth), 2).sum() == 0
    mask = np.where(np.arange(20) < 12, 0, 1).astype(np.uint8)[None].repeat(9, 0)
    assert (
        boundary_counts(truth, mask, 2, width=2).sum() == 0
    )  # the outline lies in ignored pixels, its band in columns 10 and 11


def test_a_correct_mask_has_a_complete_boundary():
    label = np.zeros((9, 24), np.uint8)
    label[:, 12:] = 1
    truth = label.copy()
    truth[:, 11] = truth[4] = 255
    counts = boundary_counts(truth, label, 2, width=3)
    assert counts[0].tolist() == counts[1].tolist() and counts.sum() > 0


def test_ignored_pixels_do_not_split_predicted_parts():
    truth = np.zeros((1, 12), np.uint8)
    truth[:, :5], truth[:, 5] = 1, 255
    (row,) = [tuple(row) for row in component_ious(truth, np.ones_like(truth), 2) if row[0] == 1]
    assert row == (1, 5, 5 / 11)


def test_segments_by_hand():
    truth = np.zeros((6, 12), np.uint8)
    truth[1:3, 1:3] = 1  # detected completely, with two extra pixels
    truth[1:3, 8:10] = 1  # missed
    mask = np.zeros_like(truth)
    mask[1:3, 1:4] = 1
    of_one = {tuple(row) for row in component_ious(truth, mask, 2) if row[0] == 1}
    assert of_one == {(1, 4, 4 / 6), (1, 4, 0)}
    joined = np.zeros_like(truth)
    joined[1:3, 1:10] = (
        1  # one predicted part covers both: its pixels on the other part do not count against it
    )
    assert {tuple(row) for row in component_ious(truth, joined, 2) if row[0] == 1} == {(1, 4, 4 / 14)}
    assert component_ious(np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8), 2).shape == (0, 3)


def test_parts_that_touch_at_a_corner_are_one():
    truth = np.eye(4, dtype=np.uint8)
    assert [tuple(row) for row in component_ious(truth, truth, 2) if row[0] == 1] == [(1, 4, 1)]


def test_calibration_by_hand():
    truth = np.array([[0, 0, 1, 1, 255]])
    prediction = np.array([[0, 1, 1, 1, 0]])
    confidence = np.array([[0.95, 0.75, 1.0, 0.65, 0.1]], np.float32)
    counts = calibration(truth, prediction, confidence, bins=2)
    np.testing.assert_allclose(counts, [[0, 4], [0, 3.35], [0, 3]], atol=1e-6)
    assert calibration_error(counts) == pytest.approx(0.35 / 4)
    apart = calibration(truth, prediction, confidence, bins=10)
    assert apart[0].sum() == 4 and apart[2].sum() == 3
    assert calibration_error(apart) == pytest.approx((0.05 + 0.75 + 0 + 0.35) / 4)
    assert np.isnan(calibration_error(calibration(truth, prediction, confidence, 2, ignore=255) * 0))


@pytest.mark.filterwarnings("ignore")  # torchmetrics' own
def test_calibration_error_agrees_with_torchmetrics():
    from torchmetrics.classification import MulticlassCalibrationError

    rng = np.random.default_rng(0)
    chances = torch.from_numpy(rng.dirichlet(np.full(4, 0.3), 5000))
    truth = torch.from_numpy(rng.integers(0, 4, 5000))
    sure, prediction = chances.max(1)
    counts = calibration(truth.numpy(), prediction.numpy(), sure.numpy(), bins=20)
    theirs = MulticlassCalibrationError(4, n_bins=20, norm="l1")(chances, truth).item()
    assert calibration_error(counts) == pytest.approx(theirs, abs=1e-6)
