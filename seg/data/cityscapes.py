"""The Cityscapes classes with their ids and colors, and operations on labels.

The table follows Cityscapes' ``cityscapesscripts/helpers/labels.py`` (Cordts et al. 2016): the nineteen
evaluated classes have train ids 0-18, everything else is ``IGNORE``.
"""

import numpy as np

from seg.data.classes import IGNORE, Class, ClassSet

CLASSES = (
    Class("road", "flat", (128, 64, 128)),
    Class("sidewalk", "flat", (244, 35, 232)),
    Class("building", "construction", (70, 70, 70)),
    Class("wall", "construction", (102, 102, 156)),
    Class("fence", "construction", (190, 153, 153)),
    Class("pole", "object", (153, 153, 153)),
    Class("traffic light", "object", (250, 170, 30)),
    Class("traffic sign", "object", (220, 220, 0)),
    Class("vegetation", "nature", (107, 142, 35)),
    Class("terrain", "nature", (152, 251, 152)),
    Class("sky", "sky", (70, 130, 180)),
    Class("person", "human", (220, 20, 60)),
    Class("rider", "human", (255, 0, 0)),
    Class("car", "vehicle", (0, 0, 142)),
    Class("truck", "vehicle", (0, 0, 70)),
    Class("bus", "vehicle", (0, 60, 100)),
    Class("train", "vehicle", (0, 80, 100)),
    Class("motorcycle", "vehicle", (0, 0, 230)),
    Class("bicycle", "vehicle", (119, 11, 32)),
)
"""The classes in the order of their train ids: ``CLASSES[id].name``."""

CITYSCAPES = ClassSet(CLASSES)

NAMES, TRAIN_ID, CATEGORIES, PALETTE = (
    *(CITYSCAPES.names, CITYSCAPES.train_id, CITYSCAPES.categories, CITYSCAPES.palette),
)

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The id of each class in Cityscapes' ``_labelIds.png`` files, which distinguish 34 categories."""

CITYSCAPES_CLASS_FREQUENCIES = (
    *(0.369, 0.061, 0.228, 0.0066, 0.0088, 0.0123, 0.0021, 0.0055, 0.159, 0.0116),
    *(0.040, 0.0122, 0.0014, 0.070, 0.0027, 0.0024, 0.0023, 0.0010, 0.0041),
)
"""Class frequencies in Cityscapes' fine labels of train at 2048x1024, among pixels with a class."""

VOID_COLORS = {
    "unlabeled": (0, 0, 0),
    "dynamic": (111, 74, 0),
    "ground": (81, 0, 81),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
}
"""Colors in label pictures that are not evaluated; they become ``IGNORE``."""


def colorize(label: np.ndarray) -> np.ndarray:
    """Convert train ids of any shape to the Cityscapes colors, ... x 3 uint8; other ids are black."""
    return CITYSCAPES.colorize(label)


def downsample_majority(label: np.ndarray, side: int) -> np.ndarray:
    """Downsample a label to the most frequent train id of each cell, including ``IGNORE``.

    Args:
        label: H x W uint8 train ids; H and W are multiples of `side`.
        side: height and width of the result.

    Returns:
        side x side uint8 train ids.
    """
    height, width = label.shape
    cells = label.reshape(side, height // side, side, width // side)
    ids = np.array([*range(len(CLASSES)), IGNORE], np.uint8)
    return ids[np.stack([(cells == k).sum((1, 3)) for k in ids]).argmax(0)]
