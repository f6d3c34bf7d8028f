"""Files that nobody should trust, made here, and what becomes of them: `python tests/hostile.py` prints it.

Knows nothing of PyTorch, so that what reading them takes in memory can be told.
"""

import gzip
import io
import json
import pickle
import random
import re
import resource
import struct
import sys
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from seg.archive import ArchiveError, members
from seg.photo import PhotoError, read_photo

Fate = Literal["photo", "refused", "either"]


class Case(NamedTuple):
    """A file, and what has to become of it."""

    family: str
    name: str
    data: bytes
    fate: Fate


def save(picture: Image.Image, form: str, **how) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    picture.save(out, form, **how)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, packed: bytes, extra: bytes = b"", depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header says so, whatever its data are."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff_of(pages: int) -> bytes:
    """A TIFF of grey pages of 2 x 2 pixels, which all have the same pixels."""
    tags = ((256, 2), (257, 2), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 4))  # TIFF 6.0, section 4
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    size = len(entries) + 4
    offsets = [12 + size * page for page in range(pages)]
    following = [*offsets[1:], 0]
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + b"".join(entries + struct.pack("<I", at) for at in following)


def exif(orientation: int) -> Image.Exif:
    """Says how a picture is turned."""
    found = Image.Exif()
    found[274] = orientation
    return found


STREET = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize(
    (64, 48), Image.Resampling.BICUBIC
)
FILES = {
    "jpeg": save(STREET, "JPEG"),
    "progressive jpeg": save(STREET, "JPEG", progressive=True),
    "grey jpeg": save(STREET.convert("L"), "JPEG"),
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
}


def cut() -> Iterator[Case]:
    """Files cut off at every kind of place."""
    for name, data in FILES.items():
        places = {0, 1, 2, 3, 8, 12, 20, *(int(len(data) * part) for part in (0.1, 0.25, 0.5, 0.75, 0.9)), len(data) - 1}
        for at in sorted(places):
            yield Case("cut off", f"{name} at {at}", data[:at], "refused" if at < 13 else "either")


