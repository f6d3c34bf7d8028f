"""Small files that keep a decoder busy: a JPEG with many scans, and a TIFF with many tiles."""

import functools
import io
import struct

import numpy as np
from PIL import Image

TILE = 16


def jpeg_with_scans(scans: int, width: int, height: int) -> bytes:
    """A progressive JPEG of a gray area whose last scan is repeated."""
    out = io.BytesIO()
    Image.new("L", (64, 64), 90).save(out, "JPEG", progressive=True, quality=10)
    data = out.getvalue()
    frame = data.index(b"\xff\xc2") + 5
    data = data[:frame] + struct.pack(">HH", height, width) + data[frame + 4 :]
    return _with_scans(data, scans)


@functools.cache
def slow_jpeg(scans: int, side: int) -> bytes:
    """A square progressive JPEG whose scans change every block: decoding 62 megapixels takes seconds."""
    wave = 128 + 60 * np.cos((2 * (np.arange(side) % 8) + 1) * np.pi / 16)
    out = io.BytesIO()
    picture = Image.fromarray(np.broadcast_to(wave.astype(np.uint8), (side, side)).copy())
    picture.save(out, "JPEG", progressive=True, quality=75)
    return _with_scans(out.getvalue(), scans)


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The same picture in another file."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


def _with_scans(jpeg: bytes, scans: int) -> bytes:
    last, end = jpeg.rindex(b"\xff\xda"), jpeg.rindex(b"\xff\xd9")
    return jpeg[:last] + jpeg[last:end] * scans + jpeg[end:]


def tiff_with_tiles(across: int, order: str = "<", big: bool = False) -> bytes:
    """A gray TIFF, or BigTIFF, of `across` times as many tiles, all of which are at one place in the file."""
    side, count = across * TILE, across**2
    entry = order + ("HHQQ" if big else "HHLL")
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HL", 42, 8)
    lists = len(head) + (8 + 8 if big else 2 + 4) + 10 * struct.calcsize(entry)
    pixels = lists + 2 * 4 * count
    values = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 322: TILE, 323: TILE}
    entries = [_entry(entry, tag, 1, value) for tag, value in values.items()]
    entries += [_entry(entry, 324, count, lists), _entry(entry, 325, count, lists + 4 * count)]
    directory = struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries)
    directory += struct.pack(order + ("Q" if big else "L"), 0)
    offsets = struct.pack(order + "L", pixels) * count + struct.pack(order + "L", TILE * TILE) * count
    return head + directory + offsets + bytes(range(256))


def _entry(layout: str, tag: int, count: int, value: int) -> bytes:
    """An entry of type LONG; a single value, or the offset of several."""
    return struct.pack(layout, tag, 4, count, value)
