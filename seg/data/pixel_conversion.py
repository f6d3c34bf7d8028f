"""Conversion of decoded pictures of any mode to 8-bit RGB in sRGB."""

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

STRIP_PIXELS = 1_000_000
"""Pixels of a strip; conversions need up to 40 bytes for each."""

_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
"""The color space that an ICC profile must have, by Pillow's mode."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a decoded picture to RGB in sRGB, with transparent parts on white.

    It is converted in strips, since some conversions need many times the memory of the pixels.

    Args:
        picture: a picture of any mode, without its orientation applied.

    Returns:
        A new image of mode "RGB".
    """
    levels = _gray_levels(picture) if _is_deep_gray(picture) else None
    profile = _Profile(picture.info.get("icc_profile"))
    photo = Image.new("RGB", picture.size)
    for box in strips(picture.width, picture.height):
        photo.paste(_strip_to_rgb(picture.crop(box), levels, profile), box)
    return photo


def strips(width: int, height: int, pixels: int = STRIP_PIXELS) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes (left, top, right, bottom) of strips of a picture, from top to bottom.

    Args:
        width: of the picture.
        height: of the picture.
        pixels: the most in a strip of more than one row.
    """
    rows = max(1, pixels // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


class _GrayLevels(NamedTuple):
    """How gray of more than 8 bits becomes 8-bit gray."""

    black: float
    white: float
    inverted: bool
    unsigned: bool
    """Whether the 32-bit integers are unsigned, for which Pillow has no mode."""


class _Profile:
    """An ICC profile of a picture; its transforms are built once."""

    def __init__(self, icc_profile: bytes | None) -> None:
        self._icc_profile = icc_profile
        self._transforms: dict[str, ImageCms.ImageCmsTransform | None] = {}

    def to_srgb(self, picture: Image.Image) -> Image.Image | None:
        """Convert colors to sRGB; None if that is not needed or the profile is unusable."""
        if not self._icc_profile:
            return None
        try:
            if picture.mode not in self._transforms:
                self._transforms[picture.mode] = self._build(picture.mode)
            transform = self._transforms[picture.mode]
            return transform.apply(picture) if transform else None
        except Exception:  # a corrupt profile, or a Pillow built without LittleCMS
            self._transforms[picture.mode] = None
            return None

    def _build(self, mode: str) -> ImageCms.ImageCmsTransform | None:
        source = ImageCms.ImageCmsProfile(io.BytesIO(self._icc_profile or b""))
        description = source.profile.profile_description or ""
        if source.profile.xcolor_space != _PROFILE_SPACES[mode] or "sRGB" in description:
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


def _strip_to_rgb(strip: Image.Image, levels: _GrayLevels | None, profile: _Profile) -> Image.Image:
    alpha = None
    if levels:
        if isinstance(transparent := strip.info.get("transparency"), int):
            alpha = Image.fromarray(np.asarray(strip) != transparent).convert("L")
        strip = _to_8_bit_gray(strip, levels)
    if strip.mode == "La":
        strip = strip.convert("LA")  # Pillow's only conversion of gray with premultiplied alpha
    if strip.has_transparency_data:
        grayscale = strip.mode in ("1", "L", "LA")
        strip = strip.convert("RGBA")
        alpha = strip.getchannel("A")
        strip = strip.convert("L" if grayscale else "RGB")
    elif strip.mode not in _PROFILE_SPACES:
        strip = strip.convert("L" if strip.mode == "1" else "RGB")
    photo = profile.to_srgb(strip) or strip.convert("RGB")
    if alpha is None:
        return photo
    white = Image.new("RGB", photo.size, "white")
    white.paste(photo, mask=alpha)
    return white


def _is_deep_gray(picture: Image.Image) -> bool:
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _gray_levels(picture: Image.Image) -> _GrayLevels:
    """Return which values of gray of more than 8 bits are black and white.

    The format defines them for images of 12 and 16 bits; black of signed images is 0, or the least value of
    the format if there are negative values. For 32-bit and floating-point images, white is the smallest of 1,
    255 and 65535 that is not exceeded. If all are exceeded, or values are negative, the values are stretched
    from the smallest to the largest.
    """
    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE)
    inverted = tags.get(_PHOTOMETRIC) == 0  # WhiteIsZero, which Pillow handles only up to 8 bits
    if picture.mode.startswith("I;16"):
        return _GrayLevels(0.0, 4095.0 if bits == (12,) else 65535.0, inverted, unsigned=False)
    unsigned = bits == (32,) and tags.get(_SAMPLE_FORMAT, (1,)) == (1,)
    low, high = np.inf, -np.inf
    for box in strips(picture.width, picture.height):
        values = _values(picture.crop(box), unsigned)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        low = high = 0.0
    if bits == (16,):  # signed; unsigned ones have a mode of their own
        low, high = 0.0 if low >= 0 else -32768.0, 32767.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
    return _GrayLevels(low, high, inverted, unsigned)


def _values(strip: Image.Image, unsigned: bool) -> np.ndarray:
    values = np.asarray(strip)
    return values.view(np.uint32) if unsigned else values


def _to_8_bit_gray(strip: Image.Image, levels: _GrayLevels) -> Image.Image:
    """Convert gray of more than 8 bits to mode "L". NaN and -inf become black, +inf white."""
    black, white = levels.black, levels.white
    values = _values(strip, levels.unsigned).astype(np.float64)  # the range of float32 overflows float32
    values = np.nan_to_num(values, copy=False, nan=black, posinf=white, neginf=black)
    values -= black
    values *= 255 / ((white - black) or 1)
    gray = np.rint(values, out=values).clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - gray if levels.inverted else gray)
