"""Segmentation metrics: confusion matrices, boundary IoU, component IoU and calibration.

Sum the confusion matrices of a split and compute the metrics of the sum, as the Cityscapes evaluator does;
the mean of the metrics of single images differs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


def confusion(target: np.ndarray, pred: np.ndarray, classes: int, ignore: int = 255) -> np.ndarray:
    """Count how often each class was predicted for each true class.

    Args:
        target: integer ids of the ground truth, 0 to `classes` - 1, of any shape.
        pred: predicted integer ids of the same shape.
        classes: number of classes, K.
        ignore: target id of pixels that are not counted, whatever was predicted there.

    Returns:
        K x K int64, rows target, columns prediction; the matrices of several images can be added.

    Raises:
        ValueError: if the shapes differ, ids are not integers, or counted ids are out of range.
    """
    target, pred = np.asarray(target), np.asarray(pred)
    if target.shape != pred.shape:
        raise ValueError(f"target is {target.shape} and pred is {pred.shape}; the shapes must be equal")
    for name, ids in (("target", target), ("pred", pred)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must hold integer ids, not {ids.dtype}")
    is_counted = target != ignore
    if not is_counted.all():
        target, pred = target[is_counted], pred[is_counted]
    for name, ids in (("target", target), ("pred", pred)):
        if ids.size and not 0 <= (extreme := ids.min() if ids.min() < 0 else ids.max()) < classes:
            raise ValueError(f"{name} contains the id {extreme}, which is outside 0 to {classes - 1}")
    cells = target.astype(np.int64).ravel() * classes + pred.astype(np.int64).ravel()
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)  # == of arrays returns an array
class SegmentationMetrics:
    """The metrics of a confusion matrix, each from 0 to 1, or nan if undefined.

    Attributes:
        pixel_accuracy: fraction of correct pixels.
        mean_accuracy: mean of `accuracy` over the classes in the target.
        mean_iou: mean of `iou` over the classes in target or prediction.
        mean_iou_in_target: mean of `iou` over the classes in the target, for a single photo: there a few
            stray pixels of an absent class would halve `mean_iou`.
        frequency_weighted_iou: mean of `iou`, weighted by the pixels of each class in the target.
        iou: K, intersection over union of each class; nan if it is in neither target nor prediction.
        accuracy: K, recall of each class; nan if it is not in the target.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    mean_iou_in_target: float
    frequency_weighted_iou: float
    iou: np.ndarray
    accuracy: np.ndarray


def compute_metrics(confusion: np.ndarray) -> SegmentationMetrics:
    """Compute the four metrics of Long, Shelhamer, Darrell 2015, section 5.

    With n_ij pixels of class i predicted as j and t_i = sum_j n_ij: pixel accuracy is sum n_ii / sum t_i,
    mean accuracy is the mean of n_ii / t_i, mean IoU is the mean of n_ii / (t_i + sum_j n_ji - n_ii), and
    frequency weighted IoU weights these by t_i. A class that is only predicted counts as 0 in the mean IoU,
    as it does in the Cityscapes evaluator.

    Args:
        confusion: K x K counts, rows target, columns prediction.

    Raises:
        ValueError: if the matrix is not square.
    """
    _check_square(confusion)
    hits, target_pixels = np.diag(confusion), confusion.sum(1)
    union = target_pixels + confusion.sum(0) - hits
    accuracy, iou = _ratio(hits, target_pixels), _ratio(hits, union)
    is_present = target_pixels > 0
    return SegmentationMetrics(
        pixel_accuracy=float(_ratio(hits.sum(), target_pixels.sum())),
        mean_accuracy=_mean(accuracy),
        mean_iou=_mean(iou),
        mean_iou_in_target=_mean(iou[is_present]),
        frequency_weighted_iou=float(
            _ratio((target_pixels[is_present] * iou[is_present]).sum(), target_pixels.sum())
        ),
        iou=iou,
        accuracy=accuracy,
    )


