"""A label picture that a person has, in any of the usual forms -> train ids; and a pair file of the data set taken apart.

Read are: train ids and Cityscapes' own label ids as grey or indexed PNGs, the Cityscapes colours as an RGB or indexed PNG, and
label pictures in these colours that were shrunk or compressed, as those of the pairs are.
"""

import io
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from seg import labels, photo, preprocess
from seg.dataset import SIDE

Form = Literal["train ids", "label ids", "colours", "blended colours"]

_ALIKE = 0.6  # least `labels.likeness` of a label picture: the pairs' labels have at least 0.85
_OF_PAIR = 0.75  # and the likeness that the right half of a pair must have, above that of its left half
_FROM_LABEL_ID = np.full(256, labels.IGNORE, np.uint8)
_FROM_LABEL_ID[list(labels.LABEL_IDS)] = range(len(labels.CLASSES))
_LABEL_ID_COUNT = 34
_KNOWN = np.array([*labels.PALETTE, *labels.VOID_COLORS.values()], np.int32)


class TruthError(ValueError):
    """The file gives no label for the photo; the message says why and what would."""


class Truth(NamedTuple):
    """A label and the form in which it came."""

    label: np.ndarray  # H x W uint8 train ids
    form: Form


def read_truth(data: bytes, size: tuple[int, int]) -> Truth:
    """A label picture's file -> its train ids at a photo's `size` (width, height), nearest pixels taken.

    Raises `TruthError` for what is no label picture, and for one of another shape than the photo.
    """
    try:
        upright = photo.read_photo(data)  # for its errors and limits
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            found = _ids(picture, np.asarray(upright))
    except photo.PhotoError as error:
        raise TruthError(str(error)) from None
    height, width = found.label.shape
    if abs(width / height / (size[0] / size[1]) - 1) > 0.02:
        raise TruthError(
            f"This label picture is {width}×{height} pixels and the photo {size[0]}×{size[1]}: they must have one shape. Choose "
            "the label of this very photo."
        )
    if (width, height) != size:
        found = Truth(np.array(Image.fromarray(found.label).resize(size, Image.Resampling.NEAREST)), found.form)
    return found


def split_pair(picture: Image.Image) -> tuple[Image.Image, np.ndarray] | None:
    """A pair file of the data set, as a picture -> its photo and its label at the photo's size, unsquashed; else None."""
    if picture.size != (2 * SIDE, SIDE):
        return None
    pixels = np.asarray(picture)
    left, right = pixels[:, :SIDE], pixels[:, SIDE:]
    alike = labels.likeness(right)
    if alike < _OF_PAIR or labels.likeness(left) > alike - 0.2:
        return None
    street = preprocess.unsquash(Image.fromarray(left))
    return street, labels.decode(right).repeat(preprocess.PAIR_ASPECT, axis=1)


def _ids(picture: Image.Image, rgb: np.ndarray) -> Truth:
    if picture.mode == "P":
        indices = np.asarray(picture)
        if not _all_known(rgb) and indices.max() != indices.min():  # a palette of somebody's own, or none: the indices count
            return _from_indices(indices)
    elif picture.mode in ("L", "I", "1") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 255:
            raise _unknown_ids(values)
        return _from_indices(values.astype(np.uint8))
    if _all_known(rgb):
        return Truth(labels.nearest(rgb), "colours")
    if labels.likeness(rgb) >= _ALIKE:
        return Truth(labels.decode(rgb), "blended colours")
    raise TruthError(
        "This is no label picture: its colours are not those of the Cityscapes classes. Choose a PNG of train ids, of "
        "Cityscapes' label ids, or in the Cityscapes colours."
    )


def _from_indices(indices: np.ndarray) -> Truth:
    """Train ids are 0 to 18 and 255; only label ids go from 19 to 33. What could be both is taken for train ids."""
    used = np.unique(indices)
    used = used[used != labels.IGNORE]
    if not used.size or used.max() < len(labels.CLASSES):
        return Truth(indices.astype(np.uint8), "train ids")
    if used.max() < _LABEL_ID_COUNT:
        return Truth(_FROM_LABEL_ID[indices], "label ids")
    raise _unknown_ids(indices)


def _unknown_ids(values: np.ndarray) -> TruthError:
    return TruthError(
        f"This picture's values go from {values.min()} to {values.max()}, so they are no ids of Cityscapes classes: train ids "
        f"are 0 to {len(labels.CLASSES) - 1} and 255, label ids 0 to {_LABEL_ID_COUNT - 1}."
    )


def _all_known(rgb: np.ndarray) -> bool:
    """Whether every colour of a picture is one of the Cityscapes colours."""
    codes = np.unique(rgb.astype(np.int32) @ (65536, 256, 1))
    return bool(np.isin(codes, _KNOWN @ (65536, 256, 1)).all())