def spoilt() -> Iterator[Case]:
    """Files with bytes changed, taken out and put in."""
    for name, data in FILES.items():
        for seed in range(6):
            dice, spoiled = random.Random(f"{name} {seed}"), bytearray(data)
            for _ in range(1 + 3 * seed):
                at = dice.randrange(len(spoiled))
                spoiled[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
            yield Case("spoilt", f"{name} {seed}", bytes(spoiled), "either")


def misnamed() -> Iterator[Case]:
    """Files that begin as another kind does."""
    marks = {
        "jpeg": b"\xff\xd8\xff",
        "png": b"\x89PNG\r\n\x1a\n",
        "webp": b"RIFF\x20\0\0\0WEBP",
        "gif": b"GIF89a",
        "tiff": b"II*\0",
    }
    for name, data in FILES.items():
        for other, mark in marks.items():
            if other not in name:
                yield Case("wrong beginning", f"{name} as {other}", mark + data[len(mark) :], "refused")


def polyglots() -> Iterator[Case]:
    """Files that are two things at once."""
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
    yield Case("two in one", "png with a program in it", png(4, 4, zlib.compress(b"\0aaaa" * 4), text), "photo")


def bombs() -> Iterator[Case]:
    """Small files that claim, or become, far too much."""
    zeros = zlib.compress(bytes(8001 * 8000))
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (8001, 8001), (1, 64_000_001)):
        yield Case("bomb", f"png of {width} x {height}", png(width, height, zeros), "refused")
    yield Case("bomb", "png of exactly 64 megapixels", png(8000, 8000, zeros), "photo")
    yield Case("bomb", "png of more data than pixels", png(4, 4, zeros), "photo")
    yield Case("bomb", "png without its data", png(7000, 7000, b""), "refused")
    long = zlib.compress(bytes(400_000_000), 9)
    for kind, head in ((b"iCCP", b"icc\0\0"), (b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")):
        said = chunk(kind, head + long)
        yield Case("bomb", f"png with an endless {kind.decode()}", png(4, 4, zlib.compress(b"\0aaaa" * 4), said), "either")
    sof = FILES["jpeg"].index(b"\xff\xc0")
    yield Case("bomb", "jpeg of 65,535 x 65,535", FILES["jpeg"][: sof + 5] + b"\xff" * 4 + FILES["jpeg"][sof + 9 :], "refused")
    yield Case("bomb", "gif of 65,535 x 65,535", FILES["gif"][:6] + b"\xff" * 4 + FILES["gif"][10:], "refused")
    yield Case(
        "bomb", "bmp of 2 billion pixels wide", FILES["bmp"][:18] + struct.pack("<i", 2**31 - 1) + FILES["bmp"][22:], "refused"
    )
    wide = save(STREET, "TIFF").replace(struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, 2**32 - 1))
    yield Case("bomb", "tiff of 4 billion pixels wide", wide, "refused")
    yield Case("bomb", "tiff of 10,000 pages", tiff_of(10_000), "photo")
    frames = [Image.new("P", (2, 2), n % 2) for n in range(5_000)]
    yield Case("bomb", "gif of 5,000 frames", save(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0), "photo")
    endless = FILES["gif"][:-1] + FILES["gif"][FILES["gif"].index(b",") : -1] * 2_000
    yield Case("bomb", "gif without an end", endless, "photo")
    around = bytearray(save(Image.new("L", (2, 2)), "TIFF"))
    first = struct.unpack("<I", around[4:8])[0]
    entries = struct.unpack("<H", around[first : first + 2])[0]
    around[first + 2 + 12 * entries : first + 6 + 12 * entries] = struct.pack("<I", first)
    yield Case("bomb", "tiff whose pages go round", bytes(around), "photo")


def shapes() -> Iterator[Case]:
    """Sizes that nobody expects."""
    for size in ((1, 1), (1, 20_000), (20_000, 1), (2, 1), (3, 16_000)):
        for form in ("PNG", "JPEG", "BMP", "TIFF"):
            yield Case("shape", f"{form} of {size[0]} x {size[1]}", save(Image.new("RGB", size, "red"), form), "photo")


def modes() -> Iterator[Case]:
    """Every way to say a colour."""
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "LA", "I;16"):
        grey = np.linspace(0, 60_000, 48 * 64).reshape(48, 64)
        if mode == "I;16":
            picture = Image.fromarray(grey.astype(np.uint16))
        elif mode == "LAB":
            picture = Image.merge("LAB", STREET.split())
        else:
            picture = STREET.convert("L").convert(mode) if mode in ("I", "F", "LA") else STREET.convert(mode)
        yield Case("mode", f"tiff in {mode}", save(picture, "TIFF"), "photo")
    for depth in (1, 2, 4, 8, 16):
        row = b"\0" + bytes(range(1, 1 + depth))
        yield Case("mode", f"png of {depth} bits", png(8, 4, zlib.compress(row * 4), depth=depth), "photo")
    yield Case("mode", "palette and alpha", save(STREET.convert("P"), "PNG", transparency=bytes(range(256))), "photo")
    for name, values in {
        "nan": [np.nan] * 4,
        "infinite": [np.inf, -np.inf, 0, 1],
        "huge": [3e38, -3e38, 0, 1],
        "tiny": [1e-45] * 4,
    }.items():
        yield Case("mode", f"tiff of {name} numbers", save(Image.fromarray(np.array([values], np.float32)), "TIFF"), "photo")


def notes() -> Iterator[Case]:
    """What pictures say of themselves: how they are turned, and in what colours."""
    kinds = {"JPEG": {}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
    for form, how in kinds.items():
        for orientation in range(1, 9):
            yield Case("exif", f"{form} turned {orientation}", save(STREET, form, exif=exif(orientation), **how), "photo")
    wrong = [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish", b"Exif\0\0", exif(77).tobytes()]
    round_and_round = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0"
    for form in ("JPEG", "PNG", "WEBP"):
        for number, block in enumerate([*wrong, round_and_round]):
            yield Case("exif", f"{form} with corrupt exif {number}", save(STREET, form, exif=block, **kinds[form]), "photo")
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
            yield Case("colour profile", f"{form} with {name}", save(STREET, form, icc_profile=profile), "photo")


def strangers() -> Iterator[Case]:
    """What is no picture at all."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
    page = "<!DOCTYPE html><html><body onload=alert(1)></body></html>"
    entity = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>'
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    rest = bytes(99)
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
        "elf": b"\x7fELF\x02\x01\x01" + rest,
        "exe": b"MZ" + rest,
        "script": b"#!/bin/sh\nrm -rf /\n",
        "text": b"just words\n" * 9,
        "mp4": b"\0\0\0\x18ftypmp42" + rest,
        "heic": b"\0\0\0\x18ftypheic" + rest,
        "avif": b"\0\0\0\x18ftypavif" + rest,
        "raw of a camera": b"\0\0\0\x18ftypcrx " + rest,
        "wav": b"RIFF\x24\0\0\0WAVEfmt " + rest,
        "avi": b"RIFF\x24\0\0\0AVI " + rest,
        "mkv": b"\x1aE\xdf\xa3" + rest,
        "ogg": b"OggS" + rest,
        "jpeg xl": b"\xff\x0a" + rest,
        "jpeg 2000": b"\0\0\0\x0cjP  " + rest,
        "photoshop": b"8BPS" + rest,
        "icon": b"\0\0\1\0\1\0" + rest,
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "netpbm": b"P6\n2 2\n255\n" + bytes(12),
        "targa": bytes(2) + b"\2" + rest,
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
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def link(to: str) -> tuple[zipfile.ZipInfo, bytes]:
    """A symbolic link in a zip."""
    info = zipfile.ZipInfo("photo.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, to.encode()


def nameless(data: bytes) -> bytes:
    """A zip of a file whose name is empty, which Python's zipfile does not write."""
    crc, size = zlib.crc32(data), len(data)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, 0, 0) + data  # APPNOTE.TXT, 4.3
    listed = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, 0, 0, 0, 0, 0, 0, 0)
    return local + listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(listed), len(local), 0)


