"""Comparison of exported models with PyTorch."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from seg.data import cityscapes, preprocess, scenes
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.datasets import load_split
from seg.evaluation import metrics
from seg.publishing.export import LogitsModule, MaskModule

OnProgress = Callable[[int, int], object]


@dataclass(frozen=True)
class Parity:
    """Agreement of one variant of an exported file with PyTorch in fp32, over some photos."""

    variant: str
    photos: int
    """Number of photos compared."""
    max_difference: float | None
    """Largest absolute difference of two logits; None if the file returns masks."""
    disagreement: float
    """Share of the pixels, at working resolution, whose classes differ."""
    mean_iou: tuple[float, float]
    """Mean IoU at working resolution of PyTorch and of the file."""


def parity(
    run: Callable[[np.ndarray], list[np.ndarray]],
    module: LogitsModule,
    height: int,
    data: Path | None,
    count: int,
    on_progress: OnProgress | None = None,
    classes: ClassSet = CITYSCAPES,
) -> tuple[list[Parity], float, float]:
    """Compare an exported file with the module that it was exported from.

    Args:
        run: the file as a function, from `open_exported`.
        module: the exported module.
        height: the working height in pixels.
        data: the dataset whose val photos are used; None for rendered scenes.
        count: number of photos.
        on_progress: called with the number of photos compared and of all.
        classes: the classes of the network; labels of others are ignored.

    Returns:
        The agreement of each variant, and the median seconds of a photo in PyTorch and with the file.

    Raises:
        DatasetError: if the dataset cannot be used.
    """
    photo_in = isinstance(module, MaskModule)
    comparisons = {variant: _Comparison(len(classes)) for variant in module.variants}
    own_seconds: list[float] = []
    file_seconds: list[float] = []
    for i, (photo, label, aspect) in enumerate(_photos(data, count, classes)):
        size = (height, round(height * aspect))
        if photo_in:
            batch = preprocess.to_pixels(photo, size)[None]
        else:
            batch = preprocess.to_image(photo, size).numpy()
        target = np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
        start = time.perf_counter()
        with torch.inference_mode():
            own_outputs = [output.numpy() for output in module(torch.from_numpy(batch))]
        middle = time.perf_counter()
        file_outputs = run(batch)
        own_seconds.append(middle - start)
        file_seconds.append(time.perf_counter() - middle)
        for comparison, own, exported in zip(comparisons.values(), own_outputs, file_outputs, strict=True):
            comparison.add(target, own, exported, photo_in)
        if on_progress:
            on_progress(i + 1, count)
    rows = [comparison.result(variant, photo_in) for variant, comparison in comparisons.items()]
    return rows, float(np.median(own_seconds)), float(np.median(file_seconds))


class _Comparison:
    """Accumulates the agreement of one variant over photos."""

    def __init__(self, classes: int) -> None:
        self.confusions = np.zeros((2, classes, classes), np.int64)
        self.num_photos = self.num_pixels = self.num_differing = 0
        self.max_difference = 0.0

    def add(self, target: np.ndarray, own: np.ndarray, exported: np.ndarray, are_masks: bool) -> None:
        """Add the outputs for a photo, masks or logits of a batch of one."""
        if not are_masks:
            self.max_difference = max(self.max_difference, float(np.abs(own - exported).max()))
            own, exported = own.argmax(1).astype(np.uint8), exported.argmax(1).astype(np.uint8)
        self.num_photos += 1
        self.num_pixels += target.size
        self.num_differing += int((own != exported).sum())
        for matrix, mask in zip(self.confusions, (own, exported), strict=True):
            matrix += metrics.confusion(target, mask[0], len(matrix), cityscapes.IGNORE)

    def result(self, variant: str, are_masks: bool) -> Parity:
        """Return the agreement over all photos added."""
        own, exported = (metrics.compute_metrics(matrix).mean_iou for matrix in self.confusions)
        max_difference = None if are_masks else self.max_difference
        disagreement = self.num_differing / self.num_pixels
        return Parity(variant, self.num_photos, max_difference, disagreement, (own, exported))


def _photos(
    data: Path | None, count: int, classes: ClassSet
) -> Iterator[tuple[Image.Image, np.ndarray, float]]:
    """Yield photos before resizing, with their labels and the width over height of the scene."""
    if data is None:
        for seed in range(9000, 9000 + count):
            scene = scenes.render_scene(seed)
            label = CITYSCAPES.table_to(classes)[scene.label]
            yield Image.fromarray(scene.photo), label, label.shape[1] / label.shape[0]
        return
    split = load_split(data, "val")
    for i in range(min(count, len(split))):
        photo, label = split.photo(i), split.classes.table_to(classes)[split.label(i)]
        yield photo, label, split.scene_aspect or photo.width / photo.height
