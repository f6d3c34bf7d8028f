"""HEIC and AVIF photos are read like any other: limits, orientation, colors, transparency and damage."""

import numpy as np
import pytest
from PIL import Image, features

from seg.data import image_io
from seg.data.image_io import PhotoError, read_photo
from seg.data.label_import import LabelImportError, read_label
from tests.support import hostile_files as hostile
from tests.support.heic_files import COLORS, COLUMNS, HEIC, LARGE

OVER_WHITE = COLORS * (COLUMNS[..., None] / 51) + 255 * (1 - COLUMNS[..., None] / 51)
"""`COLORS` with an alpha of 5 times the column."""


def avif(samples: np.ndarray, **options) -> bytes:
    return hostile.save(Image.fromarray(samples), "AVIF", quality=95, subsampling="4:4:4", **options)


def difference(data: bytes, expected: np.ndarray) -> float:
    photo = read_photo(data)
    assert photo.mode == "RGB" and photo.info.keys() <= {"exif_orientation"}
    pixels = np.asarray(photo).astype(float)
    assert pixels.shape == expected.shape
    return np.abs(pixels - expected).max()


def test_pillow_has_its_avif_decoder():
    assert features.check("avif")


@pytest.mark.parametrize("name", ["plain", "10 bits", "two images"])
def test_heic_comes_back_closely(name, tmp_path):
    assert difference(HEIC[name], COLORS) < 12
    misnamed = tmp_path / "photo.jpg"
    misnamed.write_bytes(HEIC[name])
    assert read_photo(misnamed).size == (48, 32)


def test_gray_heic_is_gray():
    gray = np.asarray(Image.fromarray(COLORS).convert("L")).astype(float)
    assert difference(HEIC["gray"], np.dstack([gray] * 3)) < 6


@pytest.mark.parametrize("name", ["turned", "mirrored"])
def test_the_orientation_of_a_heic_is_applied_once(name):
    assert difference(HEIC[name], COLORS) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_an_avif_is_applied_once(orientation):
    stored = {
        1: COLORS,
        2: COLORS[:, ::-1],
        3: COLORS[::-1, ::-1],
        4: COLORS[::-1],
        5: COLORS.swapaxes(0, 1),
        6: np.rot90(COLORS),
        7: COLORS.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(COLORS, -1),
    }[orientation]
    assert difference(avif(np.ascontiguousarray(stored), exif=hostile.exif(orientation)), COLORS) < 8


def test_xmp_does_not_turn_an_avif_that_its_container_does_not_turn():
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    assert difference(avif(COLORS, xmp=xmp), COLORS) < 8


def test_transparent_parts_become_white():
    assert difference(HEIC["alpha"], OVER_WHITE) < 12
    assert difference(avif(np.dstack([COLORS, COLUMNS * 5]).astype(np.uint8)), OVER_WHITE) < 8


def test_color_profiles_are_converted_to_srgb():
    assert difference(HEIC["profile"], COLORS[..., ::-1]) < 14


HEIF_BRANDS = (b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")
HEIF_BRANDS += (b"miaf", b"MiHE", b"MiHB", b"1pic", b"isom", b"abcd")


@pytest.mark.parametrize("brand", HEIF_BRANDS)
def test_heic_is_recognized_by_rare_and_by_compatible_brands(brand):
    assert difference(HEIC["plain"][:8] + brand + HEIC["plain"][12:], COLORS) < 12


@pytest.mark.parametrize("brand", [b"mif1", b"mif2", b"msf1", b"miaf", b"MA1B", b"isom"])
def test_avif_is_recognized_by_its_compatible_brands(brand):
    data = avif(COLORS)
    assert difference(data[:8] + brand + data[12:], COLORS) < 8


def test_a_photo_is_refused_as_label():
    for data in (HEIC["plain"], avif(COLORS)):
        with pytest.raises(LabelImportError, match="no label picture"):
            read_label(data, (48, 32))


def test_a_heif_with_a_rare_compression_is_named():
    with pytest.raises(PhotoError, match="HEIC picture of a rare variant.*convert it to JPEG or PNG"):
        read_photo(HEIC["plain"].replace(b"hvc1", b"vvc1").replace(b"hvcC", b"vvcC"))


def test_the_size_is_refused_from_the_header(monkeypatch):
    data = avif(COLORS)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PhotoError, match="12000 x 9000 pixels.*64 megapixels.*as JPEG"):
        read_photo(LARGE)
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", 0.001)
    for small in (HEIC["plain"], data):
        with pytest.raises(PhotoError, match="48 x 32 pixels"):
            read_photo(small)


def test_a_heic_that_understates_its_size_is_refused():
    at = LARGE.index(b"ispe") + 8
    small = (48).to_bytes(4, "big") + (32).to_bytes(4, "big")
    with pytest.raises(PhotoError, match="HEIC picture is cut off or damaged"):
        read_photo(LARGE[:at] + small + LARGE[at + 8 :])


@pytest.mark.parametrize("data", [*HEIC.values(), avif(COLORS)], ids=[*HEIC, "avif"])
def test_a_cut_off_file_never_gives_another_photo(data):
    whole, refused = np.asarray(read_photo(data)), 0
    ends = [*range(12, len(data) - 40, 29), *range(len(data) - 40, len(data))]
    for end in ends:
        try:
            pixels = np.asarray(read_photo(data[:end]))
        except PhotoError:
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole, err_msg=f"cut at {end} of {len(data)}")
    assert refused > len(ends) // 3  # the second of two images is not read


@pytest.mark.parametrize("data", [HEIC["plain"], HEIC["alpha"], avif(COLORS)], ids=["heic", "alpha", "avif"])
def test_corrupt_files_give_photo_errors_only(data):
    dice = np.random.default_rng(len(data))
    for _ in range(150):
        broken = np.frombuffer(data, np.uint8).copy()
        at = dice.integers(0, len(broken), dice.integers(1, 9))
        broken[at] = dice.integers(0, 256, len(at))
        try:
            photo = read_photo(broken.tobytes())
        except PhotoError:
            continue
        assert photo.mode == "RGB" and photo.width * photo.height <= 64_000_000
