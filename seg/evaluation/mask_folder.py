"""Masks that were made elsewhere: a folder of PNGs with the names of the photos."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from seg.data.classes import IGNORE, ClassSet
from seg.data.decode_cache import DecodedSplit
from seg.data.described_labels import LabelFileError, open_label
from seg.data.pairs import mtime_fingerprint
from seg.errors import StreetFCNError, printable
from seg.system.file_names import is_system_file


class MaskFolderError(StreetFCNError, ValueError):
    """Masks that cannot be used; the message says why."""


class MaskFolder:
    """A folder with a mask for each photo: ``STEM.png``, or ``STEM.VARIANT.png`` as `predict` writes them.

    Args:
        folder: the folder; masks may lie in folders within it.
        variant: the part of the names between stem and suffix; by default there is none.

    Raises:
        MaskFolderError: if the folder cannot be read or has no such PNGs.
    """

    def __init__(self, folder: Path, variant: str = "") -> None:
        self.folder = folder
        self._end = f".{variant}.png" if variant else ".png"
        try:
            files = [file for file in folder.rglob("*") if file.name.lower().endswith(self._end)]
        except OSError as error:
            raise MaskFolderError(f"{folder} cannot be read: {error.strerror}.") from None
        self._files: dict[str, Path] = {}
        for file in sorted(files):
            if is_system_file(file.name):
                continue
            stem = file.name[: -len(self._end)]
            if stem in self._files:
                raise MaskFolderError(
                    f"{folder} has two masks for {stem}: {self._files[stem]} and {file}. Remove one."
                )
            self._files[stem] = file
        if not self._files:
            raise MaskFolderError(f"{folder} has no masks: no file in it ends in {self._end}.")
        self.title = printable(folder.name + (f":{variant}" if variant else ""))

    @cached_property
    def fingerprint(self) -> str:
        """A hash that changes if a mask changes in name, size or time."""
        files = mtime_fingerprint(tuple(file.absolute() for file in self._files.values()))
        return hashlib.sha256(f"{self._end} {files}".encode()).hexdigest()

    def check(self, split: DecodedSplit, count: int) -> None:
        """Check that the first `count` photos of a split have a mask.

        Raises:
            MaskFolderError: if some have none.
        """
        stems = [file.stem for file in split.files[:count]]
        if len(set(stems)) < len(stems):
            raise MaskFolderError("Some photos of the data have the same name, so masks cannot be assigned.")
        missing = [stem for stem in stems if stem not in self._files]
        if not missing:
            return
        whose = f"{len(missing)} of the {len(stems)} photos have no mask"
        if len(missing) == len(stems):
            whose = f"none of the {len(stems)} photos has a mask"
        raise MaskFolderError(
            f"In {self.folder}, {whose}; the first is {missing[0]}{self._end}.{self._hint(stems)}"
        )

    def _hint(self, stems: list[str]) -> str:
        """Return how to choose among masks that end in variants, if there are such masks of the photos."""
        parts = [name.rpartition(".") for name in self._files]
        variants = sorted({variant for stem, _, variant in parts if stem in stems})
        return f" Choose one of its variants, for example {self.folder}:{variants[0]}." if variants else ""

    def mask(self, stem: str, size: tuple[int, int], classes: ClassSet) -> np.ndarray:
        """Read a mask.

        Args:
            stem: stem of the photo's name.
            size: height and width of the result; others are resized by nearest neighbor.
            classes: the classes of the masks.

        Returns:
            H x W uint8 train ids; `IGNORE` where the mask has no class.

        Raises:
            MaskFolderError: if it cannot be read, or has other ids or colors than those of the classes.
        """
        file = self._files[stem]
        try:
            picture = open_label(file)
        except LabelFileError as error:
            raise MaskFolderError(str(error)) from None
        ids = _read_ids(picture, file, classes)
        if ids.shape != size:
            ids = np.asarray(Image.fromarray(ids).resize(size[::-1], Image.Resampling.NEAREST))
        return ids


def _read_ids(picture: Image.Image, file: Path, classes: ClassSet) -> np.ndarray:
    """Return the train ids of a mask: its values, or its colors if they are those of the classes."""
    if picture.mode in ("L", "P", "I;16", "I"):
        values = np.asarray(picture)
        if picture.mode != "P":
            return _checked(values, file, classes)
        from_colors = _ids_of_colors(np.asarray(picture.convert("RGB")), classes)
        return _checked(values, file, classes) if from_colors is None else from_colors
    channels = np.asarray(picture.convert("RGB"))
    from_colors = _ids_of_colors(channels, classes)
    if from_colors is not None:
        return from_colors
    if (channels[..., :1] == channels[..., 1:]).all():  # gray, as OpenCV writes it
        return _checked(channels[..., 0], file, classes)
    raise MaskFolderError(
        f"{file} has colors that are none of the {len(classes)} classes. Masks are PNGs of train ids or in"
        " the exact colors of the classes."
    )


def _checked(values: np.ndarray, file: Path, classes: ClassSet) -> np.ndarray:
    is_known = (values == IGNORE) | ((values >= 0) & (values < len(classes)))
    if not is_known.all():
        raise MaskFolderError(
            f"{file} has the id {values[~is_known].flat[0]}, which is none of the {len(classes)} classes:"
            f" train ids are 0 to {len(classes) - 1}, and {IGNORE} where there is no class."
        )
    return values.astype(np.uint8)


def _ids_of_colors(rgb: np.ndarray, classes: ClassSet) -> np.ndarray | None:
    """Return the ids of colors, `IGNORE` for black unless it is a class; None if there are other colors or
    no class at all."""
    weights = np.array((65536, 256, 1), np.int32)
    known = {0: IGNORE} | dict(
        zip((classes.palette.astype(np.int32) @ weights).tolist(), range(len(classes)), strict=True)
    )
    codes, index = np.unique(rgb.astype(np.int32) @ weights, return_inverse=True)
    ids = [known.get(code) for code in codes.tolist()]
    if None in ids or set(ids) == {IGNORE}:
        return None
    return np.array(ids, np.uint8)[index].reshape(rgb.shape[:2])
