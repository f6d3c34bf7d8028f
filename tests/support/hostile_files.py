"""Hostile files for the tests of the readers: damaged, mislabelled, nested and oversized files.

This module does not import PyTorch, so that the memory of reading the files can be measured.
"""

import gzip
import io
import pickle
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from tests.support.heic_files import HEIC, LARGE

Fate = Literal["photo", "refused", "either"]


class Case(NamedTuple):
    """A file and its expected fate."""

    family: str
    name: str
    data: bytes
    fate: Fate


def save(picture: Image.Image, form: str, **how) -> bytes:
    """Encodes a picture as a file."""
    out = io.BytesIO()
    picture.save(out, form, **how)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, packed: bytes, extra: bytes = b"", depth: int = 8, color: int = 0) -> bytes:
    """A PNG with this header, whatever its data."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def flat_jpeg(width: int, height: int) -> bytes:
    """A gray JPEG of any size: one row of blocks, repeated, so that its pixels are never in memory."""
    strip = save(Image.new("RGB", (width, 16), "gray"), "JPEG", restart_marker_rows=1, subsampling=2)
    frame, scan = strip.index(b"\xff\xc0"), strip.index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(strip[scan + 2 : scan + 4], "big")
    row, rows = strip[start:-2], -(-height // 16)
    head = strip[: frame + 5] + struct.pack(">H", height) + strip[frame + 7 : start]
    return (
        head
        + b"".join(row + bytes([0xFF, 0xD0 + number % 8]) for number in range(rows - 1))
        + row
        + b"\xff\xd9"
    )


def tiff_of(pages: int) -> bytes:
    """A TIFF of gray pages of 2 x 2 pixels that share their pixels."""
    tags = (
        (256, 2),
        (257, 2),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 2),
        (279, 4),
    )  # TIFF 6.0, section 4
    entries = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
    )
    size = len(entries) + 4
    offsets = [12 + size * page for page in range(pages)]
    following = [*offsets[1:], 0]
    return (
        b"II*\0"
        + struct.pack("<I", 12)
        + bytes(4)
        + b"".join(entries + struct.pack("<I", at) for at in following)
    )


def exif(orientation: int) -> Image.Exif:
    """EXIF data with this orientation."""
    tags = Image.Exif()
    tags[274] = orientation
    return tags


STREET = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize(
    (64, 48), Image.Resampling.BICUBIC
)
FILES = {
    "jpeg": save(STREET, "JPEG"),
    "progressive jpeg": save(STREET, "JPEG", progressive=True),
    "gray jpeg": save(STREET.convert("L"), "JPEG"),
    "cmyk jpeg": save(STREET.convert("CMYK"), "JPEG"),
    "png": save(STREET, "PNG"),
    "rgba png": save(STREET.convert("RGBA"), "PNG"),
    "palette png": save(STREET.convert("P"), "PNG"),
    "webp": save(STREET, "WEBP"),
    "lossless webp": save(STREET, "WEBP", lossless=True),
    "bmp": save(STREET, "BMP"),
    "tiff": save(STREET, "TIFF"),
    "lzw tiff": save(STREET, "TIFF", compression="tiff_lzw"),
    "deflated tiff": save(STREET, "TIFF", compression="tiff_adobe_deflate"),
    "gif": save(STREET, "GIF"),
    "heic": HEIC["plain"],
    "heic with alpha": HEIC["alpha"],
    "avif": save(STREET, "AVIF"),
}


def cut() -> Iterator[Case]:
    """Files cut off at various positions."""
    for name, data in FILES.items():
        places = {
            0,
            1,
            2,
            3,
            8,
            12,
            20,
            *(int(len(data) * part) for part in (0.1, 0.25, 0.5, 0.75, 0.9)),
            len(data) - 1,
        }
        for at in sorted(places):
            yield Case("cut off", f"{name} at {at}", data[:at], "refused" if at < 13 else "either")


def spoilt() -> Iterator[Case]:
    """Files with bytes changed, removed and inserted."""
    for name, data in FILES.items():
        for seed in range(6):
            dice, spoiled = random.Random(f"{name} {seed}"), bytearray(data)
            for _ in range(1 + 3 * seed):
                at = dice.randrange(len(spoiled))
                spoiled[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
            yield Case("spoilt", f"{name} {seed}", bytes(spoiled), "either")


def misnamed() -> Iterator[Case]:
    """Files that begin with the signature of another format."""
    marks = {
        "jpeg": b"\xff\xd8\xff",
        "png": b"\x89PNG\r\n\x1a\n",
        "webp": b"RIFF\x20\0\0\0WEBP",
        "gif": b"GIF89a",
        "tiff": b"II*\0",
    }
    for name, data in FILES.items():
        for disguise, mark in marks.items():
            if disguise not in name:
                yield Case("wrong beginning", f"{name} as {disguise}", mark + data[len(mark) :], "refused")


def polyglots() -> Iterator[Case]:
    """Files that are valid in two formats."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../evil.py", "raise SystemExit")
    script = b"<script>alert(1)</script>"
    for name in ("jpeg", "png", "gif", "webp", "bmp"):
        yield Case("two in one", f"{name} and zip", FILES[name] + packed.getvalue(), "photo")
        yield Case("two in one", f"{name} and script", FILES[name] + script, "photo")
        yield Case("two in one", f"script and {name}", script + FILES[name], "refused")
    yield Case("two in one", "gif that is a script", b"GIF89a/*" + FILES["gif"] + b"*/=1;alert(1)", "either")
    yield Case("two in one", "pdf and jpeg", b"%PDF-1.4\n" + FILES["jpeg"], "refused")
    text = chunk(b"tEXt", b"Comment\0<?php system($_GET[0]); ?>")
    yield Case(
        "two in one", "png with a program in it", png(4, 4, zlib.compress(b"\0aaaa" * 4), text), "photo"
    )


