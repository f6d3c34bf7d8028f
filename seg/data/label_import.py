"""Reading of label pictures that users have, as train ids, and splitting of pair files.

Supported are train ids and Cityscapes label ids as gray or indexed PNGs, the Cityscapes colors as an RGB or
indexed PNG, and pictures in these colors that were shrunk or compressed, such as those of the pairs.
"""

import io
import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from seg.data import cityscapes, image_io, label_check, label_decoder
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import IGNORE, ClassSet
from seg.data.label_check import MIN_HALVES_DIFFERENCE, MIN_PALETTE_MATCH
from seg.data.pairs import PAIR_ASPECT, SIDE, restore_aspect
from seg.data.pixel_conversion import strips
from seg.errors import StreetFCNError

LabelCoding = Literal["train ids", "label ids", "colors", "blended colors"]
CODINGS: tuple[LabelCoding, ...] = get_args(LabelCoding)

_MIN_PAIR_MATCH = 0.75
"""The least `label_decoder.palette_match` of the right half of a pair."""

_MAX_BLENDED_PIXELS = 2_500_000
"""Largest picture in blended colors, whose decoding takes seconds per megapixel."""

_SAMPLE_PIXELS = 1_000_000
"""Pixels that decide whether a picture is a label."""

_FROM_LABEL_ID = np.full(256, IGNORE, np.uint8)
_FROM_LABEL_ID[list(cityscapes.LABEL_IDS)] = range(len(cityscapes.CLASSES))
_LABEL_ID_COUNT = 34
_CITYSCAPES_COLORS = np.array([*cityscapes.PALETTE, *cityscapes.VOID_COLORS.values()], np.int32)


class LabelImportError(StreetFCNError, ValueError):
    """The file cannot be used as the label of the photo; the message gives the reason and a remedy."""


class ImportedLabel(NamedTuple):
    """A label and the coding of its file."""

    label: np.ndarray
    """H x W uint8 train ids."""
    coding: LabelCoding
    other_coding: LabelCoding | None = None
    """Another coding that the values fit as well, so that a person must decide; else None."""
    class_set: ClassSet = CITYSCAPES
    """The classes of the train ids."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes that occur, the largest first."""
        counts = np.array(Image.fromarray(self.label).histogram())[: len(self.class_set)]
        return [self.class_set.names[k] for k in np.argsort(-counts, kind="stable") if counts[k]]

    @property
    def ignored_fraction(self) -> float:
        """Fraction of the pixels without a class."""
        return float((self.label == IGNORE).mean())


def codings_of(classes: ClassSet) -> tuple[LabelCoding, ...]:
    """Return the codings in which labels of some classes can be read."""
    return CODINGS if classes == CITYSCAPES else ("train ids", "colors")


def read_label(
    data: bytes,
    size: tuple[int, int],
    coding: LabelCoding | None = None,
    classes: ClassSet = CITYSCAPES,
) -> ImportedLabel:
    """Read the file of a label picture.

    Args:
        data: the content of the file.
        size: (width, height) of the photo, to which the label is resized by nearest neighbor.
        coding: how the picture encodes classes; None to detect it.
        classes: the classes of the label.

    Raises:
        LabelImportError: if the file is not a label picture (of this coding), if no pixel has a class, or if
            its aspect ratio differs from the photo's.
    """
    try:
        width, height = image_io.read_size(data)
        if abs(width / height / (size[0] / size[1]) - 1) > 0.02:
            raise LabelImportError(
                f"This label picture is {width}×{height} pixels and the photo {size[0]}×{size[1]}: they must"
                " have one shape. Choose the label of this very photo."
            )
        # for its errors and limits; a reduced label would have blended colors
        upright = image_io.read_photo(data, reduce_large=False)
        try:
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        except UnidentifiedImageError:  # formats that Pillow has no plugin for have no indices either
            picture = upright
        if classes == CITYSCAPES:
            imported = _to_train_ids(picture, np.asarray(upright), coding)
        else:
            imported = _to_ids_of(classes, picture, np.asarray(upright), coding)
    except image_io.PhotoError as error:
        raise LabelImportError(str(error)) from None
    if not imported.classes:
        raise LabelImportError(
            f"No pixel of this label picture has a class if it is read as {imported.coding}: all are ignored."
            " Choose another coding or another picture."
        )
    if imported.label.shape[::-1] != size:
        resized = Image.fromarray(imported.label).resize(size, Image.Resampling.NEAREST)
        imported = imported._replace(label=np.array(resized))
    return imported


def split_pair(picture: Image.Image) -> tuple[Image.Image, np.ndarray] | None:
    """Split a pair file of the dataset, photo on the left and label on the right.

    Args:
        picture: the pair file as read by `read_photo`.

    Returns:
        The photo without the horizontal squeeze and H x W uint8 train ids of its size; None if the picture is
        not a pair.
    """
    photo = photo_of_pair(picture)
    if photo is None:
        return None
    label = np.asarray(picture)[:, SIDE:]
    return photo, label_decoder.decode(label).repeat(PAIR_ASPECT, axis=1)


