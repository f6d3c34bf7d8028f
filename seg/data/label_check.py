"""Check of the halves of pairs: `check_labels` refuses pairs of which none has a photo and a label."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seg.data import label_decoder
from seg.data.pairs import DamagedPairError, DatasetError, OnProgress, PairSizeError, read_pair

_STEP = 4
"""Every fourth row and column of a half is compared with the label colors."""

MIN_PALETTE_MATCH = 0.6
"""The least `label_decoder.palette_match` of a label; those of Cityscapes reach 0.8, photos at most 0.5."""

MIN_HALVES_DIFFERENCE = 0.2
"""The least difference of the palette match between the label and the photo of a pair."""

_MIN_CLASS_MATCH = 0.02
"""The least share of the pixels that match a class: JPEG noise along black-and-white edges matches some."""


_MIN_CHANNEL_DIFFERENCE = 0.02
"""The least difference of the palette match between a label with red and blue exchanged and the original.
Road and building look the same in both; among every eighth pair of train the least is 0.021."""


class _Fault(NamedTuple):
    problem: str
    remedy: str
    missing: str = "label"


_TWO_LABELS = _Fault("both halves show labels", "Put the photo on the left", "photo")
_SWAPPED = _Fault("the halves are swapped", "Put the photo on the left and the label on the right")
_NO_COLORS = _Fault(
    "the right half does not show the classes of Cityscapes in their colors",
    "Write the label in these colors; class ids and black-and-white masks cannot be read",
)


CHANNELS = (
    "red and blue are exchanged, as OpenCV does that writes RGB as BGR. Exchange them"
    " (cv2.cvtColor with COLOR_RGB2BGR before cv2.imwrite)"
)
"""What is wrong with a picture for which `has_swapped_channels` is true, and the remedy."""

_SWAPPED_CHANNELS = _Fault("red and blue are exchanged in the right half", "Write the label in RGB, not BGR")


class LabelHalfError(DatasetError):
    """A pair without a label in its right half."""


class PhotoHalfError(LabelHalfError):
    """A pair without a photo in its left half, which shows a label as well."""


def check_labels(files: Sequence[Path]) -> None:
    """Check that at least one of the pairs has a photo and a label; usually this reads a single file.

    Args:
        files: pairs of one split.

    Raises:
        LabelHalfError: if none has a photo and a label.
        DatasetError: if a file that is read is no pair.
    """
    faults = []
    for file in files:
        fault = _label_fault(*read_pair(file))
        if fault is None:
            return
        faults.append(fault)
    if not faults:
        return
    names = ", ".join(file.name for file in files[:3]) + ", …" * (len(files) > 3)
    none_of_them = (
        f"None of the {len(files):,} pairs in {files[0].parent} ({names}) has a"
        if len(files) > 1
        else f"{files[0]} has no"
    )
    raise _half_error(f"{none_of_them} usable", faults[0], f" {faults[0].remedy}.")


def check_pair(file: Path) -> None:
    """Check a single pair.

    Raises:
        DamagedPairError: if the file cannot be decoded.
        PairSizeError: if it has another size than a pair.
        LabelHalfError: if it has no label, or no photo.
    """
    if fault := _label_fault(*read_pair(file)):
        raise _half_error(f"{file} has no usable", fault)


def _half_error(beginning: str, fault: _Fault, remedy: str = "") -> LabelHalfError:
    error = PhotoHalfError if fault.missing == "photo" else LabelHalfError
    return error(f"{beginning} {fault.missing}: {fault.problem}.{remedy}")


def find_faults(files: Sequence[Path], on_progress: OnProgress | None = None) -> list[DatasetError]:
    """Return the error of each file that fails `check_pair`.

    Args:
        files: the files to check.
        on_progress: called with the number of files done and of all.
    """
    errors = []
    for done, file in enumerate(files, 1):
        try:
            check_pair(file)
        except DatasetError as error:
            errors.append(error)
        if on_progress:
            on_progress(done, len(files))
    return errors


def summarize(errors: Sequence[DatasetError]) -> str:
    """Return the numbers of faulty files by kind, such as "2 damaged, 1 of the wrong size"."""
    kinds = {
        DamagedPairError: "damaged",
        PairSizeError: "of the wrong size",
        LabelHalfError: "without a usable label",
        PhotoHalfError: "without a photo",
    }
    counts = {kind: sum(type(error) is of_kind for error in errors) for of_kind, kind in kinds.items()}
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)


def has_swapped_channels(pixels: np.ndarray) -> bool:
    """Return whether pixels are of a label in the Cityscapes colors, but with red and blue exchanged.

    Args:
        pixels: H x W x 3 uint8 RGB; evenly spread pixels of a large picture suffice.
    """
    swapped, straight = (label_decoder.palette_match(colors) for colors in (pixels[..., ::-1], pixels))
    return swapped >= MIN_PALETTE_MATCH and swapped - straight >= _MIN_CHANNEL_DIFFERENCE


def _label_fault(photo: np.ndarray, picture: np.ndarray) -> _Fault | None:
    """Return what is wrong with the halves of a pair."""
    photo, picture = (half[::_STEP, ::_STEP] for half in (photo, picture))
    left, right = (label_decoder.palette_match(half) for half in (photo, picture))
    has_label = right >= MIN_PALETTE_MATCH and label_decoder.class_match(picture) >= _MIN_CLASS_MATCH
    if left >= MIN_PALETTE_MATCH:
        if has_label and label_decoder.class_match(photo) >= _MIN_CLASS_MATCH:
            return _TWO_LABELS
        if left - right >= MIN_HALVES_DIFFERENCE:
            return _SWAPPED
    if has_swapped_channels(picture):
        return _SWAPPED_CHANNELS
    return None if has_label else _NO_COLORS