def bombs() -> Iterator[Case]:
    """Small files that claim, or unpack to, far too much data."""
    zeros = zlib.compress(bytes(8001 * 8000))
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (8001, 8001), (1, 64_000_001)):
        yield Case("bomb", f"png of {width} x {height}", png(width, height, zeros), "refused")
    yield Case("bomb", "png of exactly 64 megapixels", png(8000, 8000, zeros), "photo")
    yield Case("bomb", "png of more data than pixels", png(4, 4, zeros), "photo")
    yield Case("bomb", "png without its data", png(7000, 7000, b""), "refused")
    long = zlib.compress(bytes(400_000_000), 9)
    for kind, head in ((b"iCCP", b"icc\0\0"), (b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")):
        metadata = chunk(kind, head + long)
        yield Case(
            "bomb",
            f"png with an endless {kind.decode()}",
            png(4, 4, zlib.compress(b"\0aaaa" * 4), metadata),
            "either",
        )
    sof = FILES["jpeg"].index(b"\xff\xc0")
    yield Case(
        "bomb",
        "jpeg of 65,535 x 65,535",
        FILES["jpeg"][: sof + 5] + b"\xff" * 4 + FILES["jpeg"][sof + 9 :],
        "refused",
    )
    yield Case("bomb", "jpeg of 108 megapixels", flat_jpeg(12_000, 9000), "photo")
    yield Case("bomb", "jpeg of 440 megapixels", flat_jpeg(22_000, 20_000), "refused")
    yield Case("bomb", "heic of 108 megapixels", LARGE, "refused")
    at = LARGE.index(b"ispe") + 8
    small = struct.pack(">II", 48, 32)
    yield Case("bomb", "heic that is larger than it says", LARGE[:at] + small + LARGE[at + 8 :], "refused")
    yield Case(
        "bomb", "gif of 65,535 x 65,535", FILES["gif"][:6] + b"\xff" * 4 + FILES["gif"][10:], "refused"
    )
    yield Case(
        "bomb",
        "bmp of 2 billion pixels wide",
        FILES["bmp"][:18] + struct.pack("<i", 2**31 - 1) + FILES["bmp"][22:],
        "refused",
    )
    wide = save(STREET, "TIFF").replace(
        struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 2**32 - 1)
    )
    yield Case("bomb", "tiff of 4 billion pixels wide", wide, "refused")
    yield Case("bomb", "tiff of 10,000 pages", tiff_of(10_000), "photo")
    frames = [Image.new("P", (2, 2), n % 2) for n in range(5_000)]
    yield Case(
        "bomb",
        "gif of 5,000 frames",
        save(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0),
        "photo",
    )
    endless = FILES["gif"][:-1] + FILES["gif"][FILES["gif"].index(b",") : -1] * 2_000
    yield Case("bomb", "gif without an end", endless, "photo")
    around = bytearray(save(Image.new("L", (2, 2)), "TIFF"))
    first = struct.unpack("<I", around[4:8])[0]
    entries = struct.unpack("<H", around[first : first + 2])[0]
    around[first + 2 + 12 * entries : first + 6 + 12 * entries] = struct.pack("<I", first)
    yield Case("bomb", "tiff whose pages go round", bytes(around), "photo")


def shapes() -> Iterator[Case]:
    """Unusual sizes."""
    for size in ((1, 1), (1, 20_000), (20_000, 1), (2, 1), (3, 16_000)):
        for form in ("PNG", "JPEG", "BMP", "TIFF"):
            yield Case(
                "shape",
                f"{form} of {size[0]} x {size[1]}",
                save(Image.new("RGB", size, "red"), form),
                "photo",
            )


def modes() -> Iterator[Case]:
    """Every color mode."""
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "LA", "I;16"):
        gray = np.linspace(0, 60_000, 48 * 64).reshape(48, 64)
        if mode == "I;16":
            picture = Image.fromarray(gray.astype(np.uint16))
        elif mode == "LAB":
            picture = Image.merge("LAB", STREET.split())
        else:
            picture = STREET.convert("L").convert(mode) if mode in ("I", "F", "LA") else STREET.convert(mode)
        yield Case("mode", f"tiff in {mode}", save(picture, "TIFF"), "photo")
    for depth in (1, 2, 4, 8, 16):
        row = b"\0" + bytes(range(1, 1 + depth))
        yield Case("mode", f"png of {depth} bits", png(8, 4, zlib.compress(row * 4), depth=depth), "photo")
    yield Case(
        "mode", "palette and alpha", save(STREET.convert("P"), "PNG", transparency=bytes(range(256))), "photo"
    )
    for name, values in {
        "nan": [np.nan] * 4,
        "infinite": [np.inf, -np.inf, 0, 1],
        "huge": [3e38, -3e38, 0, 1],
        "tiny": [1e-45] * 4,
    }.items():
        yield Case(
            "mode",
            f"tiff of {name} numbers",
            save(Image.fromarray(np.array([values], np.float32)), "TIFF"),
            "photo",
        )


