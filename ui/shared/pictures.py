"""Pictures for the browser: display sizes, resized masks, and JPEG and PNG files."""

import io

import numpy as np
from PIL import Image

from seg.inference.postprocess import nearest_indices

DISPLAY_SIDE = 2048
"""Longer side, in pixels, of displayed photos and masks. Downloaded masks have the photo's own size."""

THUMBNAIL_SIDE = 320
"""Longer side of a thumbnail in pixels."""


def fit_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Shrink a size to a maximum side length.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        side: Maximum length of the longer side in pixels.

    Returns:
        Width and height with the same aspect ratio; never enlarged.
    """
    scale = min(1, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def display_picture(picture: Image.Image) -> Image.Image:
    """Shrink a photo to the size at which pages display it."""
    # as sharp as Lanczos to the eye, in half the time
    return picture.resize(fit_size(*picture.size, DISPLAY_SIDE), Image.Resampling.HAMMING, reducing_gap=3.0)


def thumbnail(picture: Image.Image) -> Image.Image:
    """Shrink a picture to thumbnail size."""
    return picture.resize(fit_size(*picture.size, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask by nearest neighbor.

    Args:
        mask: H x W class ids.
        size: Target width and height in pixels.

    Returns:
        The mask at the target size; the same array if the size does not change.
    """
    if mask.shape == size[::-1]:
        return mask
    rows, columns = (
        nearest_indices(to, source).numpy() for to, source in zip(size[::-1], mask.shape, strict=True)
    )
    return mask[rows].take(columns, 1)


def encode_jpeg(picture: Image.Image, quality: int = 90, *, subsampling: int = -1) -> bytes:
    """Encode a picture as a JPEG file.

    Args:
        picture: RGB picture.
        quality: JPEG quality, 1 to 95.
        subsampling: Pillow's chroma subsampling; 0 keeps full color resolution.
    """
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling=subsampling)
    return out.getvalue()


def encode_png(picture: Image.Image) -> bytes:
    """Encode a picture as a PNG file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def resized_jpeg(jpeg: bytes, size: tuple[int, int]) -> bytes:
    """Resize a JPEG file.

    Args:
        jpeg: JPEG file.
        size: Target width and height in pixels.
    """
    with Image.open(io.BytesIO(jpeg)) as picture:
        return encode_jpeg(picture.resize(size, Image.Resampling.BILINEAR))


def pixels_jpeg(pixels: np.ndarray, size: tuple[int, int]) -> bytes:
    """Encode an array as a JPEG file.

    Args:
        pixels: H x W x 3 uint8.
        size: Target width and height in pixels.
    """
    return encode_jpeg(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), 88)
