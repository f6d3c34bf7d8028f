"""Reading of image files: `read_photo` returns an upright RGB photo in sRGB, or raises a clear error.

The format is detected from the content of a file, never from its name.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pi_heif
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.JpegImagePlugin import JpegImageFile

from seg.data import jpeg_header, tiff
from seg.data.file_types import HEAD_BYTES, READABLE_FORMATS, PictureFormat, picture_format, unsupported_type
from seg.data.pixel_conversion import to_rgb
from seg.errors import StreetFCNError

MAX_MEGAPIXELS = 64
"""Size of the largest photo that `read_photo` returns. Larger files are reduced while they are decoded, or
refused by their header, before any pixel is decoded."""

MAX_REDUCED_MEGAPIXELS = 400
"""Size of the largest JPEG that is reduced."""

SIZE_LIMIT = (
    f"up to {MAX_MEGAPIXELS} megapixels; JPEGs up to {MAX_REDUCED_MEGAPIXELS} megapixels are reduced while"
    " they are read"
)
"""The limits, for help texts."""

MAX_COEFFICIENT_BYTES = 6 * MAX_MEGAPIXELS * 1_000_000
"""Memory for the coefficients of a progressive JPEG that is reduced: as much as 64 megapixels without chroma
subsampling need."""

READING_SECONDS = 30
"""Processor time for reading an untrusted picture. One of the permitted size needs a few seconds."""

TOO_MUCH_MEMORY = "Reading this picture takes more memory than is available; save it smaller, or as JPEG."

REDUCED_FROM = "reduced_from"
"""The key in `Image.info` of the original (width, height) of a photo that was reduced while it was read."""

EXIF_ORIENTATION = "exif_orientation"
"""The key in `Image.info` of the EXIF orientation that was applied to a photo."""

_NAMES: dict[PictureFormat, str] = {"WEBP": "WebP", "HEIF": "HEIC"}
"""Names of the formats in messages, where they differ from Pillow's."""

_GRAY_STEPS = {"L;2": 85, "L;4": 17}
"""Difference between two gray levels of a PNG after decoding, by Pillow's raw mode."""

_ORIENTATION = 274
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that makes an image upright, by EXIF orientation."""
_SWAPPING = {_TRANSPOSE[orientation] for orientation in (5, 6, 7, 8)}
"""The operations that swap width and height."""

_UNSUPPORTED_VARIANT = ("Unsupported", "not been built in")
"""Words in the errors of Pillow and libheif for intact files."""

# only the pixels are needed
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


HEADER_BYTES = 2**18
"""Bytes that hold the header of most pictures."""


class PhotoError(StreetFCNError, ValueError):
    """The file cannot be used as a photo. The message names the problem and a remedy in one sentence."""


def read_photo(source: bytes | str | Path, reduce_large: bool = True) -> Image.Image:
    """Read the first image of a JPEG, PNG, WebP, HEIC, AVIF, BMP, TIFF or GIF file.

    The EXIF orientation is applied, colors are converted to sRGB if the file has a color profile, transparent
    parts are placed on white, and gray of more than 8 bits is scaled to 0-255. A corrupt EXIF block or color
    profile is ignored; a file that ends before its pixels do is refused. (Damage within a JPEG remains
    undetected: its decoder conceals it.)

    Args:
        source: the content of the file, or its path.
        reduce_large: reduce a JPEG of more than `MAX_MEGAPIXELS` to a half, a quarter or an eighth of its
            width and height while it is decoded; otherwise it is refused.

    Returns:
        An image of mode "RGB" without metadata. If it was reduced, `reduced_from` returns its original size.

    Raises:
        PhotoError: if the file cannot be used, whatever its content; no other exception is raised.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), reduce_large)
    source = Path(source)
    try:
        if not source.exists():
            raise PhotoError(f"There is no file {source}; check its name and folder.")
        if not source.is_file():
            raise PhotoError(f"{source} is a folder or a device; choose a picture file instead.")
        with source.open("rb") as file:
            return _read(file, reduce_large)
    except PhotoError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise PhotoError(
            f"The file {source} cannot be opened ({error}); check that you may read it."
        ) from error


