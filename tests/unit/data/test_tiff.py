"""TIFF variants are decoded correctly or refused with their description; never decoded wrongly."""

import zlib

import numpy as np
import pytest
from PIL import Image

from seg.data.image_io import PhotoError, read_photo
from tests.support import tiff_files as tiff

HEIGHT, WIDTH = 32, 48
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
COLORS = np.stack([COLUMNS / (WIDTH - 1), ROWS / (HEIGHT - 1), (COLUMNS + ROWS) / (WIDTH + HEIGHT - 2)], -1)
RGB = np.rint(COLORS * 255).astype(np.uint8)
RGB16 = np.rint(COLORS * 65535).astype(np.uint16)
GRAY, GRAY16 = RGB[..., :1], RGB16[..., :1]
SIGNED16 = (GRAY16 // 2).astype(np.int16)
REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)
"""Each byte with its bits in reverse order, as FillOrder 2 stores it."""

LAYOUTS = [
    {"order": order, "planar": planar, "deflate": deflate, "rows": rows}
    for order in "<>"
    for planar in (False, True)
    for deflate in (False, True)
    for rows in (None, 7)
]


def assert_reads_as(data: bytes, expected: np.ndarray, tolerance: float = 2) -> None:
    pixels = np.asarray(read_photo(data)).astype(float)
    assert np.abs(pixels - expected).max() <= tolerance


def over_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    opacity = alpha.astype(float)[..., None] / 255
    return color * opacity + 255 * (1 - opacity)


