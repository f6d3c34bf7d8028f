"""One confusion matrix and what is read off it; boundaries, segments and intervals.

Add up one matrix over a whole split, as the Cityscapes evaluator does, and read the scores off the sum: the mean of per-picture
scores is another number. This module knows nothing about classes' names, networks or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


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


def interval(confusions: np.ndarray, repeats: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """n x K x K matrices, one a picture -> 95 % intervals of pixel accuracy, mean accuracy and mean IoU over other such pictures.

    The percentile bootstrap (Efron 1979, "Bootstrap methods"): n pictures are drawn with replacement, `repeats` times.
    """
    n, classes, _ = confusions.shape
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=repeats).astype(np.float64)
    totals = (drawn @ confusions.reshape(n, -1)).reshape(repeats, classes, classes)
    found = [scores(total) for total in totals]
    names = ("pixel_accuracy", "mean_accuracy", "mean_iou")
    return {name: tuple(np.nanpercentile([getattr(s, name) for s in found], (2.5, 97.5)).tolist()) for name in names}


def boundary(truth: np.ndarray, prediction: np.ndarray, classes: int, ignore: int = 255, width: int = 3) -> np.ndarray:
    """H x W truth and prediction -> 2 x K int64: each class's pixels in both boundary bands, and in either.

    Boundary IoU (Cheng, Girshick, Dollár, Berg, Kirillov 2021) compares only what lies at most `width` pixels (as a king
    walks) inside a class's outline. Add up the counts of many pictures and divide the first row by the second. Ignored pixels
    have no boundary and are not counted; the picture's edge is no outline.
    """
    known = truth != ignore
    seen = np.where(known, prediction, ignore)  # an outline drawn where nothing is known is neither right nor wrong
    of_truth, of_mask = known & _band(truth, width, ignore), known & _band(seen, width, ignore)
    hits = truth[of_truth & of_mask & (truth == prediction)]
    counts = [np.bincount(ids, minlength=classes)[:classes] for ids in (hits, truth[of_truth], prediction[of_mask])]
    return np.stack((counts[0], counts[1] + counts[2] - counts[0])).astype(np.int64)


def boundary_iou(counts: np.ndarray) -> tuple[np.ndarray, float]:
    """What `boundary` counted, summed -> the boundary IoU of each class, nan where it has no outline, and their mean."""
    by_class = _ratio(counts[0], counts[1])
    return by_class, _mean(by_class)


def _band(ids: np.ndarray, width: int, ignore: int) -> np.ndarray:
    """Where another class than a pixel's own lies at most `width` pixels away."""
    size = 2 * width + 1
    high = ndimage.maximum_filter(np.where(ids == ignore, 0, ids + 1).astype(np.int16), size, mode="nearest")
    low = ndimage.minimum_filter(np.where(ids == ignore, 999, ids + 1).astype(np.int16), size, mode="nearest")
    return high != low


def segments(truth: np.ndarray, prediction: np.ndarray, classes: int, ignore: int = 255) -> np.ndarray:
    """H x W truth and prediction -> a row (class, pixels, IoU) for each connected part of the truth (8 neighbours).

    A part is compared with all predicted parts of its class that touch it; what these cover of the class's other parts does not
    count against it (the adjusted IoU of Rottmann et al. 2020, "Prediction error meta classification in semantic segmentation").
    """
    rows = []
    around = np.ones((3, 3), int)
    for k in np.unique(truth[truth < classes]):
        parts, n = ndimage.label(truth == k, around)
        found, m = ndimage.label(prediction == k, around)  # whole: what is ignored cuts no part in two, it only is not counted
        pairs = (parts * (m + 1) + found)[truth != ignore]
        common = np.bincount(pairs, minlength=(n + 1) * (m + 1)).reshape(n + 1, m + 1)
        area, hits = common[1:].sum(1), common[1:, 1:].sum(1)
        beside = (common[1:, 1:] > 0) @ common[0, 1:]
        rows.append(np.stack((np.full(n, k), area, hits / (area + beside)), 1))
    return np.concatenate(rows) if rows else np.zeros((0, 3))


def calibration(truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray, bins: int, ignore: int = 255) -> np.ndarray:
    """H x W truth, prediction and confidence (0-1) -> 3 x `bins`: pixels, the sum of their confidences, and how many are right.

    Bin i holds confidences from i / `bins` on. Ignored pixels are left out; the counts of several pictures may be added.
    """
    known = truth != ignore
    sure = confidence[known].astype(np.float64)
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    right = (truth == prediction)[known]
    return np.stack([np.bincount(place, weights, bins) for weights in (np.ones(len(sure)), sure, right)])


def calibration_error(counts: np.ndarray) -> float:
    """What `calibration` counted -> the expected calibration error; nan without pixels.

    It is the mean distance of confidence and accuracy over the bins, weighted by their pixels (Guo, Pleiss, Sun, Weinberger
    2017, "On Calibration of Modern Neural Networks").
    """
    return float(_ratio(np.abs(counts[1] - counts[2]).sum(), counts[0].sum()))


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
