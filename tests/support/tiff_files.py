"""TIFF files of every layout, written by the specification (TIFF 6.0) and not by Pillow."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

GRAY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8
"""Photometric interpretations."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""Sample formats."""

_TYPES = {"H": 3, "I": 4}


def pack(
    size: tuple[int, int],
    photometric: int,
    bits: Sequence[int],
    strips: Sequence[bytes],
    *,
    order: str = "<",
    planar: bool = False,
    compression: int = 1,
    rows_per_strip: int | None = None,
    more: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """A TIFF of one page.

    Args:
        size: width and height.
        photometric: the photometric interpretation.
        bits: bits of each sample.
        strips: the encoded strips; if planar, all those of a plane after all those of the plane before.
        order: "<" for little and ">" for big endian.
        planar: whether the samples are in separate planes.
        compression: the number of the compression of the strips.
        rows_per_strip: by default the height.
        more: further tags with short values.
    """
    width, height = size
    tags: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", bits),
        259: ("H", [compression]),
        262: ("H", [photometric]),
        273: ("I", [0] * len(strips)),
        277: ("H", [len(bits)]),
        278: ("I", [rows_per_strip or height]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planar else 1]),
    } | {tag: ("H", values) for tag, values in (more or {}).items()}
    beyond = 8 + 2 + 12 * len(tags) + 4
    first_strip = beyond + sum(
        struct.calcsize(f"{len(values)}{kind}") for kind, values in tags.values() if len(values) > 1
    )
    offsets = [first_strip + sum(map(len, strips[:number])) for number in range(len(strips))]
    tags[273] = ("I", offsets)
    entries, outside = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4 or len(values) > 1:
            inline = struct.pack(f"{order}I", beyond + len(outside)) if len(packed) > 4 else packed
            outside += packed  # a short pair is there too, unused: offsets stay simple
        else:
            inline = packed
        entries += struct.pack(f"{order}HHI", tag, _TYPES[kind], len(values)) + inline.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + outside + b"".join(strips)


def encode(
    samples: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    planar: bool = False,
    deflate: bool = False,
    rows: int | None = None,
    more: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """A TIFF of an array of whole bytes a sample, uncompressed or deflated.

    Args:
        samples: H x W x C, of the type that the file is to have.
        photometric: the photometric interpretation.
        order: "<" for little and ">" for big endian.
        planar: whether the samples are in separate planes.
        deflate: whether the strips are deflated.
        rows: rows of a strip; by default all.
        more: further tags with short values.
    """
    height, width, channels = samples.shape
    formats = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}
    ordered = samples.astype(samples.dtype.newbyteorder(order))
    planes = [ordered[..., channel] for channel in range(channels)] if planar else [ordered]
    rows = rows or height
    strips = [plane[top : top + rows].tobytes() for plane in planes for top in range(0, height, rows)]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    return pack(
        (width, height),
        photometric,
        [8 * samples.itemsize] * channels,
        strips,
        order=order,
        planar=planar,
        compression=8 if deflate else 1,
        rows_per_strip=rows,
        more={339: [formats[samples.dtype.kind]] * channels} | dict(more or {}),
    )
