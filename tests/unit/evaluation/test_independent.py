"""The metrics agree with independent implementations: scikit-learn, pycocotools and SciPy."""

import numpy as np
import pytest
from pycocotools import mask as coco_tools
from scipy import ndimage, stats

from seg.data import cityscapes, scenes
from seg.evaluation import metrics
from seg.evaluation.bootstrap import confidence_intervals

CLASSES = len(cityscapes.CLASSES)


@pytest.fixture(scope="module")
def street() -> tuple[np.ndarray, np.ndarray]:
    """A label with ignored pixels, and a mask: the label two pixels further to the left, with blocks of "
    "noise."""
    label = scenes.render_scene(11, 128, 64).label.copy()
    rng = np.random.default_rng(0)
    mask = np.roll(np.where(label == cityscapes.IGNORE, 0, label), -2, 1).astype(np.uint8)
    for y, x in zip(rng.integers(0, 60, 40), rng.integers(0, 120, 40), strict=True):
        mask[y : y + 4, x : x + 4] = rng.integers(0, CLASSES)
    label[20:24] = cityscapes.IGNORE
    return label, mask


def test_confusions_agree_with_scikit_learn(street):
    from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

    label, mask = street
    known = label != cityscapes.IGNORE
    truth, predicted = label[known], mask[known]
    matrix = metrics.confusion(label, mask, CLASSES, cityscapes.IGNORE)
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted, labels=range(CLASSES)))
    computed = metrics.compute_metrics(matrix)
    present = np.unique(truth)
    either = np.union1d(truth, predicted)
    assert computed.pixel_accuracy == pytest.approx(accuracy_score(truth, predicted))
    expected = {
        "mean_accuracy": recall_score(truth, predicted, labels=present, average="macro"),
        "mean_iou": jaccard_score(truth, predicted, labels=either, average="macro"),
        "mean_iou_in_target": jaccard_score(truth, predicted, labels=present, average="macro"),
        "frequency_weighted_iou": jaccard_score(truth, predicted, labels=present, average="weighted"),
    }
    for name, value in expected.items():
        assert getattr(computed, name) == pytest.approx(value), name


def test_categories_agree_with_scikit_learn(street):
    from sklearn.metrics import jaccard_score

    label, mask = street
    groups = np.array([cityscapes.CATEGORIES.index(c.category) for c in cityscapes.CLASSES])
    known = label != cityscapes.IGNORE
    truth, predicted = groups[label[known]], groups[mask[known]]
    merged = metrics.merge_classes(metrics.confusion(label, mask, CLASSES, cityscapes.IGNORE), groups)
    present = np.union1d(truth, predicted)
    expected = jaccard_score(truth, predicted, labels=present, average=None)
    np.testing.assert_allclose(metrics.compute_metrics(merged).iou[present], expected)


def test_segments_agree_with_pycocotools():
    """Segments apart from each other: the IoU of each is that of its mask and of the touching prediction."""
    label, mask = np.zeros((60, 90), np.uint8), np.zeros((60, 90), np.uint8)
    boxes = [(5, 5, 20, 15), (40, 10, 10, 31), (65, 35, 20, 20)]
    for x, y, width, height in boxes:
        label[y : y + height, x : x + width] = 1
        mask[y + 2 : y + height + 3, x + 1 : x + width - 2] = 1
    rows = metrics.component_ious(label, mask, 2)
    computed = {int(pixels): iou for k, pixels, iou in rows if k == 1}

    def encoded(parts: np.ndarray, number: int) -> dict:
        return coco_tools.encode(np.asfortranarray(parts == number, np.uint8))

    (truths, count), (predictions, _) = ndimage.label(label), ndimage.label(mask)
    for number in range(1, count + 1):
        [[iou]] = coco_tools.iou([encoded(predictions, number)], [encoded(truths, number)], [False])
        assert computed[int((truths == number).sum())] == pytest.approx(iou)


def test_calibration_bins_agree_with_scikit_learn():
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.05, 1, (40, 50))
    is_correct = rng.random(confidence.shape) < confidence**1.5
    counts = metrics.calibration(np.zeros_like(is_correct, int), ~is_correct * 1, confidence, 20)
    accuracy, mean_confidence = calibration_curve(is_correct.ravel(), confidence.ravel(), n_bins=20)
    filled = counts[0] > 0
    np.testing.assert_allclose(counts[2][filled] / counts[0][filled], accuracy)
    np.testing.assert_allclose(counts[1][filled] / counts[0][filled], mean_confidence)


def test_intervals_of_independent_photos_agree_with_scipy():
    """Without dependence, blocks and single photos give intervals of about the same width."""
    rng = np.random.default_rng(2)
    right = rng.binomial(100, rng.beta(8, 2, 400))
    confusions = np.stack([[[h, 100 - h], [0, 0]] for h in right])
    low, high = confidence_intervals(confusions, 2000)["pixel_accuracy"]
    expected = stats.bootstrap((right / 100,), np.mean, n_resamples=2000, method="BCa", rng=3)
    bounds = expected.confidence_interval
    assert (low, high) == pytest.approx((bounds.low, bounds.high), abs=0.15 * (bounds.high - bounds.low))
