"""Cell-share references: what the output grid of a network costs.

A network predicts class scores on a grid and enlarges them. `cell_share_mask` gives each cell of the grid the
class shares of the label there, and enlarges these. `optimized_mask` fits the scores to the label instead.
Neither is an upper bound: the optimized scores show that the maximum on this grid is at least as high.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seg import paths
from seg.data import cityscapes, label_decoder
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import OnProgress
from seg.evaluation import metrics
from seg.models.base import SIZE_MULTIPLE
from seg.system.atomic_io import write_json
from seg.system.json_file import read_json_object

SAMPLE = 10
"""Number of evenly spaced labels for which scores are optimized."""

_STEPS, _RATE, _START = 100, 2.0, 10.0  # of Adam, from the class shares times _START
_STRIP_ROWS = 128

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class GridReference:
    """Mean IoU of masks that an output grid can produce.

    Attributes:
        cell_shares: of `cell_share_mask`, for all labels.
        sample_cell_shares: the same for `SAMPLE` labels; None if no scores were optimized.
        sample_optimized: of `optimized_mask` for these labels, a lower bound of the maximum; None likewise.
    """

    cell_shares: float
    sample_cell_shares: float | None = None
    sample_optimized: float | None = None


def cell_share_mask(label: np.ndarray, working_size: Size, stride: int) -> np.ndarray:
    """Reduce a label to the class shares of each cell of an output grid, and enlarge them bilinearly.

    The grid is that of the network: it covers the working image after its padding.

    Args:
        label: H x W uint8 train ids.
        working_size: height and width at which the photo goes through the network.
        stride: side of a cell in pixels of the working image.

    Returns:
        The class with the largest enlarged share at each pixel, H x W uint8 train ids.
    """
    grid = _Grid(label, working_size, stride)
    return grid.mask(grid.shares())


def optimized_mask(label: np.ndarray, working_size: Size, stride: int, steps: int = _STEPS) -> np.ndarray:
    """Fit the scores on an output grid to a label, and enlarge them bilinearly.

    Adam minimizes the cross-entropy of the enlarged scores, with the classes weighted by the inverse square
    root of their pixels. Better scores may exist, so the result is a lower bound of what the grid permits.

    Args:
        label: H x W uint8 train ids.
        working_size: height and width at which the photo goes through the network.
        stride: side of a cell in pixels of the working image.
        steps: number of steps of Adam.

    Returns:
        The class with the highest enlarged score at each pixel, H x W uint8 train ids.
    """
    grid = _Grid(label, working_size, stride)
    if len(grid.classes) < 2:
        return grid.mask(grid.shares())
    known = torch.from_numpy(label != cityscapes.IGNORE)
    known_label = np.where(label == cityscapes.IGNORE, grid.classes[0], label)
    target = torch.from_numpy(np.searchsorted(grid.classes, known_label))
    pixels = torch.bincount(target[known], minlength=len(grid.classes)).float()
    weight = pixels.clamp(min=1).rsqrt()[target] * known
    weight /= weight.sum()
    scores = (grid.shares() * _START).requires_grad_()
    optimizer = torch.optim.Adam([scores], lr=_RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = F.cross_entropy(grid.enlarge(scores)[None], target[None], reduction="none")[0]
        (losses * weight).sum().backward()
        optimizer.step()
    return grid.mask(scores.detach())


class _Grid:
    """The output grid of a network over a label, and the linear maps between the two."""

    def __init__(self, label: np.ndarray, working_size: Size, stride: int) -> None:
        self.label = label
        self.classes = np.unique(label[label != cityscapes.IGNORE])
        if not len(self.classes):
            self.classes = np.zeros(1, np.uint8)
        sides = list(zip(label.shape, working_size, strict=True))
        self.pool_rows, self.pool_columns = (_pooling(*side, stride) for side in sides)
        self.rows, self.columns = (_enlarging(*side, stride) for side in sides)

    def shares(self) -> Tensor:
        """Return the shares of the classes in each cell, among its pixels that are not ignored."""
        pooled = [
            self.pool_rows @ torch.from_numpy((self.label == k).astype(np.float32)) @ self.pool_columns.T
            for k in self.classes  # one at a time, because labels can have megapixels
        ]
        shares = torch.stack(pooled)
        return shares / shares.sum(0, keepdim=True).clamp(min=1e-6)

    def enlarge(self, scores: Tensor) -> Tensor:
        """Enlarge classes x rows x columns of scores to the size of the label."""
        return self.rows @ scores @ self.columns.T

    def mask(self, scores: Tensor) -> np.ndarray:
        """Return the class with the highest enlarged score at each pixel of the label."""
        wide = scores @ self.columns.T
        winners = [(rows @ wide).argmax(0) for rows in self.rows.split(_STRIP_ROWS)]
        return self.classes[torch.cat(winners).numpy()].astype(np.uint8)


def _cells(working_side: int, stride: int) -> int:
    """Return the number of cells along a side of the working image, which is padded first."""
    return -(-working_side // SIZE_MULTIPLE) * SIZE_MULTIPLE // stride


def _pooling(side: int, working_side: int, stride: int) -> Tensor:
    """Return cells x side: the overlap of each cell with each pixel of a label's side."""
    cells = _cells(working_side, stride)
    edges = torch.arange(cells + 1) * (stride * side / working_side)
    pixels = torch.arange(side, dtype=torch.float32)
    after, before = torch.minimum(edges[1:, None], pixels + 1), torch.maximum(edges[:-1, None], pixels)
    return (after - before).clamp(min=0).float()