def photo_of_pair(picture: Image.Image) -> Image.Image | None:
    """Return the photo of a pair file without the horizontal squeeze; None if a picture is not a pair.

    Args:
        picture: the file as read by `read_photo`.
    """
    if picture.size != (2 * SIDE, SIDE):
        return None
    pixels = np.asarray(picture)
    left, right = pixels[:, :SIDE], pixels[:, SIDE:]
    match = label_decoder.palette_match(right)
    if match < _MIN_PAIR_MATCH or label_decoder.palette_match(left) > match - MIN_HALVES_DIFFERENCE:
        return None
    return restore_aspect(Image.fromarray(left))


def _to_train_ids(picture: Image.Image, rgb: np.ndarray, coding: LabelCoding | None) -> ImportedLabel:
    if coding in ("train ids", "label ids"):
        values = _id_values(picture)
        if values is None:
            raise LabelImportError(f"This is a color picture, so it cannot be read as {coding}.")
        return _from_ids(values, coding)
    if coding is None and (values := _detected_ids(picture, rgb)) is not None:
        return _from_ids(values, None)
    if coding == "colors" or (coding is None and _only_cityscapes_colors(rgb)):
        return ImportedLabel(label_decoder.decode_nearest_color(rgb), "colors")
    sample = _sample(rgb)
    if coding is None and label_check.has_swapped_channels(sample):
        raise LabelImportError(f"In this label picture {label_check.CHANNELS}.")
    if coding == "blended colors" or label_decoder.palette_match(sample) >= MIN_PALETTE_MATCH:
        height, width = rgb.shape[:2]
        if width * height > _MAX_BLENDED_PIXELS:
            raise LabelImportError(
                f"Decoding blended colors takes too long for {width}×{height} pixels:"
                f" {_MAX_BLENDED_PIXELS / 1e6} megapixels are the most. Save the label as a PNG of ids,"
                " without compression losses, or reduce it."
            )
        return ImportedLabel(label_decoder.decode(rgb), "blended colors")
    raise LabelImportError(
        "This is no label picture: its colors are not those of the Cityscapes classes. Choose a PNG of train"
        " ids, of Cityscapes' label ids, or in the Cityscapes colors."
    )


def _to_ids_of(
    classes: ClassSet, picture: Image.Image, rgb: np.ndarray, coding: LabelCoding | None
) -> ImportedLabel:
    """Read a label of other classes than those of Cityscapes: train ids, or exact colors."""
    values = _id_values(picture)
    in_colors = _colors_to_ids(classes, rgb) if coding != "train ids" else None
    if in_colors is not None and (coding == "colors" or values is None or picture.mode == "P"):
        return ImportedLabel(in_colors, "colors", None, classes)
    if values is None or coding == "colors":
        raise LabelImportError(
            f"This label picture has colors that are not those of the {len(classes)} classes of the weights."
            " Choose a PNG in the colors of the legend, or of train ids: the order of the classes, from 0."
        )
    if values.min() < 0 or values.max() > 255:
        raise LabelImportError(f"This picture's values go up to {values.max()}; train ids are 0 to 255.")
    ids = values.astype(np.uint8)
    return ImportedLabel(np.where(ids < len(classes), ids, IGNORE), "train ids", None, classes)


def _colors_to_ids(classes: ClassSet, rgb: np.ndarray) -> np.ndarray | None:
    """Convert exact colors to train ids, black to `IGNORE`; None if there are other colors."""
    codes = rgb.astype(np.int32) @ np.array((65536, 256, 1), np.int32)
    by_code = {int(np.array(c.color) @ (65536, 256, 1)): k for k, c in enumerate(classes.classes)}
    by_code.setdefault(0, IGNORE)
    used, index = np.unique(codes, return_inverse=True)
    if any(int(code) not in by_code for code in used):
        return None
    return np.array([by_code[int(code)] for code in used], np.uint8)[index].reshape(codes.shape)


def _id_values(picture: Image.Image) -> np.ndarray | None:
    """Return the values of a picture that may hold ids, H x W; None for a color picture."""
    if picture.mode == "P":
        return _palette_ids(picture)
    if picture.mode in ("L", "I", "1") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    channels = np.asarray(picture)
    if picture.mode in ("LA", "La"):
        return channels[..., 0]
    if picture.mode not in ("RGB", "RGBA", "RGBX"):
        return None
    # OpenCV writes a gray picture with three equal channels if it is given one; simulators write the ids into
    # the red channel
    is_gray = (channels[..., :1] == channels[..., 1:3]).all()
    return channels[..., 0] if is_gray or not channels[..., 1:3].any() else None


