"""What a mask that is scored on a coarse grid could reach at best: a label, seen through that grid."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from seg import labels, metrics, preprocess
from seg.dataset import Split


def through_grid(label: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """H x W train ids -> the mask, H x W, of a network that knows the share of each class in each cell of `grid` (rows, columns).

    As scores serve these shares; they are brought up bilinearly and decided, as a network's are. No network gets far beyond it
    without learned kernels that sharpen, or scores that overstate what is thin.
    """
    shares = []
    for k in range(len(labels.CLASSES)):  # one by one: labels of megapixels are ordinary
        of_class = torch.from_numpy((label == k).astype(np.float32))
        shares.append(F.interpolate(of_class[None, None], size=grid, mode="area")[0, 0])
    scores = torch.stack(shares)
    scores /= scores.sum(0, keepdim=True).clamp(min=1e-6)  # of what is known in the cell
    return preprocess.to_mask(scores, *label.shape)[0]


def over_split(
    split: Split, heights: Sequence[int], strides: Sequence[int], told: Callable[[int, int], None] | None = None
) -> dict[tuple[int, int], float]:
    """{(input height, stride): the mean IoU of the labels of a split themselves, seen through such a grid}; inputs are 2:1."""
    classes = len(labels.CLASSES)
    totals = {height // stride: np.zeros((classes, classes), np.int64) for height in heights for stride in strides}
    for done, label in enumerate(split.labels):
        label = np.array(label)
        for rows, total in totals.items():
            mask = through_grid(label, (rows, preprocess.PAIR_ASPECT * rows))
            total += metrics.confusion(label, mask, classes, labels.IGNORE)
        if told:
            told(done + 1, len(split))
    reached = {rows: metrics.scores(total).mean_iou for rows, total in totals.items()}
    return {(height, stride): reached[height // stride] for height in heights for stride in strides}