def _enlarging(side: int, working_side: int, stride: int) -> Tensor:
    """Return side x cells: bilinear enlargement to the working image, and resizing to a label's side."""

    def bilinear(matrix: Tensor, size: int) -> Tensor:
        return F.interpolate(matrix.T[None], size=size, mode="linear", align_corners=False)[0].T

    cells = _cells(working_side, stride)
    return bilinear(bilinear(torch.eye(cells), cells * stride)[:working_side], side)


def reference_scores(
    split: DecodedSplit,
    heights: Sequence[int],
    strides: Sequence[int],
    on_progress: OnProgress | None = None,
    optimized_heights: Sequence[int] = (),
) -> dict[tuple[int, int], GridReference]:
    """Compute the references of a split, and store them in the cache folder.

    Args:
        split: the labels.
        heights: input heights in pixels; inputs have the aspect of the scenes.
        strides: output strides in pixels.
        on_progress: called with the number of steps done and of all.
        optimized_heights: the input heights for which scores are optimized too; that takes seconds per label.

    Returns:
        The references by input height and stride.
    """
    stored = stored_references(split.digest)
    wanted = [(height, stride) for height in heights for stride in strides]
    unpooled = [case for case in wanted if case not in stored]
    unfitted = [
        case
        for case in wanted
        if case[0] in optimized_heights and (case not in stored or stored[case].sample_optimized is None)
    ]
    if not unpooled and not unfitted:
        return {case: stored[case] for case in wanted}
    sample = np.unique(np.linspace(0, len(split) - 1, SAMPLE).round().astype(int))
    steps = len(split) * bool(unpooled) + len(sample) * len(unfitted)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(done, steps)

    if unpooled:
        shares = _mean_ious(split, range(len(split)), unpooled, cell_share_mask, step)
        stored |= {case: GridReference(mean_iou) for case, mean_iou in shares.items()}
    for case in unfitted:
        fitted = _mean_ious(split, sample, [case], optimized_mask, step)
        pooled = _mean_ious(split, sample, [case], cell_share_mask, lambda: None)
        stored[case] = GridReference(stored[case].cell_shares, pooled[case], fitted[case])
    _store(split.digest, stored)
    return {case: stored[case] for case in wanted}


def _mean_ious(
    split: DecodedSplit,
    indices: Iterable[int],
    cases: Sequence[tuple[int, int]],
    reduce: Callable[[np.ndarray, Size, int], np.ndarray],
    on_label: Callable[[], None],
) -> dict[tuple[int, int], float]:
    """Return the mean IoU of reduced labels by input height and stride."""
    classes = len(split.classes)
    totals = {case: np.zeros((classes, classes), np.int64) for case in cases}
    for index in indices:
        label = np.array(split.label(index))
        aspect = split.scene_aspect or label.shape[1] / label.shape[0]
        for (height, stride), total in totals.items():
            mask = reduce(label, (height, round(aspect * height)), stride)
            total += metrics.confusion(label, mask, classes, cityscapes.IGNORE)
        on_label()
    return {case: metrics.compute_metrics(total).mean_iou for case, total in totals.items()}


def stored_references(digest: str) -> dict[tuple[int, int], GridReference]:
    """Return the references that `reference_scores` stored for a split, by input height and stride.

    Args:
        digest: content hash of the split.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        stored = {}
        for key, values in read_json_object(_file(digest)).items():
            height, stride = map(int, key.split("/"))
            stored[height, stride] = GridReference(**values)
        return stored
    return {}


def _store(digest: str, references: dict[tuple[int, int], GridReference]) -> None:
    file = _file(digest)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {f"{height}/{stride}": asdict(value) for (height, stride), value in references.items()})


def _file(digest: str) -> Path:
    return paths.cache() / "grid-references" / f"{digest[:16]}-v{label_decoder.DECODER_VERSION}.json"
