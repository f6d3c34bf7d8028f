"""Opening of TIFF files: variants that Pillow would decode wrongly are corrected or refused.

The tests compare them with files that are written by the specification (TIFF 6.0) instead of by Pillow.
"""

import struct
from itertools import product
from typing import Any, BinaryIO

from PIL import Image, ImagePalette, TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

# Pillow's own reader of uncompressed files takes 16-bit samples in separate planes for 8-bit ones, and chroma
# subsampling for none; libtiff does not
TiffImagePlugin.READ_LIBTIFF = True


def _complete_gray_layouts() -> None:
    """Add the layouts of deep gray that Pillow can decode, but lists for some byte orders, photometric
    interpretations (white or black is zero) and bit orders only."""
    for order, photometric, fill_order in product((b"II", b"MM"), (0, 1), (1, 2)):
        big = "B" if order == b"MM" else ""
        for sample_format, bits, modes in (
            (1, 12, ("I;16", "I;12")),
            (1, 16, (f"I;16{big}", f"I;16{big}")),
            (2, 16, ("I", f"I;16{big}S")),
            (1, 32, ("I", "I;32N")),
            (2, 32, ("I", f"I;32{big}S")),
            (3, 32, ("F", f"F;32{big}F")),
        ):
            layout = (order, photometric, (sample_format,), fill_order, (bits,), ())
            TiffImagePlugin.OPEN_INFO.setdefault(layout, modes)


_complete_gray_layouts()

_SUBFILE_TYPE, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 258, 259, 262, 266
_SAMPLES, _PLANAR, _COLORMAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 277, 284, 320, 338, 339

_READABLE_COMPRESSIONS = {*range(1, 9), 32773, 32946, 34925, 50000}
"""None, CCITT, LZW, JPEG, Deflate, PackBits, LZMA and Zstandard."""

_COMPRESSIONS = {34712: "JPEG 2000", 34887: "LERC", 34933: "PNG", 34934: "JPEG XR", 50001: "WebP"}
_COMPRESSIONS |= dict.fromkeys((33003, 33004, 33005, 34715), "JPEG 2000 or JBIG")
_COMPRESSIONS |= dict.fromkeys((50002, 52546), "JPEG XL")

_RAW_COMPRESSIONS = {32767, 32769, 32770, 34713, 65000, 65535}
"""Compressions of the raw files of Sony, Epson, Samsung, Nikon, Kodak and Pentax."""

_RAW_PHOTOMETRICS = {32803, 34892}
"""Color filter array, and linear raw."""

_COLORS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 4: "mask", 5: "ink", 6: "YCbCr"}
_COLORS |= dict.fromkeys((8, 9, 10), "Lab") | dict.fromkeys((32844, 32845), "LogLuv")
_FORMATS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}

_NATIVE_ORDER = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}
"""Pillow expects samples from libtiff in the order of the file, but libtiff returns them in native order."""


MAX_PARTS = 100_000
"""Strips or tiles of a page; opening a file with millions takes minutes."""

_MAX_ENTRIES = 65_535
"""Tags of a page; the count of the usual format ends there."""

_PART_OFFSETS = {273, 324}
"""Tags that list the strips, and the tiles."""


class UnsupportedTiffError(ValueError):
    """The file is an intact TIFF of a variant that cannot be read; the message is its description."""