def merge_classes(confusion: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """Merge classes into groups, such as the Cityscapes categories. Errors within a group become hits.

    Args:
        confusion: K x K counts, rows target, columns prediction.
        groups: the group of each class, numbered from 0.

    Returns:
        G x G int64 with G = max(groups) + 1.

    Raises:
        ValueError: if the matrix is not square or `groups` does not contain one group for each class.
    """
    _check_square(confusion)
    if len(groups) != len(confusion) or min(groups, default=0) < 0:
        raise ValueError(
            f"{len(confusion)} classes need {len(confusion)} groups numbered from 0, not {list(groups)}"
        )
    membership = np.zeros(
        (max(groups, default=-1) + 1, len(groups)), np.int64
    )  # G x K, a single 1 per column
    membership[list(groups), range(len(groups))] = 1
    return membership @ confusion @ membership.T


BOUNDARY_WIDTH = 0.02
"""Width of the band of boundary IoU as a share of the diagonal, as in its publication."""


def boundary_width(shape: tuple[int, ...]) -> int:
    """Return the width in pixels of the band of boundary IoU for pictures of this height and width."""
    return max(1, round(BOUNDARY_WIDTH * math.hypot(*shape)))


def boundary_counts(
    target: np.ndarray, pred: np.ndarray, classes: int, ignore: int = 255, width: int | None = None
) -> np.ndarray:
    """Count the pixels of boundary IoU (Cheng, Girshick, Dollár, Berg, Kirillov 2021).

    Boundary IoU only compares pixels at most `width` pixels (Chebyshev distance) inside the outline of a
    class. Ignored pixels are not counted, and neither they nor the image edge form an outline. Pass the
    summed counts of all images to `boundary_iou`.

    Args:
        target: H x W integer ids of the ground truth.
        pred: H x W predicted integer ids.
        classes: number of classes, K.
        ignore: target id of pixels that are not counted.
        width: width of the band in pixels; by default `boundary_width`.

    Returns:
        2 x K int64: intersection and union of the bands of each class.
    """
    width = boundary_width(target.shape) if width is None else width
    known = target != ignore
    known_pred = np.where(known, pred, ignore)  # an outline in an ignored area is neither right nor wrong
    target_band = known & _band(target, width, ignore)
    pred_band = known & _band(known_pred, width, ignore)
    hits = target[target_band & pred_band & (target == pred)]
    intersection, target_pixels, pred_pixels = (
        np.bincount(ids, minlength=classes)[:classes] for ids in (hits, target[target_band], pred[pred_band])
    )
    return np.stack((intersection, target_pixels + pred_pixels - intersection)).astype(np.int64)


def boundary_iou(counts: np.ndarray) -> tuple[np.ndarray, float]:
    """Compute boundary IoU from counts.

    Args:
        counts: 2 x K, the sum of `boundary_counts` over all images.

    Returns:
        The boundary IoU of each class, nan for classes without outline, and their mean.
    """
    by_class = _ratio(counts[0], counts[1])
    return by_class, _mean(by_class)


def _band(ids: np.ndarray, width: int, ignore: int) -> np.ndarray:
    """Return the pixels with a pixel of another class at most `width` pixels away."""
    size = 2 * width + 1
    high = ndimage.maximum_filter(np.where(ids == ignore, 0, ids + 1).astype(np.int16), size, mode="nearest")
    low = ndimage.minimum_filter(np.where(ids == ignore, 999, ids + 1).astype(np.int16), size, mode="nearest")
    return high != low


def component_ious(target: np.ndarray, pred: np.ndarray, classes: int, ignore: int = 255) -> np.ndarray:
    """Compute the IoU of each connected component of the target (8 neighbors).

    A component is compared with all predicted components of its class that touch it. Pixels that these share
    with other target components do not count against it (adjusted IoU, Rottmann et al. 2020, "Prediction
    error meta classification in semantic segmentation").

    Args:
        target: H x W integer ids of the ground truth.
        pred: H x W predicted integer ids.
        classes: number of classes.
        ignore: target id of pixels that are not counted.

    Returns:
        A row (class, pixels, IoU) for each component.
    """
    rows = []
    neighborhood = np.ones((3, 3), int)
    for k in np.unique(target[target < classes]):
        target_parts, n = ndimage.label(target == k, neighborhood)
        # labelled before ignored pixels are removed, which would cut components in two
        pred_parts, m = ndimage.label(pred == k, neighborhood)
        pairs = (target_parts * (m + 1) + pred_parts)[target != ignore]
        overlap = np.bincount(pairs, minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)
        area, hits = overlap[1:].sum(1), overlap[1:, 1:].sum(1)
        false_positives = (overlap[1:, 1:] > 0) @ overlap[0, 1:]
        rows.append(np.stack((np.full(n, k), area, hits / (area + false_positives)), 1))
    return np.concatenate(rows) if rows else np.zeros((0, 3))


def calibration(
    target: np.ndarray, pred: np.ndarray, confidence: np.ndarray, bins: int, ignore: int = 255
) -> np.ndarray:
    """Count correct pixels by confidence.

    Args:
        target: H x W integer ids of the ground truth.
        pred: H x W predicted integer ids.
        confidence: H x W, from 0 to 1.
        bins: number of bins; bin i starts at i / `bins`.
        ignore: target id of pixels that are not counted.

    Returns:
        3 x `bins`: pixels, sum of confidences and correct pixels; the counts of several images can be added.
    """
    known = target != ignore
    known_confidence = confidence[known].astype(np.float64)
    bin_index = np.minimum((known_confidence * bins).astype(np.int64), bins - 1)
    is_correct = (target == pred)[known]
    summands = (np.ones(len(known_confidence)), known_confidence, is_correct)
    return np.stack([np.bincount(bin_index, weights, bins) for weights in summands])


def calibration_error(counts: np.ndarray) -> float:
    """Compute the expected calibration error (Guo, Pleiss, Sun, Weinberger 2017).

    It is the mean difference of confidence and accuracy over the bins, weighted by their pixels ("On
    Calibration of Modern Neural Networks").

    Args:
        counts: 3 x bins, the sum of `calibration` over all images.

    Returns:
        The error from 0 to 1, or nan without pixels.
    """
    return float(_ratio(np.abs(counts[1] - counts[2]).sum(), counts[0].sum()))


def _check_square(confusion: np.ndarray) -> None:
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix must be square, not {confusion.shape}")


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, or nan where whole is 0, without numpy's warning."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """Return the mean of the values that are not nan (np.nanmean warns if none is left)."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
