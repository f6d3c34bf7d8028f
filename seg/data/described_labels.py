"""Reading of label pictures as a description says: ids, colors or the segments of panoptic labels."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from seg.data.classes import IGNORE
from seg.data.description import UNKNOWN, DatasetDescription
from seg.data.layouts import Sample
from seg.data.pairs import DatasetError

MAX_COLOR_DISTANCE = 40.0
"""RGB distance up to which a pixel of a compressed label has a color; others are blends along edges."""

ID_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")
"""Modes of Pillow in which a picture has one value per pixel."""

MAX_NAMED = 5
"""Unknown values that a message names."""

_DAMAGED = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, OverflowError)
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class LabelFileError(DatasetError):
    """A label that cannot be read, or not as its description says."""


def read_ids(file: Path) -> np.ndarray:
    """Read the values of an indexed or gray label, 8 or 16 bits.

    Raises:
        LabelFileError: if it is damaged, or a color picture.
    """
    picture = open_label(file)
    if picture.mode in ID_MODES:
        values = np.asarray(picture)
    else:
        channels = np.asarray(picture.convert("RGBA"))[..., :3]
        # OpenCV writes a gray picture with three equal channels if it is given one
        if (channels[..., :1] != channels[..., 1:]).any():
            raise LabelFileError(
                f"{file} is a color picture, but the description says that its labels are ids: write ids, or"
                ' set "coding" to "colors" and give each class its color.'
            )
        values = channels[..., 0]
    if values.min() < 0 or values.max() >= 2**16:
        raise LabelFileError(f"{file} has values from {values.min()} to {values.max()}; ids are 0 to 65535.")
    return values.astype(np.uint16)


def read_colors(file: Path) -> np.ndarray:
    """Read the colors of a label, H x W x 3 uint8.

    Raises:
        LabelFileError: if it is damaged.
    """
    return np.asarray(open_label(file).convert("RGB"))


def open_label(file: Path) -> Image.Image:
    """Open and decode a label picture.

    Raises:
        LabelFileError: if it is damaged or far too large.
    """
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture
    except _DAMAGED as error:
        raise LabelFileError(f"{file} cannot be read as a picture ({error}). Copy it again.") from None
    except _TOO_LARGE:
        raise LabelFileError(f"{file} has far too many pixels for a label.") from None


def read_label(sample: Sample, description: DatasetDescription) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the label of a sample.

    Args:
        sample: the sample.
        description: what its labels contain.

    Returns:
        H x W uint8 train ids, with `UNKNOWN` where the description knows no class; and the unknown values as
        text, at most `MAX_NAMED`.

    Raises:
        LabelFileError: if the label is damaged or of another kind.
    """
    if sample.segments is not None:
        return _panoptic(read_colors(sample.label), sample.segments)
    if description.coding == "colors":
        is_exact = os.path.splitext(sample.label)[1].lower() not in (".jpg", ".jpeg")
        return _from_colors(read_colors(sample.label), *description.color_table, is_exact)
    values = read_ids(sample.label)
    label = description.id_table[values]
    unknown = np.unique(values[label == UNKNOWN])
    return label, tuple(map(str, unknown[:MAX_NAMED].tolist()))


def _codes(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.int32) @ np.array((1, 256, 65536), np.int32)


def _panoptic(rgb: np.ndarray, segments: dict[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert the segment ids R + 256 G + 65536 B of COCO's panoptic format; 0 has no class."""
    values, index = np.unique(_codes(rgb), return_inverse=True)
    table = np.array([IGNORE if v == 0 else segments.get(int(v), UNKNOWN) for v in values], np.uint8)
    unknown = values[table == UNKNOWN][:MAX_NAMED]
    return table[index].reshape(rgb.shape[:2]), tuple(f"segment {value}" for value in unknown.tolist())


def _from_colors(
    rgb: np.ndarray, colors: np.ndarray, ids: np.ndarray, is_exact: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert colors to train ids; compressed labels to the nearest color, blends of two are ignored."""
    codes, index = np.unique(_codes(rgb), return_inverse=True)
    used = np.stack((codes & 255, codes >> 8 & 255, codes >> 16), 1).astype(np.float32)
    distance = np.empty(len(used), np.float32)
    nearest = np.empty(len(used), np.int64)
    for start in range(0, len(used), 4096):  # a compressed label has many colors
        part = slice(start, start + 4096)
        distances = np.linalg.norm(used[part, None] - colors[None].astype(np.float32), axis=2)
        nearest[part], distance[part] = distances.argmin(1), distances.min(1)
    if is_exact:
        table = np.where(distance == 0, ids[nearest], UNKNOWN)
    else:
        table = np.where(distance <= MAX_COLOR_DISTANCE, ids[nearest], IGNORE)
    unknown = used[table == UNKNOWN][:MAX_NAMED].astype(int).tolist()
    return table.astype(np.uint8)[index].reshape(rgb.shape[:2]), tuple(str(tuple(c)) for c in unknown)
