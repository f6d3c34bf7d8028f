"""Conversion of decoded pictures of any mode to 8-bit RGB in sRGB."""

import io

import numpy as np
from PIL import Image, ImageCms

_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
"""The color space that an ICC profile must have, by Pillow's mode."""


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a decoded picture to RGB in sRGB, with transparent parts on white.

    Args:
        picture: a picture of any mode, without its orientation applied.

    Returns:
        A new image of mode "RGB".
    """
    profile = picture.info.get("icc_profile")
    alpha = None
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        if isinstance(transparent := picture.info.get("transparency"), int):
            alpha = Image.fromarray(np.asarray(picture) != transparent).convert("L")
        picture = _to_8_bit_gray(picture)
    if picture.mode == "La":
        picture = picture.convert("LA")  # Pillow's only conversion of gray with premultiplied alpha
    if picture.has_transparency_data:
        grayscale = picture.mode in ("1", "L", "LA")
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("L" if grayscale else "RGB")
    elif picture.mode not in _PROFILE_SPACES:
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    photo = _to_srgb(picture, profile) or picture.convert("RGB")
    if alpha is None:
        return photo
    white = Image.new("RGB", photo.size, "white")
    white.paste(photo, mask=alpha)
    return white


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Convert colors from an ICC profile to sRGB; None if that is not needed or the profile is unusable."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _PROFILE_SPACES[picture.mode] or "sRGB" in (
            source.profile.profile_description or ""
        ):
            return None
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # a corrupt profile, or a Pillow built without LittleCMS
        return None


def _to_8_bit_gray(picture: Image.Image) -> Image.Image:
    """Convert gray of more than 8 bits to mode "L".

    White is defined by the format for 16-bit (and 12-bit) images. For 32-bit and floating-point images it is
    the smallest of 1, 255 and 65535 that is not exceeded; for signed 16-bit images, of 1, 255 and 32767. If
    all are exceeded, or values are negative, the values are stretched from the smallest to the largest. NaN
    and -inf become black, +inf white.
    """
    tags = getattr(picture, "tag_v2", {})
    bits, sample_format = tags.get(258), tags.get(339, (1,))
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        low, high = 0.0, 4095.0 if bits == (12,) else 65535.0
        values = values.astype(np.float32)
    else:
        if bits == (32,) and sample_format == (1,):
            values = values.view(np.uint32)  # Pillow has no mode for it
        values = values.astype(np.float64)  # the range of float32 values overflows float32
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        whites = (1.0, 255.0, 32767.0) if bits == (16,) else (1.0, 255.0, 65535.0)
        if low >= 0 and high <= whites[-1]:
            low, high = 0.0, next(white for white in whites if high <= white)
        values = np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values -= low
    values *= 255 / ((high - low) or 1)
    gray = np.rint(values, out=values).clip(0, 255).astype(np.uint8)
    if tags.get(262) == 0:  # TIFF's WhiteIsZero, which Pillow handles only up to 8 bits
        gray = 255 - gray
    return Image.fromarray(gray)