def notes() -> Iterator[Case]:
    """Metadata of pictures: orientation and color profiles."""
    kinds = {"JPEG": {}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
    for form, how in kinds.items():
        for orientation in range(1, 9):
            yield Case(
                "exif",
                f"{form} turned {orientation}",
                save(STREET, form, exif=exif(orientation), **how),
                "photo",
            )
    wrong = [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish", b"Exif\0\0", exif(77).tobytes()]
    round_and_round = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0"
    for form in ("JPEG", "PNG", "WEBP"):
        for number, block in enumerate([*wrong, round_and_round]):
            yield Case(
                "exif",
                f"{form} with corrupt exif {number}",
                save(STREET, form, exif=block, **kinds[form]),
                "photo",
            )
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in {
        "srgb": srgb,
        "lab": lab,
        "cut": srgb[:100],
        "empty": b"",
        "rubbish": b"icc" * 99,
        "zeros": bytes(500),
    }.items():
        for form in ("JPEG", "PNG", "TIFF", "WEBP"):
            yield Case(
                "color profile", f"{form} with {name}", save(STREET, form, icc_profile=profile), "photo"
            )


def strangers() -> Iterator[Case]:
    """Files that are no pictures."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
    page = "<!DOCTYPE html><html><body onload=alert(1)></body></html>"
    entity = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>'
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    padding = bytes(99)
    files = {
        "svg": svg.encode(),
        "svg in utf-16": svg.encode("utf-16"),
        "html": page.encode(),
        "html after a mark": b"\xef\xbb\xbf" + page.encode(),
        "entities": entity.encode(),
        "pdf": b"%PDF-1.7\n1 0 obj",
        "zip": packed.getvalue(),
        "gzip": gzip.compress(FILES["png"]),
        "pickle": pickle.dumps(print),
        "numpy": array.getvalue(),
        "safetensors": struct.pack("<Q", 2**60) + b'{"a":1}',
        "elf": b"\x7fELF\x02\x01\x01" + padding,
        "exe": b"MZ" + padding,
        "script": b"#!/bin/sh\nrm -rf /\n",
        "text": b"just words\n" * 9,
        "mp4": b"\0\0\0\x18ftypmp42" + padding,
        "heic": b"\0\0\0\x18ftypheic" + padding,
        "avif": b"\0\0\0\x18ftypavif" + padding,
        "raw of a camera": b"\0\0\0\x18ftypcrx " + padding,
        "wav": b"RIFF\x24\0\0\0WAVEfmt " + padding,
        "avi": b"RIFF\x24\0\0\0AVI " + padding,
        "mkv": b"\x1aE\xdf\xa3" + padding,
        "ogg": b"OggS" + padding,
        "jpeg xl": b"\xff\x0a" + padding,
        "jpeg 2000": b"\0\0\0\x0cjP  " + padding,
        "photoshop": b"8BPS" + padding,
        "icon": b"\0\0\1\0\1\0" + padding,
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "netpbm": b"P6\n2 2\n255\n" + bytes(12),
        "targa": bytes(2) + b"\2" + padding,
        "empty": b"",
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
    }
    for name, data in files.items():
        yield Case("no picture", name, data, "refused")
    for seed in range(12):
        yield Case("no picture", f"noise {seed}", random.Random(seed).randbytes(2000), "refused")


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files by name."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as archive:
        warnings.simplefilter("ignore")  # about duplicate names
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def link(to: str) -> tuple[zipfile.ZipInfo, bytes]:
    """A symbolic link in a zip."""
    info = zipfile.ZipInfo("photo.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, to.encode()


def nameless(data: bytes) -> bytes:
    """A zip of a file with an empty name, which Python's zipfile cannot write."""
    crc, size = zlib.crc32(data), len(data)
    local = (
        struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, 0, 0) + data
    )  # APPNOTE.TXT, 4.3
    listed = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, 0, 0, 0, 0, 0, 0, 0)
    return local + listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(listed), len(local), 0)