def open_tiff(file: BinaryIO) -> TiffImageFile:
    """Read the tags of the first page of a TIFF file.

    Args:
        file: the file, at its beginning.

    Returns:
        The page. Its pixels are not decoded yet.

    Raises:
        UnsupportedTiffError: if it can be decoded by no means, or only wrongly.
        Exception: any type, if the tags are damaged.
    """
    if _count_parts(file) > MAX_PARTS:
        raise UnsupportedTiffError(f"a TIFF of more than {MAX_PARTS:,} strips or tiles")
    try:
        picture = Image.open(file, formats=["TIFF"])
    except Exception:
        if description := _describe(_read_tags(file)):
            raise UnsupportedTiffError(description) from None
        raise
    assert isinstance(picture, TiffImageFile)
    tags = picture.tag_v2
    # a first page marked as reduced-resolution image is the thumbnail of a DNG, NEF or ARW file
    if tags.get(_SUBFILE_TYPE) == 1 or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS:
        raise UnsupportedTiffError("a camera's raw file")
    if tags.get(_COMPRESSION, 1) not in _READABLE_COMPRESSIONS or not _decodes_correctly(picture):
        raise UnsupportedTiffError(_describe(tags))
    for number, tile in enumerate(picture.tile):
        if isinstance(tile.args, tuple) and tile.args[0] in _NATIVE_ORDER:
            picture.tile[number] = tile._replace(args=(_NATIVE_ORDER[tile.args[0]], *tile.args[1:]))
    colors = tags.get(_COLORMAP, ())
    if picture.mode == "P" and colors and max(colors) < 256:  # some programs write 8 instead of 16 bits
        picture.palette = ImagePalette.raw("RGB;L", bytes(colors))
    return picture


def _decodes_correctly(picture: TiffImageFile) -> bool:
    """Return whether Pillow's decoder for libtiff supports the layout of a page."""
    tags = picture.tag_v2
    if tags.get(_SAMPLE_FORMAT, (1,))[0] == 2 and tags.get(_BITS, (1,))[0] == 8:
        return False  # it is read as unsigned
    if tags.get(_PLANAR) != 2 or tags.get(_SAMPLES, 1) == 1:
        return True
    extra = tags.get(_EXTRA_SAMPLES, ())
    return picture.mode in ("RGB", "RGBA", "CMYK") and (len(extra) < 2 or max(extra) == 0)


def _count_parts(file: BinaryIO) -> int:
    """Return the number of strips or tiles that the first page lists, without reading the list; 0 if the file
    is damaged. The file is at its beginning before and after."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"\x2b\0", b"\0\x2b")
    count_format, entry_format = (order + "Q", order + "HHQQ") if big else (order + "H", order + "HHLL")
    parts = 0
    try:
        file.seek(struct.unpack_from(order + ("Q" if big else "L"), head, 8 if big else 4)[0])
        (entries,) = struct.unpack(count_format, file.read(struct.calcsize(count_format)))
        for _ in range(min(entries, _MAX_ENTRIES)):
            tag, _, count, _ = struct.unpack(entry_format, file.read(struct.calcsize(entry_format)))
            parts = max(parts, count) if tag in _PART_OFFSETS else parts
    except (struct.error, OSError, ValueError):
        parts = 0
    file.seek(0)
    return parts


def _read_tags(file: BinaryIO) -> dict[int, Any] | ImageFileDirectory_v2:
    """Return the tags of the first page; none if they are damaged."""
    try:
        file.seek(0)
        head = file.read(8)
        tags = ImageFileDirectory_v2(head + file.read(8) if head[2] == 43 or head[3] == 43 else head)
        file.seek(tags.next)
        tags.load(file)
        return tags if {256, 257, _PHOTOMETRIC} <= set(tags) else {}
    except Exception:  # damaged tags raise a dozen types
        return {}


def _describe(tags: dict[int, Any] | ImageFileDirectory_v2) -> str:
    """Return what kind of TIFF this is, with its article; empty without tags."""
    if not tags:
        return ""
    photometric, compression = tags.get(_PHOTOMETRIC), tags.get(_COMPRESSION, 1)
    if photometric in _RAW_PHOTOMETRICS or compression in _RAW_COMPRESSIONS:
        return "a camera's raw file"
    if compression not in _READABLE_COMPRESSIONS:
        return f"a TIFF with {_COMPRESSIONS.get(compression, 'a rare')} compression"
    bits, sample_format = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
    color = "unusual" if photometric is None else _COLORS.get(photometric, "unusual")
    layout = " in separate planes" if tags.get(_PLANAR) == 2 and tags.get(_SAMPLES, 1) > 1 else ""
    alpha = " and alpha" if tags.get(_EXTRA_SAMPLES) else ""
    return f"a TIFF with {bits[0]}-bit {_FORMATS.get(sample_format[0], '')}{color}{alpha} values{layout}"
