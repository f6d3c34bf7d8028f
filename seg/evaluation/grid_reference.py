"""The grid reference: mean IoU of labels that are reduced to class shares on an output grid and upsampled
again.

It is not an upper bound: other scores on the same grid can do better.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from seg import paths
from seg.data import cityscapes, label_decoder
from seg.data.decode_cache import PairDataset
from seg.data.pairs import PAIR_ASPECT, OnProgress
from seg.evaluation import metrics
from seg.inference.postprocess import LazyLogits, to_mask
from seg.system.atomic_io import write_json
from seg.system.json_file import read_json_object


def quantize_to_grid(label: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Reduce a label to class shares on a grid and upsample them like the scores of a network.

    A network exceeds the result by much only if it has learned kernels that sharpen, or scores that
    exaggerate thin objects.

    Args:
        label: H x W uint8 train ids.
        grid: rows and columns of the grid.

    Returns:
        The resulting mask, H x W uint8 train ids.
    """
    shares = []
    for k in range(len(cityscapes.CLASSES)):  # one class at a time, because labels can have megapixels
        is_class = torch.from_numpy((label == k).astype(np.float32))
        shares.append(F.interpolate(is_class[None, None], size=grid, mode="area")[0, 0])
    scores = torch.stack(shares)
    scores /= scores.sum(0, keepdim=True).clamp(min=1e-6)  # share of the pixels that are not ignored
    return to_mask(LazyLogits.from_tensor(scores), *label.shape)[0]


def reference_scores(
    split: PairDataset,
    heights: Sequence[int],
    strides: Sequence[int],
    on_progress: OnProgress | None = None,
) -> dict[tuple[int, int], float]:
    """Compute the grid reference of a split, and store it in the cache folder.

    Args:
        split: the pairs.
        heights: input heights in pixels; inputs are twice as wide.
        strides: output strides in pixels.
        on_progress: called with the number of labels done and of all.

    Returns:
        Mean IoU by input height and stride.
    """
    classes = len(cityscapes.CLASSES)
    mean_ious = stored_references(split.digest)
    missing = {height // stride for height in heights for stride in strides} - mean_ious.keys()
    totals = {rows: np.zeros((classes, classes), np.int64) for rows in missing}
    if not missing:
        return {(height, stride): mean_ious[height // stride] for height in heights for stride in strides}
    for done, label in enumerate(split.labels):
        label = np.array(label)
        for rows, total in totals.items():
            mask = quantize_to_grid(label, (rows, PAIR_ASPECT * rows))
            total += metrics.confusion(label, mask, classes, cityscapes.IGNORE)
        if on_progress:
            on_progress(done + 1, len(split))
    mean_ious |= {rows: metrics.compute_metrics(total).mean_iou for rows, total in totals.items()}
    file = _file(split.digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, mean_ious)
    return {(height, stride): mean_ious[height // stride] for height in heights for stride in strides}


def stored_references(digest: str) -> dict[int, float]:
    """Return the mean IoU by rows of the grid that `reference_scores` stored for a split.

    Args:
        digest: content hash of the split.
    """
    with contextlib.suppress(OSError, ValueError):
        return {int(rows): value for rows, value in read_json_object(_file(digest)).items()}
    return {}


def _file(digest: str) -> Path:
    return paths.cache() / "ceilings" / f"{digest[:16]}-v{label_decoder.DECODER_VERSION}.json"
