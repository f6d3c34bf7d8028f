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
_RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srw"
    " .x3f".split()
)
"""Suffixes of cameras' raw files; the content of many is a TIFF with a thumbnail."""

_OTHER_PICTURE_SUFFIXES = frozenset(
    ".jp2 .j2c .j2k .jpc .jpf .jph .jpm .jpx .jxl .jls .jng .jxr .hdp .wdp"  # relatives of JPEG
    " .ppm .pgm .pbm .pnm .pam .pfm"  # Netpbm
    " .psd .psb .xcf .kra .ora"  # of programs that edit pictures
    " .tga .icb .vda .pcx .ras .sgi .sun .xbm .xpm .xwd .wbmp .pict .bpg .flif .mng .qoi .ico .cur .icns"
    " .exr .dds .dpx .cin .fits .dcm .dicom"  # of films, games and science
    " .svg .svgz .eps .emf .wmf".split()  # drawings
)
_SIDECAR_SUFFIXES = frozenset(".thm .lrv .aae .xmp".split())  # a .thm file is a small JPEG of a video

_EXTRA_ENDINGS = (".labelids.png", "_labelids.png", ".confidence.png")
"""Ends of the names, in lower case, of label ids and confidences: of our predictions, and of Cityscapes."""

_MASK_PALETTE = cityscapes.colorize(np.arange(256)).tobytes()

MASK_COMMENT = "mask of Street FCN"
"""A comment in masks of other classes, whose palettes vary."""


class FileKind(Enum):
    """What a file in a folder of photos is."""

    PHOTO = "photo"
    """Of a format that `read_photo` reads."""
    UNREADABLE = "unreadable photo"
    """Named like a photo, but of no format that `read_photo` reads."""
    OTHER_PICTURE = "picture of another format"
    """A picture of a format that `read_photo` does not read, such as a camera's raw file."""
    MASK = "mask"
    """An indexed PNG with the palette of our masks, or one of label ids by its name."""
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
    kind = f"the type {suffix}" if suffix else "this type"
    return f"Pictures of {kind} cannot be read here; convert it to JPEG or PNG and try again."


def classify(name: str, head: bytes) -> FileKind:
    """Classify a file by its name and its first bytes.

    Args:
        name: the file's name.
        head: its first `file_types.HEAD_BYTES` bytes.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in _SIDECAR_SUFFIXES:
        return FileKind.OTHER
    is_ours = head[12:16] == b"IHDR" and (_MASK_PALETTE in head or MASK_COMMENT.encode() in head)
    if is_ours or name.lower().endswith(_EXTRA_ENDINGS):
        return FileKind.MASK
    if suffix in _RAW_SUFFIXES:
        return FileKind.OTHER_PICTURE
    if file_types.picture_format(head):
        return FileKind.PHOTO
    if suffix in _PHOTO_SUFFIXES:
        return FileKind.UNREADABLE
    is_picture = suffix in _OTHER_PICTURE_SUFFIXES or file_types.is_unsupported_picture(head)
    return FileKind.OTHER_PICTURE if is_picture else FileKind.OTHER
