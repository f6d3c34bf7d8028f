"""Rendered data sets of photos and labels in other layouts and with other classes than those of pairs."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from seg.data import scenes
from seg.data.cityscapes import TRAIN_ID

OWN_CLASSES = {
    "way": ("road", "sidewalk"),
    "building": ("building", "wall", "fence"),
    "plant": ("vegetation", "terrain"),
    "sky": ("sky",),
}
"""Four classes and the Cityscapes classes that each unites; all others are ignored."""

COLORS = {"way": (120, 60, 120), "building": (70, 70, 70), "plant": (0, 160, 0), "sky": (0, 120, 255)}


def own_label(label: np.ndarray) -> np.ndarray:
    """Convert Cityscapes train ids to the ids of `OWN_CLASSES`; 255 is ignored."""
    table = np.full(256, 255, np.uint8)
    for k, names in enumerate(OWN_CLASSES.values()):
        table[[TRAIN_ID[name] for name in names]] = k
    return table[label]


def scene(seed: int, width: int = 160, height: int = 120) -> tuple[Image.Image, np.ndarray]:
    """Return a rendered photo and its label in `OWN_CLASSES`."""
    rendered = scenes.render_scene(seed, width, height)
    return Image.fromarray(rendered.photo), own_label(rendered.label)


def save(folder: Path, name: str, picture: Image.Image) -> None:
    """Write a picture, and its folder if necessary."""
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name)


def description(**changes: object) -> dict:
    """Return the contents of a dataset.json with `OWN_CLASSES`."""
    classes = [
        {"name": name, "color": list(COLORS[name]), "ids": [k], "group": "nature" if k > 1 else "built"}
        for k, name in enumerate(OWN_CLASSES)
    ]
    return {"name": "own streets", "classes": classes, "ignored": [255]} | changes


def write_own_set(
    folder: Path, train: int = 6, val: int = 2, size: tuple[int, int] = (160, 120), **changes: object
) -> Path:
    """Write images/train with masks/train and the same of val, and a dataset.json.

    Args:
        folder: The folder of the data set.
        train: Number of training samples.
        val: Number of samples in val.
        size: Width and height of the photos.
        changes: Other values in dataset.json.
    """
    for split, count, first in (("train", train, 0), ("val", val, 1000)):
        for number in range(count):
            photo, label = scene(first + number, *size)
            save(folder / "images" / split, f"{number}.jpg", photo)
            save(folder / "masks" / split, f"{number}.png", Image.fromarray(label))
    (folder / "dataset.json").write_text(json.dumps(description(**changes)))
    return folder