def _palette_ids(picture: Image.Image) -> np.ndarray:
    """Return the gray levels of an indexed picture if they are ids, else its indices."""
    indices = np.asarray(picture)
    palette = np.zeros((256, 3), np.uint8)
    colors = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    palette[: len(colors)] = colors
    used = _unique(indices)
    grays = palette[used]
    if (grays[:, :1] == grays[:, 1:]).all() and _are_ids(grays[:, 0]).all() and grays[:, 0].any():
        return palette[:, 0][indices]
    return indices


def _are_ids(values: np.ndarray) -> np.ndarray:
    return (values < _LABEL_ID_COUNT) | (values == IGNORE)


def _detected_ids(picture: Image.Image, rgb: np.ndarray) -> np.ndarray | None:
    """Return the ids of a picture that seems to hold ids, H x W; None otherwise."""
    values = _id_values(picture)
    if values is None:
        return None
    if picture.mode == "P":
        # with a palette of other colors, or none, the indices are the ids
        return None if _only_cityscapes_colors(rgb) or values.max() == values.min() else values
    if picture.mode not in ("RGB", "RGBA", "RGBX"):
        return values
    # three equal channels may also be the gray of a class, such as building, and red that of a rider
    return values if _are_ids(values).all() and not _only_cityscapes_colors(rgb) else None


def _from_ids(values: np.ndarray, coding: LabelCoding | None) -> ImportedLabel:
    """Interpret values as ids of the given coding; if it is None, of the one that `_fitting_codings` "
    "prefers."""
    used = _unique(values)
    used = used[used != IGNORE]
    most = int(used.max()) if used.size else 0
    if used.size and (used.min() < 0 or most >= _LABEL_ID_COUNT):
        raise _unknown_ids(values)
    if coding == "train ids" and most >= len(cityscapes.CLASSES):
        raise LabelImportError(
            f"This picture's values go up to {most}, and train ids are 0 to {len(cityscapes.CLASSES) - 1} and"
            " 255: read it as label ids."
        )
    codings = _fitting_codings(set(used.tolist()), has_ignored=used.size < _unique(values).size)
    ids = values.astype(np.uint8)
    chosen = coding or codings[0]
    other = codings[1] if coding is None and len(codings) > 1 else None
    return ImportedLabel(ids if chosen == "train ids" else _FROM_LABEL_ID[ids], chosen, other)


def _fitting_codings(used: set[int], has_ignored: bool) -> list[LabelCoding]:
    """Return the codings of ids that a set of values fits, the more likely first.

    Train ids are 0 to 18 and 255. Label ids are 0 to 33, and only 19 of them have a train id. Nearly every
    street has sky, train id 10, which is the rare rail track among the label ids, and road, train id 0 or
    label id 7.

    Args:
        used: the values that occur, without 255.
        has_ignored: whether 255 occurs, which is no label id.
    """
    if max(used, default=0) >= len(cityscapes.CLASSES):
        return ["label ids"]
    sky, road = cityscapes.TRAIN_ID["sky"], cityscapes.TRAIN_ID["road"]
    if has_ignored or sky in used or used.isdisjoint(cityscapes.LABEL_IDS):
        return ["train ids"]
    if road not in used and cityscapes.LABEL_IDS[road] in used:
        return ["label ids", "train ids"]
    return ["train ids", "label ids"]


def _unknown_ids(values: np.ndarray) -> LabelImportError:
    return LabelImportError(
        f"This picture's values go from {values.min()} to {values.max()}, so they are no ids of Cityscapes"
        f" classes: train ids are 0 to {len(cityscapes.CLASSES) - 1} and 255, label ids 0 to"
        f" {_LABEL_ID_COUNT - 1}."
    )


def _only_cityscapes_colors(rgb: np.ndarray) -> bool:
    """Whether every color of a picture is one of the Cityscapes colors."""
    known = _CITYSCAPES_COLORS @ (65536, 256, 1)
    return all(
        np.isin(rgb[top:bottom].astype(np.int32) @ (65536, 256, 1), known).all()
        for _, top, _, bottom in strips(rgb.shape[1], rgb.shape[0])
    )


def _sample(rgb: np.ndarray) -> np.ndarray:
    """Return about `_SAMPLE_PIXELS` pixels of a larger picture, evenly spread."""
    step = max(1, math.isqrt(rgb.shape[0] * rgb.shape[1] // _SAMPLE_PIXELS))
    return rgb[::step, ::step]


def _unique(values: np.ndarray) -> np.ndarray:
    """Return the sorted values that occur, without a sorted copy of all of them."""
    boxes = strips(values.shape[1], values.shape[0])
    return np.unique(np.concatenate([np.unique(values[top:bottom]) for _, top, _, bottom in boxes]))