def read_size(data: bytes) -> tuple[int, int]:
    """Return the upright width and height of a picture, from its header.

    Args:
        data: the content of the file.

    Raises:
        PhotoError: if the file is not a picture that `read_photo` can read without reducing it, as far as the
            header shows.
    """
    file = io.BytesIO(data)
    with _user_errors(_format_of(file)) as image_format:
        picture = _open(file, image_format)
        _limit_size(picture, reduce_large=False)
        turned = _TRANSPOSE.get(_orientation(picture)) in _SWAPPING
        return picture.size[::-1] if turned else picture.size


def check_header(data: bytes) -> None:
    """Check that the header of a file is that of a picture that `read_photo` reads; no pixel is decoded.

    Args:
        data: the content of the file.

    Raises:
        PhotoError: if it is not. The pixels may be damaged nevertheless.
    """
    try:
        _check_header(data[:HEADER_BYTES])
    except PhotoError:  # some files have tags or tables at their end
        _check_header(data)


def _check_header(data: bytes) -> None:
    file = io.BytesIO(data)
    with _user_errors(_format_of(file)) as image_format:
        _limit_size(_open(file, image_format), reduce_large=True)


def reduced_from(photo: Image.Image) -> tuple[int, int] | None:
    """Return the upright width and height of a photo in its file if `read_photo` reduced it, else None."""
    return photo.info.get(REDUCED_FROM)


def exif_orientation(photo: Image.Image) -> int:
    """Return the EXIF orientation (1 to 8) that `read_photo` applied; 1 if the file has none."""
    return photo.info.get(EXIF_ORIENTATION, 1)


def reduction_note(photo: Image.Image) -> str:
    """Return a sentence for the user if `read_photo` reduced a photo, else an empty string."""
    original = reduced_from(photo)
    if original is None:
        return ""
    return (
        f"The photo was reduced from {original[0]:,} × {original[1]:,} to {photo.width:,} × {photo.height:,}"
        f" pixels, because {MAX_MEGAPIXELS} megapixels are the most. Its masks have the reduced size."
    )


def _read(file: BinaryIO, reduce_large: bool) -> Image.Image:
    with _user_errors(_format_of(file)) as image_format:
        picture = _open(file, image_format)
        size = picture.size
        _limit_size(picture, reduce_large)
        orientation = _orientation(picture)
        picture.load()
        if image_format == "AVIF":
            picture = picture.copy()  # the file object keeps the pixels of the decoder
        if image_format == "BMP" and picture.mode == "RGBA" and not picture.getchannel("A").getextrema()[1]:
            picture = picture.convert("RGB")  # the fourth byte is unused, as in most 32-bit BMPs
        # read after loading (PNG may store it after the pixels; Pillow has then turned a TIFF) and applied
        # after the conversion, which drops it
        transpose = _TRANSPOSE.get(_orientation(picture))
        orientation = max(orientation, _orientation(picture))
        photo = to_rgb(picture)
        photo = photo.transpose(transpose) if transpose is not None else photo
    if picture.size != size:
        photo.info[REDUCED_FROM] = size[::-1] if transpose in _SWAPPING else size
    if orientation in _TRANSPOSE:
        photo.info[EXIF_ORIENTATION] = orientation
    return photo


def _format_of(file: BinaryIO) -> PictureFormat:
    """Return the format of a file and go back to its beginning. Raises `PhotoError` if it is no picture."""
    head = file.read(HEAD_BYTES)
    if not head:
        raise PhotoError("The file is empty; save or download the picture again.")
    file.seek(0)
    if image_format := picture_format(head):
        return image_format
    if file_type := unsupported_type(head):
        raise _unsupported(file_type.description, file_type.remedy)
    raise PhotoError(
        f"This file is not a picture as far as its content shows; choose a {READABLE_FORMATS} picture."
    )