SAMPLES = {
    "gray 8": (GRAY, tiff.GRAY, {}, GRAY),
    "gray 8, white is zero": (255 - GRAY, 0, {}, GRAY),
    "gray 16": (GRAY16, tiff.GRAY, {}, GRAY),
    "gray 16, white is zero": (65535 - GRAY16, 0, {}, GRAY),
    "gray 16, dark": (GRAY16 // 256, tiff.GRAY, {}, GRAY * 0),
    "gray 16 signed": (SIGNED16, tiff.GRAY, {}, GRAY),
    "gray 16 signed, white is zero": (32767 - SIGNED16, 0, {}, GRAY),
    "gray 16 signed, dark": (SIGNED16 // 128, tiff.GRAY, {}, GRAY * 0),
    "gray 16 signed, negative": ((GRAY16 - 32768.0).astype(np.int16), tiff.GRAY, {}, GRAY),
    "gray 16 signed, negative, dark": (
        (GRAY16 // 256 - 32768.0).astype(np.int16),
        tiff.GRAY,
        {},
        GRAY * 0,
    ),
    "gray 32": (np.rint(COLORS[..., :1] * (2**32 - 1)).astype(np.uint32), tiff.GRAY, {}, GRAY),
    "gray 32, white is zero": (np.rint((1 - COLORS[..., :1]) * (2**32 - 1)).astype(np.uint32), 0, {}, GRAY),
    "gray 32 signed, white is zero": ((65535 - GRAY16).astype(np.int32), 0, {}, GRAY),
    "gray float, white is zero": ((1 - COLORS[..., :1]).astype(np.float32), 0, {}, GRAY),
    "gray 32 signed": ((COLORS[..., :1] * 200).astype(np.int32), tiff.GRAY, {}, COLORS[..., :1] * 200),
    "gray float": (COLORS[..., :1].astype(np.float32), tiff.GRAY, {}, GRAY),
    "RGB 8": (RGB, tiff.RGB, {}, RGB),
    "RGB 16": (RGB16, tiff.RGB, {}, RGB),
    "RGB and alpha 8": (np.dstack([RGB, GRAY]), tiff.RGB, {338: [2]}, over_white(RGB, RGB[..., 0])),
    "RGB and alpha 16": (np.dstack([RGB16, GRAY16]), tiff.RGB, {338: [2]}, over_white(RGB, RGB[..., 0])),
    "RGB and another channel": (np.dstack([RGB, GRAY]), tiff.RGB, {338: [0]}, RGB),
    "CMYK 8": (np.dstack([RGB, GRAY // 3]), tiff.CMYK, {}, (255 - RGB) * (1 - GRAY // 3 / 255)),
    "CMYK 16": (np.dstack([RGB16, GRAY16 // 3]), tiff.CMYK, {}, (255 - RGB) * (1 - GRAY // 3 / 255)),
    "palette": (
        GRAY,
        tiff.PALETTE,
        {320: [*range(0, 65536, 257), *range(65535, -1, -257), *[77 * 257] * 256]},
        np.dstack([GRAY, 255 - GRAY, np.full_like(GRAY, 77)]),
    ),
    "palette of 8 bits": (
        GRAY,
        tiff.PALETTE,
        {320: [*range(256), *range(255, -1, -1), *[77] * 256]},
        np.dstack([GRAY, 255 - GRAY, np.full_like(GRAY, 77)]),
    ),
    "YCbCr": (np.asarray(Image.fromarray(RGB).convert("YCbCr")), tiff.YCBCR, {530: [1, 1]}, RGB),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_layout_of_a_readable_kind_gives_the_same_photo(kind):
    samples, photometric, tags, expected = SAMPLES[kind]
    for layout in LAYOUTS:
        assert_reads_as(tiff.encode(samples, photometric, more=tags, **layout), expected, 3)


@pytest.mark.parametrize("tags", [{}, {530: [2, 2]}], ids=["by default", "stated"])
@pytest.mark.parametrize("deflate", [False, True])
def test_subsampled_chroma(tags, deflate):
    luma, *chroma = np.moveaxis(np.asarray(Image.fromarray(RGB).convert("YCbCr")), -1, 0)
    blocks = (
        luma.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).transpose(0, 2, 1, 3).reshape(HEIGHT // 2, WIDTH // 2, 4)
    )
    halved = [plane.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)).round() for plane in chroma]
    strip = np.dstack([blocks, *halved]).astype(np.uint8).tobytes()
    strip = zlib.compress(strip) if deflate else strip
    data = tiff.pack(
        (WIDTH, HEIGHT), tiff.YCBCR, [8] * 3, [strip], compression=8 if deflate else 1, more=tags
    )
    assert_reads_as(data, RGB, 12)


@pytest.mark.parametrize("order", "<>")
def test_reversed_bits_and_fewer_than_8_bits(order):
    def pack(bits: int, samples: np.ndarray, **tags: dict) -> bytes:
        channels = samples.shape[-1] if samples.ndim == 3 else 1
        photometric = tiff.RGB if channels == 3 else tiff.GRAY
        return tiff.pack(
            (WIDTH, HEIGHT), photometric, [bits] * channels, [samples.tobytes()], order=order, **tags
        )

    gray, reversed_bits = RGB[..., 0], {"more": {266: [2]}}
    is_light = np.packbits(gray > 99, axis=1)
    nibbles = gray >> 4
    for bits, samples, expected in (
        (8, gray, GRAY),
        (8, RGB, RGB),
        (1, is_light, (GRAY > 99) * 255),
        (4, nibbles[:, ::2] << 4 | nibbles[:, 1::2], nibbles[..., None] * 17.0),
    ):
        assert_reads_as(pack(bits, samples), expected)
        assert_reads_as(pack(bits, REVERSED[samples], **reversed_bits), expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, tiff.GRAY])
@pytest.mark.parametrize("deflate", [False, True])
def test_12_bit_gray_and_reversed_bits(order, photometric, deflate):
    def pack(bits: int, strip: np.ndarray, more: dict) -> bytes:
        size, compression = (WIDTH, HEIGHT), 8 if deflate else 1
        return tiff.pack(
            size, photometric, [bits], [strip.tobytes()], order=order, compression=compression, more=more
        )

    gray = GRAY16[..., 0] if photometric else 65535 - GRAY16[..., 0]
    first, second = (gray[:, start::2].astype(int) >> 4 for start in (0, 1))
    packed = np.dstack([first >> 4, (first & 15) << 4 | second >> 8, second & 255]).astype(np.uint8)
    for bits, samples in ((12, packed), (16, gray.astype(f"{order}u2"))):
        strip = zlib.compress(samples.tobytes()) if deflate else samples.tobytes()
        strip = np.frombuffer(strip, np.uint8)
        assert_reads_as(pack(bits, strip, {}), GRAY)
        assert_reads_as(pack(bits, REVERSED[strip], {266: [2]}), GRAY)


UNREADABLE = {
    "8-bit signed gray": tiff.encode((GRAY.astype(int) - 128).astype(np.int8), tiff.GRAY),
    "8-bit gray and alpha values in separate planes": tiff.encode(
        np.dstack([GRAY, GRAY]), tiff.GRAY, planar=True, more={338: [2]}
    ),
    "8-bit Lab values in separate planes": tiff.encode(RGB, tiff.LAB, planar=True),
    "8-bit RGB and alpha values in separate planes": tiff.encode(
        np.dstack([RGB, GRAY, GRAY]), tiff.RGB, planar=True, more={338: [2, 0]}
    ),
    "16-bit gray and alpha": tiff.encode(np.dstack([GRAY16, GRAY16]), tiff.GRAY, more={338: [2]}),
    "16-bit palette": tiff.encode(GRAY16, tiff.PALETTE, more={320: [0] * 3}),
    "16-bit floating-point RGB": tiff.encode(COLORS.astype(np.float16), tiff.RGB),
    "32-bit floating-point RGB": tiff.encode(COLORS.astype(np.float32), tiff.RGB, deflate=True),
    "64-bit floating-point gray": tiff.encode(COLORS[..., :1], tiff.GRAY),
    "32-bit RGB": tiff.encode(RGB16.astype(np.uint32), tiff.RGB),
    "12-bit YCbCr": tiff.pack((WIDTH, HEIGHT), tiff.YCBCR, [12] * 3, [b"\0" * 9], compression=7),
    "JPEG 2000 compression": tiff.pack((WIDTH, HEIGHT), tiff.RGB, [8] * 3, [b"\0"], compression=34712),
    "JPEG XL compression": tiff.pack((WIDTH, HEIGHT), tiff.RGB, [8] * 3, [b"\0"], compression=50002),
    "WebP compression": tiff.pack((WIDTH, HEIGHT), tiff.RGB, [8] * 3, [b"\0"], compression=50001),
    "rare compression": tiff.pack((WIDTH, HEIGHT), tiff.RGB, [8] * 3, [b"\0"], compression=44444),
    "camera's raw file": tiff.pack((WIDTH, HEIGHT), 32803, [16], [b"\0"]),
}


@pytest.mark.parametrize("description", UNREADABLE)
def test_what_cannot_be_decoded_is_described(description):
    with pytest.raises(
        PhotoError, match=f"looks like a.*{description}.*cannot be read.*convert it to"
    ) as caught:
        read_photo(UNREADABLE[description])
    assert "damaged" not in str(caught.value)


def test_a_damaged_tiff_is_not_taken_for_another_kind():
    whole = tiff.encode(RGB, tiff.RGB)
    for end in (8, 20, 100, len(whole) - 50):
        with pytest.raises(PhotoError, match="TIFF picture is cut off or damaged"):
            read_photo(whole[:end])
