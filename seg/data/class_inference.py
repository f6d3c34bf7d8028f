"""The classes of labels without a description, from the values or colors that occur in them."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from seg import paths
from seg.data.classes import IGNORE, MAX_CLASSES
from seg.data.described_labels import ID_MODES, open_label
from seg.data.description import FILE, DescribedClass, distinct_colors
from seg.data.known_classes import LabelClasses
from seg.data.pairs import DatasetError, mtime_fingerprint
from seg.system.atomic_io import write_atomic

INFERENCE_VERSION = 1
"""Increases whenever other classes are inferred."""


class _Inferred(BaseModel):
    """The record of inferred classes in the cache folder."""

    coding: str
    classes: list[DescribedClass]
    ignored: list[int]


def infer_classes(data: Path, labels: Sequence[Path]) -> LabelClasses:
    """Infer classes from all labels; a record in the cache keeps them while the files are the same.

    Args:
        data: the folder of the data set, for messages.
        labels: the labels.

    Raises:
        DatasetError: if a label is damaged, or if they are no labels of classes.
    """
    if not labels:
        raise DatasetError(f"{data} has no photos with a label of the same name.")
    key = hashlib.sha256(f"{INFERENCE_VERSION} {mtime_fingerprint(tuple(labels))}".encode()).hexdigest()
    record = paths.cache() / f"classes-{key[:16]}.json"
    try:
        stored = _Inferred.model_validate_json(record.read_bytes())
        return LabelClasses("colors" if stored.coding == "colors" else "ids", stored.classes, stored.ignored)
    except (OSError, ValidationError):
        pass
    inferred = _infer(data, labels)
    record.parent.mkdir(parents=True, exist_ok=True)
    contents = _Inferred(coding=inferred.coding, classes=inferred.classes, ignored=inferred.ignored)
    write_atomic(record, contents.model_dump_json().encode())
    return inferred


def _infer(data: Path, labels: Sequence[Path]) -> LabelClasses:
    values: set[int] = set()
    colors: dict[int, tuple[int, int, int]] = {}  # of palettes, by index
    rgb: set[tuple[int, int, int]] = set()
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # pages also call this, which cannot start processes
        for file, (used, palette, used_colors) in zip(labels, threads.map(_values_of, labels), strict=True):
            values |= used
            rgb |= used_colors
            colors = {**palette, **colors}
            if max(len(values), len(rgb)) > MAX_CLASSES + 1:
                raise DatasetError(
                    f"{data} has labels with more than {MAX_CLASSES} different values or colors, for example"
                    f" {file.name}: these are no class ids, or compression changed their colors. Describe the"
                    f" classes in {data / FILE}."
                )
    if values and rgb:
        raise DatasetError(
            f"{data} has labels of ids and labels of colors. Describe the classes in {data / FILE}."
        )
    if rgb:
        return LabelClasses("colors", _color_classes(sorted(rgb)), [])
    if values == {0, IGNORE}:
        names = ("background", "foreground")
        classes = [
            DescribedClass(name=name, color=color, ids=[value])
            for name, color, value in zip(names, distinct_colors(2), (0, IGNORE), strict=True)
        ]
        return LabelClasses("ids", classes, [])
    ids = sorted(values - {IGNORE})
    if len(ids) < 2:
        raise DatasetError(f"The labels in {data} have one class only, so there is nothing to learn.")
    classes = [
        DescribedClass(name=f"class {value}", color=colors.get(value, color), ids=[value])
        for value, color in zip(ids, distinct_colors(len(ids)), strict=True)
    ]
    return LabelClasses("ids", classes, [IGNORE])


def _color_classes(colors: list[tuple[int, int, int]]) -> list[DescribedClass]:
    return [
        DescribedClass(
            name=f"color {red} {green} {blue}", color=(red, green, blue), ignored=not red + green + blue
        )
        for red, green, blue in colors
    ]


def _values_of(
    file: Path,
) -> tuple[set[int], dict[int, tuple[int, int, int]], set[tuple[int, int, int]]]:
    """Return the values of a gray or indexed label, the colors of its palette, and the colors of a color
    label."""
    picture = open_label(file)
    if picture.mode not in ID_MODES:
        pixels = np.asarray(picture.convert("RGB"))
        if (pixels[..., :1] == pixels[..., 1:]).all():
            return set(np.unique(pixels[..., 0]).tolist()), {}, set()
        codes = np.unique(pixels.astype(np.int32) @ np.array((65536, 256, 1), np.int32))[: MAX_CLASSES + 2]
        return set(), {}, {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in codes}
    used = np.unique(np.asarray(picture))[: MAX_CLASSES + 2].tolist()
    palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colors = {value: tuple(palette[value].tolist()) for value in used if 0 <= value < len(palette)}
    is_gray = all(red == green == blue for red, green, blue in colors.values())
    return set(map(int, used)), {} if is_gray else colors, set()
