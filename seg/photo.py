"""Any picture file -> one upright RGB photo, or a clear error.

What a file is, is told from its content, never from its name. This module knows nothing about networks, pages or the rest of seg.
"""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

MAX_MEGAPIXELS = 64
"""Larger pictures are refused from their header, before a pixel is decoded."""

_FORMATS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WEBP": (b"RIFF",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "GIF": (b"GIF87a", b"GIF89a"),
}
"""Pillow's name of each format that is read -> how its files begin."""

_READABLE = "a JPEG, PNG, WebP, BMP, TIFF or GIF picture"

_OTHERS = (
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"8BPS", "a Photoshop document"),
    (8, b"CR\x02", "a camera's raw file"),
    (8, b"WAVE", "a sound file"),
    (8, b"AVI ", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"FLV\x01", "a video"),
    (0, b"OggS", "a video or sound file"),
    (0, b"\0\0\x01\xba", "a video"),
    (0, b"\0\0\x01\xb3", "a video"),
    (4, b"moov", "a video"),
    (4, b"mdat", "a video"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a compressed file"),
)
"""(offset, bytes there, what such a file is): what people upload by mistake."""

_BRANDS = {b"heic": "a HEIC picture", b"heix": "a HEIC picture", b"mif1": "a HEIC picture", b"msf1": "a HEIC picture"}
_BRANDS |= {b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"crx ": "a camera's raw file"}
"""The major brand of an ISO media file (ISO 14496-12) that is no video."""

_ORIENTATION = 274
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
"""Pillow's mode -> the colour space an ICC profile must be for."""


class PhotoError(ValueError):
    """The file gives no photo. The message is one sentence for the person who chose it: what is wrong and how to mend it."""


def read_photo(source: bytes | Path) -> Image.Image:
    """Read the first picture of a JPEG, PNG, WebP, BMP, TIFF or GIF file, given as its bytes or its path.

    -> mode "RGB", upright as EXIF says, in sRGB where the file has a colour profile, transparent parts over white, without
    metadata. Grey of more than 8 bits becomes 0-255 (see ``_grey``). A corrupt EXIF block or colour profile is ignored; a file
    that ends before its pixels do is not. (Damage in the middle of a JPEG goes unseen: its decoder fills in.)
    Raises PhotoError, and nothing else, whatever the bytes are.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source))
    try:
        if not source.exists():
            raise PhotoError(f"There is no file {source}; check its name and folder.")
        if not source.is_file():
            raise PhotoError(f"{source} is a folder or a device; choose a picture file instead.")
        with source.open("rb") as file:
            return _read(file)
    except PhotoError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise PhotoError(f"The file {source} cannot be opened ({error}); check that you may read it.") from error


def _read(file: BinaryIO) -> Image.Image:
    head = file.read(1024)
    if not head:
        raise PhotoError("The file is empty; save or download the picture again.")
    if other := _looks_like(head):
        raise _other_kind(other)
    known = next((name for name, starts in _FORMATS.items() if head.startswith(starts)), None)
    if not known:
        raise PhotoError(f"This file is not a picture as far as its content shows; choose {_READABLE}.")
    try:
        picture = Image.open(file, formats=[known])
        # A picture's first page said to be a "reduced-resolution image" is the thumbnail of a DNG, NEF or ARW file.
        if isinstance(picture, TiffImageFile) and picture.tag_v2.get(254) == 1:
            raise _other_kind("a camera's raw file")
        if picture.width * picture.height > MAX_MEGAPIXELS * 1_000_000:
            raise _too_large(f"{picture.width} x {picture.height} pixels")
        picture.load()
        # The orientation is asked for after loading (PNG may store it after the pixels; Pillow has turned a TIFF by then),
        # and obeyed after the conversion, which drops it.
        turn = _turn(picture)
        photo = _rgb(picture)
        photo = photo.transpose(turn) if turn is not None else photo
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own limits lie above ours
        raise _too_large("far too many pixels") from error
    except Exception as error:  # Pillow's plugins raise a dozen kinds for broken files, MemoryError among them
        raise PhotoError(f"This {known} picture is cut off or damaged; save or download it again.") from error
    photo.info.clear()  # or saving it again would write the old profile and EXIF
    return photo


def _other_kind(what: str) -> PhotoError:
    return PhotoError(f"This looks like {what}, which cannot be read here; convert it to JPEG or PNG and try again.")


def _too_large(size: str) -> PhotoError:
    return PhotoError(f"The picture has {size}, and {MAX_MEGAPIXELS} megapixels are the most; make it smaller and try again.")


def _looks_like(head: bytes) -> str | None:
    """What a file of a kind that is not read seems to be, from its first bytes."""
    if b"%PDF-" in head and not head.startswith(tuple(s for starts in _FORMATS.values() for s in starts)):
        return "a PDF document"  # its mark may come after some rubbish
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a video")
    if head.startswith(b"RIFF") and head[8:12] not in (b"WEBP", b"WAVE", b"AVI "):
        return "a sound file or a video"
    for offset, mark, what in _OTHERS:
        if head[offset:].startswith(mark):
            return what
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()  # zeros and FF FE: UTF-16
    if text.startswith(b"<"):
        if b"<svg" in text and b"<html" not in text:
            return "an SVG drawing"
        if b"<html" in text or b"<!doctype html" in text:
            return "a web page"
    return None


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a corrupt EXIF block says nothing; the pixels may be whole
        return None


def _rgb(picture: Image.Image) -> Image.Image:
    """A loaded picture of any mode -> RGB in sRGB, over white."""
    profile = picture.info.get("icc_profile")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _grey(picture)
    alpha = None
    if picture.mode == "La":
        picture = picture.convert("LA")  # the only way that Pillow knows out of grey multiplied by its alpha
    if picture.has_transparency_data:
        colourless = picture.mode in ("1", "L", "LA")
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("L" if colourless else "RGB")
    elif picture.mode not in _PROFILE_SPACES:
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    photo = _srgb(picture, profile) or picture.convert("RGB")
    if alpha is None:
        return photo
    white = Image.new("RGB", photo.size, "white")
    white.paste(photo, mask=alpha)
    return white


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The colours as the ICC profile means them, in sRGB; None where there is nothing to do or the profile is of no use."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _PROFILE_SPACES[picture.mode] or "sRGB" in (source.profile.profile_description or ""):
            return None
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # corrupt, or a Pillow built without LittleCMS
        return None


def _grey(picture: Image.Image) -> Image.Image:
    """Grey of more than 8 bits -> mode "L".

    16-bit (and 12-bit) pictures have their white in the format. 32-bit and floating-point ones do not: white is the smallest of
    1, 255 and 65535 that holds the largest value; where none does, or values are negative, they are stretched from the smallest
    to the largest. nan becomes black, infinities black and white.
    """
    tags = getattr(picture, "tag_v2", {})
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        low, high = 0.0, 4095.0 if tags.get(258) == (12,) else 65535.0
        values = values.astype(np.float32)
    else:
        values = values.astype(np.float64)  # float32 overflows between its own extremes
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        if low >= 0 and high <= 65535:
            low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
        values = np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values -= low
    values *= 255 / ((high - low) or 1)
    grey = np.rint(values, out=values).clip(0, 255).astype(np.uint8)
    if tags.get(262) == 0:  # TIFF's WhiteIsZero, which Pillow undoes only up to 8 bits
        grey = 255 - grey
    return Image.fromarray(grey)
