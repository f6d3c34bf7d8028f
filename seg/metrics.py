"""One confusion matrix and what is read off it.

Add up one matrix over a whole split, as the Cityscapes evaluator does, and read the scores off the sum: the mean of per-picture
scores is another number. This module knows nothing about classes' names, networks or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int, ignore: int = 255) -> np.ndarray:
    """Count how often each class was predicted for each true class.

    ``truth`` and ``prediction`` are integer ids 0 … ``classes`` - 1 of one shape. Pixels whose truth is ``ignore`` are left out,
    whatever was predicted there. -> KxK int64, rows truth, columns prediction; matrices of several pictures may be added.

    Raises ValueError for shapes that differ, ids that are no integers, and counted ids out of range.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape} and prediction {prediction.shape}: they must have one shape")
    for name, ids in (("truth", truth), ("prediction", prediction)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must hold integer ids, not {ids.dtype}")
    counted = truth != ignore
    if not counted.all():
        truth, prediction = truth[counted], prediction[counted]
    for name, ids in (("truth", truth), ("prediction", prediction)):
        if ids.size and not 0 <= (wrong := ids.min() if ids.min() < 0 else ids.max()) < classes:
            raise ValueError(f"{name} holds the id {wrong}, which is outside 0 to {classes - 1}")
    pairs = truth.astype(np.int64).ravel() * classes + prediction.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)  # no ==: arrays have none that answers yes or no
class Scores:
    """What a confusion matrix says, each 0 to 1; nan where there is nothing to say."""

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    frequency_weighted_iou: float
    iou: np.ndarray
    """K: intersection over union of each class; nan where it is neither in the truth nor in the prediction."""
    accuracy: np.ndarray
    """K: the share of each true class that was found (recall); nan where the class is not in the truth."""


def scores(confusion: np.ndarray) -> Scores:
    """Read the four metrics of Long, Shelhamer, Darrell 2015, section 5, off a KxK matrix (rows truth, columns prediction).

    With n_ij pixels of class i predicted as j and t_i = sum_j n_ij: pixel accuracy sum n_ii / sum t_i, mean accuracy the mean of
    n_ii / t_i, mean IoU the mean of n_ii / (t_i + sum_j n_ji - n_ii), frequency weighted IoU the mean of those weighted by t_i.
    Mean accuracy is over the classes in the truth; mean IoU leaves out classes absent from truth and prediction, so a class that
    is only predicted counts as 0, as it does in the Cityscapes evaluator.

    Raises ValueError if the matrix is not square.
    """
    _check_square(confusion)
    hits, in_truth = np.diag(confusion), confusion.sum(1)
    union = in_truth + confusion.sum(0) - hits
    accuracy, iou = _ratio(hits, in_truth), _ratio(hits, union)
    present = in_truth > 0
    return Scores(
        pixel_accuracy=float(_ratio(hits.sum(), in_truth.sum())),
        mean_accuracy=_mean(accuracy),
        mean_iou=_mean(iou),
        frequency_weighted_iou=float(_ratio((in_truth[present] * iou[present]).sum(), in_truth.sum())),
        iou=iou,
        accuracy=accuracy,
    )


def merge(confusion: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """Confusion of groups of classes, such as the Cityscapes categories: ``groups[k]`` is the group of class k.

    -> GxG int64 with G = max(groups) + 1; mistakes inside a group become hits. Raises ValueError if ``groups`` does not name one
    group (0 or more) for each class.
    """
    _check_square(confusion)
    if len(groups) != len(confusion) or min(groups, default=0) < 0:
        raise ValueError(f"{len(confusion)} classes need {len(confusion)} groups numbered from 0, not {list(groups)}")
    member = np.zeros((max(groups, default=-1) + 1, len(groups)), np.int64)  # GxK, one 1 in each column
    member[list(groups), range(len(groups))] = 1
    return member @ confusion @ member.T


def _check_square(confusion: np.ndarray) -> None:
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is square, not {confusion.shape}")


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, nan where whole is 0, without numpy's warning."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """The mean of what is not nan (np.nanmean warns when nothing is left)."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
