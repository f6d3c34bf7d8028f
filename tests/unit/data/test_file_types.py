"""Files that are no readable photos get a message that names what they are and what to do."""

import base64
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from seg.data.image_io import PhotoError, read_photo
from tests.support import hostile_files as hostile


def isobmff(major: bytes, *compatible: bytes) -> bytes:
    """The beginning of an ISO media file with these brands."""
    body = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + b"\0\0\0\x08free" + bytes(64)


def box(name: bytes, body: bytes = bytes(100)) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def packets(length: int, first_sync: int, count: int = 8) -> bytes:
    """A transport stream; its packets may begin with a timestamp or end with parity bytes."""
    packet = bytearray(np.random.default_rng(0).integers(0, 256, length, dtype=np.uint8).tobytes())
    packet[first_sync] = 0x47
    return bytes(packet) * count


VIDEOS = {
    **{f"mp4 of brand {brand!r}": isobmff(brand, b"isom") for brand in (b"isom", b"mp42", b"avc1", b"iso8")},
    **{f"3gp of brand {brand!r}": isobmff(brand, b"3gp4") for brand in (b"3gp4", b"3gp5", b"3g2a", b"3gs7")},
    "quicktime": isobmff(b"qt  "),
    "m4v": isobmff(b"M4V ", b"mp42"),
    "sony": isobmff(b"XAVC", b"mp42"),
    "sony memory stick": isobmff(b"MSNV"),
    "unknown brand": isobmff(b"abcd"),
    **{f"box {name!r}": box(name) for name in (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")},
    **{f"fragment {name!r}": box(name) for name in (b"styp", b"moof", b"sidx")},
    "64-bit box": b"\0\0\0\x01mdat" + bytes(100),
    "transport stream": packets(188, 0),
    "m2ts with timestamps": packets(192, 4),
    "transport stream with parity": packets(204, 0),
    "cut transport stream": packets(188, 0, 2),
    "program stream": b"\0\0\x01\xba" + bytes(100),
    "system header": b"\0\0\x01\xbb" + bytes(100),
    "mpeg-2 video": b"\0\0\x01\xb3" + bytes(100),
    "mpeg-4 video": b"\0\0\x01\xb0" + bytes(100),
    "h264": b"\0\0\0\x01\x67\x64\0\x1f" + bytes(100),
    "h264 with a short start code": b"\0\0\x01\x67\x64\0\x1f" + bytes(100),
    "h264 with a delimiter": b"\0\0\0\x01\x09\xf0" + bytes(100),
    "h265": b"\0\0\0\x01\x40\x01\x0c\x01" + bytes(100),
    "avi": b"RIFF\x24\0\0\0AVI LIST",
    "long avi": b"RIFF\x24\0\0\0AVIXLIST",
    "asf or wmv": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "flv": b"FLV\x01\x05",
    "matroska": b"\x1aE\xdf\xa3\x01",
    "mxf": bytes.fromhex("060e2b34020501010d010201"),
    "ogg": b"OggS\0",
    "real media": b".RMF\0\0",
    "wtv": bytes.fromhex("b7d800203749da11a64e0007e95ead8d"),
    "dv": b"\x1f\x07\x00\xbf",
    "y4m": b"YUV4MPEG2 W64 H48",
}


@pytest.mark.parametrize("kind", VIDEOS)
def test_video_containers_are_named(kind):
    with pytest.raises(PhotoError, match="looks like a video.*save single frames of it as JPEG or PNG"):
        read_photo(VIDEOS[kind])


OTHERS = {
    "a HEIF picture with a rare compression": [
        isobmff(b, b"mif1") for b in (b"vvic", b"avci", b"j2ki", b"jpeg")
    ],
    "a camera's raw file": [
        isobmff(b"crx ", b"crx ", b"isom"),
        b"II*\0\x10\0\0\0CR\x02\0",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"FOVb\x01\0",
        b"\0MRM\0\0",
    ],
    "a JPEG XL picture": [b"\xff\x0a\x01", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "a JPEG 2000 picture": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0"],
    "a JPEG XR picture": [b"II\xbc\x01\x08\0"],
    "a sound file": [
        isobmff(b"M4A ", b"mp42"),
        b"ID3\x03",
        b"\xff\xfb\x90",
        b"fLaC",
        b"RIFF\x24\0\0\0WAVEfmt ",
    ],
    "an archive": [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01", bytes(257) + b"ustar\0"],
    "a compressed file": [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"],
    "a Netpbm picture": [b"P6\n2 2\n255\n"],
    "a PostScript document": [b"%!PS-Adobe-3.0", b"\xc5\xd0\xd3\xc6"],
    "an OpenEXR picture": [b"\x76\x2f\x31\x01\x02"],
    "an icon": [b"\0\0\1\0\1\0"],
    "a DICOM picture": [bytes(128) + b"DICM"],
}


@pytest.mark.parametrize("description", OTHERS)
def test_other_files_are_named_with_a_remedy(description):
    for data in OTHERS[description]:
        with pytest.raises(PhotoError, match=f"looks like {description}, which cannot be read here; [a-z]"):
            read_photo(data)


@pytest.mark.parametrize(
    "data",
    [b"G" + bytes(900), b"Go to bed" * 99, b"\0\0\0\x01" + bytes(90), b"\0\0\x01" + bytes(90), b"\xff" * 900],
)
def test_other_bytes_are_not_taken_for_a_video(data):
    with pytest.raises(PhotoError) as caught:
        read_photo(data)
    assert "video" not in str(caught.value)


JPEG = hostile.save(hostile.STREET, "JPEG")
FRAME = JPEG.index(b"\xff\xc0")


def with_frame(marker: int, precision: int = 8, height: int | None = None) -> bytes:
    """A JPEG whose frame header states another kind."""
    changed = bytearray(JPEG)
    changed[FRAME + 1], changed[FRAME + 4] = marker, precision
    if height is not None:
        changed[FRAME + 5 : FRAME + 7] = height.to_bytes(2, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    "data, description",
    [
        (with_frame(0xC3), "a lossless JPEG"),
        (with_frame(0xC3, 16), "a lossless JPEG"),
        (with_frame(0xCB), "a lossless JPEG"),
        (with_frame(0xC1, 12), "a JPEG with 12 bits per channel"),
        (with_frame(0xC2, 12), "a JPEG with 12 bits per channel"),
        (with_frame(0xC5), "a hierarchical JPEG"),
        (with_frame(0xCF), "a hierarchical JPEG"),
        (with_frame(0xF7), "a JPEG-LS picture"),
        (with_frame(0xF7, 16), "a JPEG-LS picture"),
        (with_frame(0xC0, height=0), "a JPEG that states its height after its pixels"),
    ],
)
def test_unreadable_kinds_of_jpeg_are_named(data, description):
    with pytest.raises(PhotoError, match=f"looks like {description}, .*convert it to JPEG or PNG"):
        read_photo(data)


def test_a_jpeg_that_is_cut_off_is_still_called_damaged():
    for data in (JPEG[: FRAME + 5], JPEG[:-200], b"\xff\xd8\xff" + bytes(100_000)):
        with pytest.raises(PhotoError, match="JPEG picture is cut off or damaged"):
            read_photo(data)


ARITHMETIC_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hn"
    "Pk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
    "Y2P/yQARCAAQABADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AAkQhqF8ugolEWmMO+6M2auqZINIcf/Z"
)
"""A gradient of 16 x 16 pixels, written by libjpeg-turbo 2.1 with arith_code = TRUE and quality 50."""


def test_arithmetic_coding_is_decoded():
    rows, columns = np.mgrid[0:16, 0:16] * 16
    expected = np.dstack([columns, rows, np.full_like(rows, 128)])
    assert np.abs(np.asarray(read_photo(ARITHMETIC_JPEG)).astype(int) - expected).max() < 40


def bmp(bits: int, masks: tuple[int, ...], pixels: bytes) -> bytes:
    """A BMP of 2 x 1 pixels with a mask for each channel."""
    header = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, bits, 3, len(pixels), 0, 0, 0, 0)
    header = (header + struct.pack(f"<{len(masks)}I", *masks)).ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + header + pixels


def test_an_unused_fourth_byte_of_a_bmp_is_no_transparency():
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for alpha in (0, 255):
        pixels = struct.pack("<II", alpha << 24 | 0xFF0000, alpha << 24 | 0xFF00)
        assert np.asarray(read_photo(bmp(32, masks, pixels))).tolist() == [[[255, 0, 0], [0, 255, 0]]]


def test_rare_variants_of_bmp_are_not_called_damaged():
    with pytest.raises(PhotoError, match="a BMP picture of a rare variant.*convert it"):
        read_photo(bmp(16, (0xF00, 0xF0, 0xF, 0), struct.pack("<HH", 0xF00, 0xF0)))


@pytest.mark.parametrize(
    "depth, row, transparent, expected",
    [
        (2, b"\x10", 1, [0, 255]),  # values 0 and 1
        (4, b"\x3f", 3, [255, 255]),  # 3 and 15
        (16, struct.pack(">HH", 1000, 40_000), 1000, [255, 156]),
    ],
)
def test_the_transparent_gray_of_a_png_has_its_own_depth(depth, row, transparent, expected):
    transparency = hostile.chunk(b"tRNS", struct.pack(">H", transparent))
    data = hostile.png(2, 1, zlib.compress(b"\0" + row), transparency, depth)
    assert np.asarray(read_photo(data))[0, :, 0].tolist() == expected


def test_the_first_frame_of_animations_is_read():
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    for form, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("GIF", {}), ("AVIF", {"quality": 100})):
        data = hostile.save(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert np.abs(np.asarray(read_photo(data)).astype(int) - [255, 0, 0]).max() < 4
