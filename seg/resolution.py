"""Mean IoU against working height for photos of other sizes and shapes: by it a card's rule is chosen.

Val itself is cut to narrower shapes, which takes away from the view but not from the scale; rendered streets are seen by a camera
whose view is as wide in every shape, as real cameras' are, so that a car fills less of the height of a 4:3 photo.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from seg import labels, metrics, preprocess, scenes
from seg.dataset import Split
from seg.predict import Predictor

SHAPES = {"2:1": 2.0, "16:9": 16 / 9, "3:2": 1.5, "4:3": 4 / 3}
WIDTHS = (320, 640, 1280, 4000)
HEIGHTS = (192, 256, 320, 400, 480, 640)
SCENE_WIDTH = 960
FIRST_SCENE = 50_000
"""Seeds from here on are used by nothing else."""

View = tuple[Image.Image, np.ndarray]
"""A photo, and its label at whatever size."""


def cut(split: Split, indices: Sequence[int], shape: float, width: int) -> Iterator[View]:
    """The middle of each photo, unsquashed, `shape` times as wide as high, brought to a width in pixels."""
    for i in indices:
        side = split.labels[i].shape[1]
        keep = round(side * shape / preprocess.PAIR_ASPECT)
        left = (side - keep) // 2
        part = Image.fromarray(split.photos[i][:, left : left + keep])
        yield part.resize((width, round(width / shape)), Image.Resampling.BICUBIC), split.labels[i][:, left : left + keep]


def rendered(count: int, shape: float) -> Iterator[View]:
    """Rendered streets as a camera of this shape sees them."""
    for seed in range(FIRST_SCENE, FIRST_SCENE + count):
        scene = scenes.render(seed, SCENE_WIDTH, round(SCENE_WIDTH / shape))
        yield Image.fromarray(scene.photo), scene.label


def mean_ious(predictor: Predictor, views: Iterator[View], heights: Sequence[int]) -> dict[int, float]:
    """Mean IoU of the finest variant with photos brought to each height, whatever their width."""
    finest, classes = predictor.model.variants[-1], len(labels.CLASSES)
    totals = {height: np.zeros((classes, classes), np.int64) for height in heights}
    for photo, label in views:
        for height in heights:
            logits = predictor.at(height, "height").logits(photo, [finest])[finest]
            totals[height] += metrics.confusion(label, preprocess.to_mask(logits, *label.shape)[0], classes, labels.IGNORE)
    return {height: metrics.scores(total).mean_iou for height, total in totals.items()}


def study(predictor: Predictor, split: Split, count: int, told: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """Rows of source, shape, width of the photo, and mean IoU by working height and by either rule, over `count` photos each."""
    jobs = [("val, cut", shape, 1280) for shape in SHAPES] + [("rendered", shape, SCENE_WIDTH) for shape in SHAPES]
    jobs += [("val, cut", shape, width) for width in WIDTHS if width != 1280 for shape in SHAPES]
    rows = []
    for done, (source, shape, width) in enumerate(jobs):
        ratio, base = SHAPES[shape], predictor.working_height
        by_rule = {rule: preprocess.working_size(round(1000 * ratio), 1000, base, rule)[0] for rule in ("height", "cover")}
        heights = sorted({*(HEIGHTS if width in (1280, SCENE_WIDTH) else ()), *by_rule.values()})
        views = rendered(count, ratio) if source == "rendered" else cut(split, range(len(split))[:count], ratio, width)
        found = mean_ious(predictor, views, heights)
        by = {rule: found[height] for rule, height in by_rule.items()}
        rows.append({"source": source, "shape": shape, "width": width, "by_height": found, "by_rule": by, "rule_height": by_rule})
        if told:
            told(done + 1, len(jobs))
    return rows