def zips() -> Iterator[Case]:
    """Zips that lead out, that grow, that lie."""
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
    yield Case("zip", "names that are there twice", zipped(("a.png", photo), ("a.png", photo), ("A.png", photo)), "photo")
    inner = zipped(("zeros", bytes(50_000_000)))
    for _ in range(3):
        yield Case(
            "zip", f"zips in zips of {len(inner)} bytes", inner := zipped(*((f"{n}.zip", inner) for n in range(9))), "refused"
        )
    yield Case("zip", "zeros that grow a thousandfold", zipped(("zeros.bmp", bytes(60_000_000))), "refused")
    yield Case("zip", "a file of more than 64 MB", zipped(("big", random.Random(0).randbytes(68_000_000)), how=0), "refused")
    yield Case("zip", "50,000 files", zipped(*((str(n), b"") for n in range(50_000)), how=0), "refused")
    yield Case("zip", "packed in another way", zipped(("a.png", photo), how=zipfile.ZIP_LZMA), "refused")
    yield Case("zip", "only folders", zipped(("a/", b""), ("b/", b"")), "refused")
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
)


def corpus() -> Iterator[Case]:
    """All of them; each is made when it is asked for."""
    for maker in MAKERS:
        yield from maker()


def is_a_sentence(said: str) -> bool:
    """Whether this is something to say to a person: one or two sentences, and nothing of the program's own."""
    return bool(re.fullmatch(r'[A-Z"][^\n]{10,300}\.|[A-Z"][^\n]{10,300}picture', said)) and not re.search(
        r"Error|Traceback|0x|line \d", said
    )


def read(data: bytes) -> str:
    """What becomes of a photo's file."""
    photo = read_photo(data)
    return "photo" if photo.mode == "RGB" and not photo.info else "strange photo"


def unpack(data: bytes) -> str:
    """What becomes of a zip: its files are photos if one of them is handed out."""
    errors, fate = [], "refused"
    for _, member in members(io.BytesIO(data)):
        errors += [member.error] * bool(member.error)
        fate = fate if member.error else "photo"
    return next((told for told in map(refused, errors) if told != "refused"), fate)


def refused(said: str) -> str:
    """What becomes of what is refused, by what is said."""
    return "refused" if is_a_sentence(said) else f"refused, but not in a sentence: {said}"


def survey() -> dict:
    """What became of all: counts by family and fate, what went wrong, and the longest time and the memory that it took."""
    counts, wrong, slowest = Counter(), [], ("", 0.0)
    warnings.simplefilter("ignore")  # Pillow's, of what it finds in them
    read_photo(FILES["jpeg"])
    for case in corpus():
        began = time.perf_counter()
        try:
            fate = unpack(case.data) if case.family == "zip" else read(case.data)
        except (PhotoError, ArchiveError) as error:
            fate = refused(str(error))
        except BaseException as error:
            fate = f"{type(error).__name__}: {error}"
        slowest = max(slowest, (case.name, time.perf_counter() - began), key=lambda one: one[1])
        counts[case.family, fate] += 1
        if fate != case.fate and not (case.fate == "either" and fate in ("photo", "refused")):
            wrong.append((case.family, case.name, fate))
    return {
        "cases": sum(counts.values()),
        "counts": [(family, fate, n) for (family, fate), n in counts.items()],
        "wrong": wrong,
        "slowest": slowest,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    found = survey()
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(found))
        return
    print(f"\n## {found['cases']} hostile files\n\n| family | read as a photo | refused with a sentence |\n|---|---|---|")
    counts = {(family, fate): n for family, fate, n in found["counts"]}
    for family in dict.fromkeys(family for family, _ in counts):
        print(f"| {family} | {counts.get((family, 'photo'), 0)} | {counts.get((family, 'refused'), 0)} |")
    name, took = found["slowest"]
    print(f"\nOtherwise than they should: {len(found['wrong'])}. The slowest took {took:.1f} s ({name}).")
    print(f"At most {found['peak_mb']:.0f} MB were held, the reader and the corpus included.")


if __name__ == "__main__":
    main()
