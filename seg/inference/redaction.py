"""Photos in which people and vehicles are blurred, by the masks of a network."""

import numpy as np
from PIL import Image
from scipy import ndimage

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.inference.mask_io import check_mask

CATEGORIES = ("human", "vehicle")
"""Categories of the classes that are blurred."""

MARGIN, BLOCK = 0.008, 0.03
"""Width of the blurred margin around them, and side of the squares of which only the mean color is kept, as
shares of the shorter side of the photo."""


def has_private_classes(classes: ClassSet) -> bool:
    """Return whether some classes are people or vehicles."""
    return any(c.category in CATEGORIES for c in classes.classes)


def blur_private(photo: np.ndarray, mask: np.ndarray, classes: ClassSet = CITYSCAPES) -> np.ndarray:
    """Blur people and vehicles so that faces and license plates cannot be read.

    What the network misses stays visible.

    Args:
        photo: H x W x 3 uint8 RGB.
        mask: H x W uint8 train ids.
        classes: the classes of the ids.

    Returns:
        H x W x 3 uint8 RGB; all other pixels are those of the photo.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    side = min(mask.shape)
    is_private = np.zeros(256, bool)
    is_private[: len(classes)] = [c.category in CATEGORIES for c in classes.classes]
    margin = max(1, round(MARGIN * side))
    blurred = ndimage.maximum_filter(is_private[mask].astype(np.uint8), size=2 * margin + 1) > 0
    block = max(2, round(BLOCK * side))
    picture = Image.fromarray(photo)
    few = (max(1, round(picture.width / block)), max(1, round(picture.height / block)))
    smooth = picture.resize(few, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BILINEAR)
    return np.where(blurred[..., None], np.asarray(smooth), photo)