def zips() -> Iterator[Case]:
    """Zips with paths outside the archive, huge contents or odd names."""
    photo = FILES["png"]
    names = (
        "../photo.png",
        "a/../../photo.png",
        "/etc/photo.png",
        "\\\\server\\photo.png",
        "C:\\photo.png",
        "..\\photo.png",
        "a/..",
    )
    for name in names:
        yield Case("zip", f"a file named {name}", zipped((name, photo)), "refused")
    for to in ("/etc/passwd", "../../photo.png", "photo.png"):
        yield Case("zip", f"a link to {to}", zipped(link(to)), "refused")
    odd = (
        "a" * 255 + ".png",
        "\U0001f6b2.png",
        "new\nline.png",
        "<script>.png",
        "%00.png",
        "CON.png",
        "a" * 60_000,
        "\u202egnp.exe",
    )
    for name in odd:
        yield Case("zip", f"a file with the odd name {name[:20]!r}", zipped((name, photo)), "photo")
    yield Case("zip", "a file without a name", nameless(photo), "photo")
    yield Case(
        "zip",
        "names that are there twice",
        zipped(("a.png", photo), ("a.png", photo), ("A.png", photo)),
        "photo",
    )
    inner = zipped(("zeros", bytes(50_000_000)))
    for _ in range(3):
        yield Case(
            "zip",
            f"zips in zips of {len(inner)} bytes",
            inner := zipped(*((f"{n}.zip", inner) for n in range(9))),
            "refused",
        )
    yield Case("zip", "zeros that grow a thousandfold", zipped(("zeros.bmp", bytes(60_000_000))), "refused")
    yield Case(
        "zip",
        "a file of more than 64 MB",
        zipped(("big", random.Random(0).randbytes(68_000_000)), how=0),
        "refused",
    )
    yield Case("zip", "50,000 files", zipped(*((str(n), b"") for n in range(50_000)), how=0), "refused")
    yield Case("zip", "packed in another way", zipped(("a.png", photo), how=zipfile.ZIP_LZMA), "refused")
    yield Case("zip", "only folders", zipped(("a/", b""), ("b/", b"")), "refused")


def damaged_zips() -> Iterator[Case]:
    """Zips that are cut off or corrupt, or that state wrong sizes."""
    photo = FILES["png"]
    whole = zipped(("a.png", photo), ("b.png", photo))
    for at in range(0, len(whole), len(whole) // 12):
        yield Case("zip", f"cut off at {at}", whole[:at], "refused")
    for seed in range(20):
        dice, spoiled = random.Random(seed), bytearray(whole)
        for _ in range(seed + 1):
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
        yield Case("zip", f"spoilt {seed}", bytes(spoiled), "either")
    lying = bytearray(zipped(("a.png", bytes(10_000_000)), how=0))
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 20 : at + 28] = struct.pack("<II", 100, 100)
    yield Case("zip", "sizes that lie", bytes(lying), "refused")


MAKERS: tuple[Callable[[], Iterator[Case]], ...] = (
    cut,
    spoilt,
    misnamed,
    polyglots,
    bombs,
    shapes,
    modes,
    notes,
    strangers,
    zips,
    damaged_zips,
)


def corpus() -> Iterator[Case]:
    """All cases. Each is created on demand."""
    for maker in MAKERS:
        yield from maker()
