"""Disagreement between masks of the same photo: per pixel, as a share, and by class."""

from collections.abc import Mapping

import numpy as np

from seg.data.cityscapes import CLASSES
from seg.evaluation.metrics import confusion
from seg.inference.mask_io import check_mask


def disagreement(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Count the distinct classes of each pixel.

    Args:
        masks: H x W uint8 train ids by name.

    Returns:
        H x W uint8: number of distinct classes minus 1, so 0 where all masks agree.

    Raises:
        ValueError: if there is no mask, or the shapes differ.
    """
    if not masks:
        raise ValueError("there are no masks to compare")
    for mask in masks.values():
        check_mask(mask)
    if len({m.shape for m in masks.values()}) > 1:
        shapes = ", ".join(f"{name} is {mask.shape}" for name, mask in masks.items())
        raise ValueError(f"masks to compare must have one shape: {shapes}")
    first, *remaining = masks.values()
    earlier_masks, extra_classes = [first], np.zeros(first.shape, np.uint8)
    for mask in remaining:
        is_new = mask != first
        for earlier in earlier_masks[1:]:
            is_new &= mask != earlier
        extra_classes += is_new
        earlier_masks.append(mask)
    return extra_classes


def disagreement_share(masks: Mapping[str, np.ndarray]) -> float:
    """Compute the share of pixels (0-1) on which the masks disagree.

    Args:
        masks: H x W uint8 train ids by name.

    Raises:
        ValueError: if there is no mask, or the shapes differ.
    """
    extra_classes = disagreement(masks)
    return np.count_nonzero(extra_classes) / extra_classes.size


def disagreement_matrix(a: np.ndarray, b: np.ndarray, classes: int = len(CLASSES)) -> np.ndarray:
    """Compute the share of pixels for each pair of classes in two masks.

    Args:
        a: H x W uint8 train ids.
        b: H x W uint8 train ids.
        classes: number of classes, K.

    Returns:
        K x K float that sums to 1; [i, j] is the share of pixels with class i in `a` and class j in `b`.

    Raises:
        ValueError: if the shapes differ, or a mask contains ids that are not classes.
    """
    for mask in (a, b):
        check_mask(mask)
        if mask.max() >= classes:
            raise ValueError(f"the id {mask.max()} is none of the {classes} classes")
    if a.shape != b.shape:
        raise ValueError(f"masks to compare must have one shape, not {a.shape} and {b.shape}")
    return confusion(a, b, classes) / a.size