@contextmanager
def _user_errors(image_format: PictureFormat) -> Iterator[PictureFormat]:
    """Turn what a decoder raises into a `PhotoError`."""
    name = _NAMES.get(image_format, image_format)
    try:
        yield image_format
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoError(TOO_MUCH_MEMORY) from error
    except tiff.UnsupportedTiffError as error:
        raise _unsupported(str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own limits are higher than ours
        raise _too_large("far too many pixels") from error
    except Exception as error:  # Pillow's plugins raise a dozen types for broken files
        if any(phrase in str(error) for phrase in _UNSUPPORTED_VARIANT):
            raise _unsupported(f"a {name} picture of a rare variant") from error
        raise PhotoError(f"This {name} picture is cut off or damaged; save or download it again.") from error


def _open(file: BinaryIO, image_format: PictureFormat) -> Image.Image:
    """Read the header of a picture. Raises `PhotoError` if the variant of the format cannot be read."""
    if image_format == "JPEG":
        frame = jpeg_header.read_frame(file)
        if frame and frame.unsupported:
            raise _unsupported(frame.unsupported)
        if jpeg_header.has_many_scans(file):
            raise _unsupported(f"a JPEG of more than {jpeg_header.MAX_SCANS} scans")
        file.seek(0)
        return JpegImageFile(file)  # Image.open would refuse more than 179 megapixels, and open MPO files
    if image_format == "TIFF":
        return tiff.open_tiff(file)
    if image_format == "HEIF":
        return pi_heif.HeifImageFile(file)
    if image_format == "AVIF":
        avif = AvifImageFile(file)  # Image.open knows the most usual brands only
        # Pillow sets the orientation in EXIF to that of the container, which is the only valid one
        avif.info.pop("xmp", None)
        return avif
    picture = Image.open(file, formats=[image_format])
    if image_format == "PNG" and picture.tile[0].args in _GRAY_STEPS and "transparency" in picture.info:
        picture.info["transparency"] *= _GRAY_STEPS[picture.tile[0].args]  # Pillow scales only the pixels
    return picture


def _limit_size(picture: Image.Image, reduce_large: bool) -> None:
    """Let the decoder reduce a picture that is too large. Raises `PhotoError` if it cannot."""
    pixels = picture.width * picture.height
    if pixels <= MAX_MEGAPIXELS * 1_000_000:
        return
    size = f"{picture.width} x {picture.height} pixels"
    if not reduce_large or not isinstance(picture, JpegImageFile):
        raise _too_large(size)
    assert picture.fp
    frame = jpeg_header.read_frame(picture.fp)
    if pixels > MAX_REDUCED_MEGAPIXELS * 1_000_000 or not frame:
        raise _too_large(size)
    if frame.coefficient_bytes > MAX_COEFFICIENT_BYTES:
        raise PhotoError(
            f"The picture has {size} and is a progressive JPEG, which cannot be reduced at this size; save it"
            " smaller, or as a baseline JPEG."
        )
    factor = next(f for f in (2, 4, 8) if pixels / f**2 <= MAX_MEGAPIXELS * 1_000_000)
    picture.draft(None, (picture.width // factor, picture.height // factor))


def _unsupported(description: str, remedy: str = "convert it to JPEG or PNG and try again") -> PhotoError:
    return PhotoError(f"This looks like {description}, which cannot be read here; {remedy}.")


def _too_large(size: str) -> PhotoError:
    return PhotoError(
        f"The picture has {size}, and {MAX_MEGAPIXELS} megapixels are the most"
        f" ({MAX_REDUCED_MEGAPIXELS} in a JPEG, which is reduced); make it smaller, or save it as JPEG."
    )


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation that is still to be applied; 1 for none."""
    if isinstance(picture, pi_heif.HeifImageFile):
        return 1  # its decoder has turned it; EXIF may say so once more (ISO 23008-12, 6.5.10)
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a corrupt EXIF block: the pixels may be intact
        return 1
