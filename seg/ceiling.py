"""What a mask that is scored on a coarse grid could reach at best: a label, seen through that grid."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from seg import dataset, labels, metrics, preprocess
from seg.checkpoint import write_json
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
    return preprocess.to_mask(preprocess.Logits.of(scores), *label.shape)[0]


def over_split(
    split: Split, heights: Sequence[int], strides: Sequence[int], told: Callable[[int, int], None] | None = None
) -> dict[tuple[int, int], float]:
    """{(input height, stride): the mean IoU of the labels of a split themselves, seen through such a grid}; inputs are 2:1.

    What was computed once is kept in the cache.
    """
    classes = len(labels.CLASSES)
    reached = known(split.digest)
    missing = {height // stride for height in heights for stride in strides} - reached.keys()
    totals = {rows: np.zeros((classes, classes), np.int64) for rows in missing}
    if not missing:
        return {(height, stride): reached[height // stride] for height in heights for stride in strides}
    for done, label in enumerate(split.labels):
        label = np.array(label)
        for rows, total in totals.items():
            mask = through_grid(label, (rows, preprocess.PAIR_ASPECT * rows))
            total += metrics.confusion(label, mask, classes, labels.IGNORE)
        if told:
            told(done + 1, len(split))
    reached |= {rows: metrics.scores(total).mean_iou for rows, total in totals.items()}
    file = _file(split.digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, reached)
    return {(height, stride): reached[height // stride] for height in heights for stride in strides}


def known(digest: str) -> dict[int, float]:
    """{rows of a grid: mean IoU} as far as `over_split` has computed them for the split of this digest."""
    with contextlib.suppress(OSError, ValueError):
        return {int(rows): value for rows, value in json.loads(_file(digest).read_text()).items()}
    return {}


def _file(digest: str) -> Path:
    return dataset.CACHE / "ceilings" / f"{digest[:16]}-v{labels.DECODER_VERSION}.json"
