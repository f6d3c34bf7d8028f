"""Which files of a folder are photos: `classify` tells them from masks and from files beside photos.

A folder from a camera also holds raw files, videos, and small files of programs. Only a photo may take part
in a prediction, and only a file that was meant as a photo may fail.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath

import numpy as np

from seg.data import cityscapes, file_types

_PHOTO_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .dib .tif .tiff .gif .heic .heif .hif .avif".split()
)
_OTHER_PICTURE_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .jp2 .jxl .mef .mos .mrw .nef .nrw .orf .pef .psd .raf .raw .rw2"
    " .rwl .sr2 .srw .svg .x3f".split()
)
_SIDECAR_SUFFIXES = frozenset(".thm .lrv .aae .xmp".split())  # a .thm file is a small JPEG of a video

_MASK_PALETTE = cityscapes.colorize(np.arange(256)).tobytes()


class FileKind(Enum):
    """What a file in a folder of photos is."""

    PHOTO = "photo"
    """Of a format that `read_photo` reads."""
    UNREADABLE = "unreadable photo"
    """Named like a photo, but of no format that `read_photo` reads."""
    OTHER_PICTURE = "picture of another format"
    """A picture that `read_photo` refuses, such as a camera's raw file."""
    MASK = "mask"
    """An indexed PNG with the palette of our masks."""
    OTHER = "other file"
    """No picture: a video, a text, a file of the camera or of a program."""


def group(name: str, kind: FileKind) -> str:
    """Return under which name a file that is no photo is counted: its suffix, or "masks"."""
    return "masks" if kind is FileKind.MASK else PurePath(name).suffix.lower()


def describe_counts(counts: Mapping[str, int]) -> str:
    """Return numbers of files for a message, such as "3 .mp4, 2 without suffix".

    Args:
        counts: number of files by `group`.
    """
    largest_first = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name or 'without suffix'}" for name, count in largest_first)


def unsupported_message(name: str) -> str:
    """Return why a picture of the kind `FileKind.OTHER_PICTURE` cannot be used."""
    suffix = PurePath(name).suffix.lower()
    return f"Pictures of the type {suffix} cannot be read here; convert it to JPEG or PNG and try again."


def classify(name: str, head: bytes) -> FileKind:
    """Classify a file by its name and its first bytes.

    Args:
        name: the file's name.
        head: its first `file_types.HEAD_BYTES` bytes.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _SIDECAR_SUFFIXES:
        return FileKind.OTHER
    if head[12:16] == b"IHDR" and _MASK_PALETTE in head:
        return FileKind.MASK
    if suffix in _OTHER_PICTURE_SUFFIXES:
        return FileKind.OTHER_PICTURE
    if file_types.picture_format(head):
        return FileKind.PHOTO
    return FileKind.UNREADABLE if suffix in _PHOTO_SUFFIXES else FileKind.OTHER
