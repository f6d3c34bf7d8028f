"""Mean IoU by working height for photos of different sizes and shapes, to choose the resize mode of a card.

The photos of val are cropped to narrower shapes, which narrows the view but keeps the scale. Rendered streets
have the same horizontal view in every shape, as photos of real cameras do, so a car fills less of the height
of a 4:3 photo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from seg.data import cityscapes, preprocess, scenes
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import PAIR_ASPECT, OnProgress
from seg.evaluation import metrics
from seg.evaluation.bootstrap import PairedDifference, paired_difference
from seg.evaluation.labelled_photos import ClassMapping, LabelledPhoto, evaluate_photos
from seg.inference.postprocess import to_mask
from seg.inference.predictor import Predictor

SHAPES = {"2:1": 2.0, "16:9": 16 / 9, "3:2": 1.5, "4:3": 4 / 3}
WIDTHS = (320, 640, 1280, 4000)
HEIGHTS = (192, 256, 320, 400, 480, 640)
SCENE_WIDTH = 960
FIRST_SCENE = 50_000
"""First seed of the rendered streets; no other part of the project uses these seeds."""

View = tuple[Image.Image, np.ndarray]
"""A photo and its label, which may have another size."""


def crop_to_aspect(split: DecodedSplit, indices: Sequence[int], shape: float, width: int) -> Iterator[View]:
    """Yield the central crop of each photo in another shape, with restored aspect.

    Args:
        split: the pairs.
        indices: the pairs to use.
        shape: width over height.
        width: width in pixels that the crop is resized to.
    """
    for i in indices:
        side = split.labels[i].shape[1]
        crop_width = round(side * shape / PAIR_ASPECT)
        left = (side - crop_width) // 2
        columns = slice(left, left + crop_width)
        crop = Image.fromarray(split.photos[i][:, columns])
        resized = crop.resize((width, round(width / shape)), Image.Resampling.BICUBIC)
        yield resized, split.labels[i][:, columns]


def rendered(count: int, shape: float) -> Iterator[View]:
    """Yield `count` rendered streets with a width-to-height ratio of `shape`."""
    for seed in range(FIRST_SCENE, FIRST_SCENE + count):
        scene = scenes.render_scene(seed, SCENE_WIDTH, round(SCENE_WIDTH / shape))
        yield Image.fromarray(scene.photo), scene.label


def mean_ious(predictor: Predictor, views: Iterator[View], heights: Sequence[int]) -> dict[int, float]:
    """Compute the mean IoU of the finest variant for several working heights.

    Args:
        predictor: the network.
        views: photos and labels.
        heights: working heights in pixels; the width follows from the shape.
    """
    finest, classes = predictor.model.variants[-1], len(cityscapes.CLASSES)
    totals = {height: np.zeros((classes, classes), np.int64) for height in heights}
    for photo, label in views:
        for height in heights:
            logits = predictor.with_resolution(height, "fit_height").logits(photo, [finest])[finest]
            totals[height] += metrics.confusion(
                label, to_mask(logits, *label.shape)[0], classes, cityscapes.IGNORE
            )
    return {height: metrics.compute_metrics(total).mean_iou for height, total in totals.items()}


def study(
    predictor: Predictor, split: DecodedSplit, count: int, on_progress: OnProgress | None = None
) -> list[dict[str, Any]]:
    """Measure mean IoU for all sources, shapes and widths.

    Args:
        predictor: the network.
        split: the pairs.
        count: number of photos per row.
        on_progress: called with the number of rows done and of all.

    Returns:
        Rows with source, shape and width of the photos, and mean IoU by working height and by resize mode.
    """
    jobs = [("val, cut", shape, 1280) for shape in SHAPES] + [
        ("rendered", shape, SCENE_WIDTH) for shape in SHAPES
    ]
    jobs += [("val, cut", shape, width) for width in WIDTHS if width != 1280 for shape in SHAPES]
    rows = []
    for done, (source, shape, width) in enumerate(jobs):
        ratio, base = SHAPES[shape], predictor.working_height
        height_of_mode = {
            mode: preprocess.working_size(round(1000 * ratio), 1000, base, mode)[0]
            for mode in ("fit_height", "cover")
        }
        heights = sorted({*(HEIGHTS if width in (1280, SCENE_WIDTH) else ()), *height_of_mode.values()})
        if source == "rendered":
            views = rendered(count, ratio)
        else:
            views = crop_to_aspect(split, range(len(split))[:count], ratio, width)
        by_height = mean_ious(predictor, views, heights)
        rows.append(
            {
                "source": source,
                "shape": shape,
                "width": width,
                "by_height": by_height,
                "by_rule": {mode: by_height[height] for mode, height in height_of_mode.items()},
                "rule_height": height_of_mode,
            }
        )
        if on_progress:
            on_progress(done + 1, len(jobs))
    return rows


@dataclass(frozen=True)
class ResolutionResult:
    """The results of the finest variant at a working resolution.

    Attributes:
        working_height: working height in pixels. resize_mode: how photos that are not 2:1 are resized.
        size: height and width at which the first photo goes through the network.
        mean_iou: mean IoU of all photos.
        seconds: median time of a photo.
        difference: mean IoU minus that of the first result, on the same photos.
    """

    working_height: int
    resize_mode: preprocess.ResizeMode
    size: tuple[int, int]
    mean_iou: float
    seconds: float
    difference: PairedDifference


def study_photos(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    mapping: ClassMapping,
    heights: Sequence[int],
    on_progress: OnProgress | None = None,
) -> list[ResolutionResult]:
    """Compare working resolutions on photos of another data set.

    Args:
        predictor: the network; its working height and resize mode are the first result.
        photos: the photos and labels.
        mapping: the class mapping.
        heights: further working heights, each with both resize modes.
        on_progress: called with the number of photos done and of all.

    Returns:
        The results; resolutions that give the first photo the same size appear once.
    """
    finest = predictor.model.variants[-1]
    modes: tuple[preprocess.ResizeMode, ...] = ("cover", "fit_height")
    wanted = [(predictor.working_height, predictor.resize_mode)]
    wanted += [(height, mode) for height in sorted({*heights, predictor.working_height}) for mode in modes]
    cases: dict[tuple[int, int], tuple[int, preprocess.ResizeMode]] = {}  # by size
    with Image.open(photos[0].photo) as first:
        for case in wanted:
            cases.setdefault(preprocess.working_size(*first.size, *case), case)
    results: list[ResolutionResult] = []
    baseline = None
    for number, (size, case) in enumerate(cases.items()):

        def show(done: int, total: int, before: int = number * len(photos)) -> None:
            if on_progress:
                on_progress(before + done, len(cases) * total)

        network = predictor.with_resolution(*case)
        of_finest = evaluate_photos(network, photos, mapping, [finest], show)[finest]
        counts = of_finest.confusions
        baseline = counts if baseline is None else baseline
        mean_iou = metrics.compute_metrics(counts.sum(0)).mean_iou
        difference = paired_difference(counts, baseline)
        results.append(ResolutionResult(*case, size, mean_iou, of_finest.seconds, difference))
    return results
