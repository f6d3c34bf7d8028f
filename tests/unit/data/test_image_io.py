"""Photos of every format, mode and orientation are read as upright RGB, and other files are refused."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from seg.data import image_io
from seg.data.image_io import PhotoError, exif_orientation, read_photo
from tests.support import hostile_files as hostile

rng = np.random.default_rng(0)
SMALL = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
PICTURE = np.array(
    Image.fromarray(SMALL).resize((40, 48), Image.Resampling.BICUBIC)
)  # smooth, so JPEG stays close to it


def save(picture, form, **how):
    return hostile.save(Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture, form, **how)


def pixels(source):
    result = read_photo(source)
    assert result.mode == "RGB"
    return np.array(result)


def raw_png(width, height, depth, color, data=b"", extra=b""):
    return hostile.png(width, height, zlib.compress(data), extra, depth, color)


@pytest.mark.parametrize(
    "form, how",
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_are_read_exactly(form, how, tmp_path):
    data = save(PICTURE, form, **how)
    np.testing.assert_array_equal(pixels(data), PICTURE)
    misnamed = tmp_path / "photo.txt"
    misnamed.write_bytes(data)
    np.testing.assert_array_equal(pixels(misnamed), PICTURE)


@pytest.mark.parametrize("how", [{}, {"progressive": True}])
def test_jpeg_is_read_closely(how):
    assert (
        np.abs(pixels(save(PICTURE, "JPEG", quality=95, subsampling=0, **how)) - PICTURE.astype(int)).max()
        < 12
    )


def test_gif_is_read_as_its_first_frame():
    frames = [Image.new("RGB", (4, 3), c) for c in ("red", "blue")]
    data = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(data) == [255, 0, 0]).all()


STORED = {  # orientation -> how an upright array lies in the file (EXIF 2.3, 4.6.4)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    "form, how",
    [("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})],
)
def test_all_orientations_become_upright(form, how, orientation):
    stored = np.ascontiguousarray(STORED[orientation](PICTURE))
    data = save(stored, form, exif=hostile.exif(orientation), **how)
    assert np.abs(pixels(data) - PICTURE.astype(int)).max() < 12
    photo = read_photo(data)
    assert exif_orientation(photo) == orientation
    assert not photo.getexif() and photo.info.keys() <= {"exif_orientation"}  # nothing rotates it again


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0rubbish",
        hostile.exif(77).tobytes(),
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02x\0\0\0",
    ],
)
def test_corrupt_exif_is_ignored(exif):
    for data in (save(PICTURE, "PNG", exif=exif), save(PICTURE, "WEBP", lossless=True, exif=exif)):
        np.testing.assert_array_equal(pixels(data), PICTURE)
    assert pixels(save(PICTURE, "JPEG", exif=exif)).shape == PICTURE.shape


def test_grey_and_one_bit():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(pixels(save(gray, "PNG")), np.stack([gray] * 3, -1))
    bits = Image.fromarray(gray > 100)
    assert bits.mode == "1"
    for form in ("PNG", "TIFF", "BMP"):
        np.testing.assert_array_equal(pixels(save(bits, form)), np.stack([(gray > 100) * 255] * 3, -1))


RED, GREEN, WHITE = [255, 0, 0], [0, 255, 0], [255, 255, 255]


def palette_picture():
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return picture


@pytest.mark.parametrize(
    "how, expected",
    [
        ({}, [RED, GREEN, [0, 0, 255]]),
        ({"transparency": 0}, [WHITE, GREEN, [0, 0, 255]]),
        ({"transparency": b"\0\xff\x80"}, [WHITE, GREEN, [127, 127, 255]]),
    ],
)
def test_palettes_and_their_transparency(how, expected):
    assert pixels(save(palette_picture(), "PNG", **how))[0].tolist() == expected


def test_gif_transparency_is_white():
    assert pixels(save(palette_picture(), "GIF", transparency=1))[0].tolist() == [RED, WHITE, [0, 0, 255]]


@pytest.mark.parametrize(
    "form, how", [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_alpha_is_blended_with_white(form, how):
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    assert pixels(save(rgba, form, **how))[0].tolist() == [RED, WHITE, [204] * 3]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_alpha_is_blended_with_white(form):
    gray = Image.merge(
        "LA",
        [
            Image.fromarray(np.array([[7, 7, 0]], np.uint8)),
            Image.fromarray(np.array([[255, 0, 51]], np.uint8)),
        ],
    )
    assert pixels(save(gray, form))[0, :, 0].tolist() == [7, 255, 204]


def test_grey_multiplied_by_its_alpha():
    tiff = bytearray(
        save(Image.merge("LA", [Image.new("L", (1, 1), 51), Image.new("L", (1, 1), 51)]), "TIFF")
    )
    extra_samples = tiff.index(struct.pack("<HHI", 338, 3, 1)) + 8
    tiff[extra_samples] = 1  # associated alpha: a white pixel with an opacity of one fifth
    assert pixels(bytes(tiff)).tolist() == [[WHITE]]


def test_one_transparent_color():
    assert pixels(save(np.array([[RED, GREEN]], np.uint8), "PNG", transparency=(0, 255, 0)))[0].tolist() == [
        RED,
        WHITE,
    ]
    assert pixels(save(np.array([[3, 9]], np.uint8), "PNG", transparency=9))[0, :, 0].tolist() == [3, 255]
    deep = raw_png(
        2,
        1,
        16,
        2,
        b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 65535, 0),
        hostile.chunk(b"tRNS", struct.pack(">3H", 9, 9, 9)),
    )
    assert pixels(deep)[0].tolist() == [RED, GREEN]


@pytest.mark.parametrize(
    "form, how", [("TIFF", {}), ("JPEG", {"quality": 100})]
)  # Pillow writes CMYK JPEGs inverted, as Adobe does
def test_cmyk(form, how):
    ink = np.zeros((8, 24, 4), np.uint8)
    ink[:, 8:16] = [0, 255, 255, 0]  # magenta and yellow: red
    ink[:, 16:] = [0, 0, 0, 255]
    data = save(Image.fromarray(ink, "CMYK"), form, **how)
    if form == "JPEG":
        assert b"Adobe" in data
    assert np.abs(pixels(data)[4, [4, 12, 20]].astype(int) - [WHITE, RED, [0, 0, 0]]).max() < 4


def test_lab():
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(PICTURE // 2 + 64), to_lab)
    assert lab.mode == "LAB"
    assert (
        np.abs(pixels(save(lab, "TIFF")).astype(int) - (PICTURE // 2 + 64)).max() < 6
    )  # LAB in 8 bits is coarse


SIXTEEN = np.array([[0, 257, 257 * 128, 65535]], np.uint16)


def test_sixteen_bits():
    for form in ("PNG", "TIFF"):
        assert pixels(save(SIXTEEN, form))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert pixels(save(SIXTEEN.astype(">u2"), "TIFF"))[0, :, 0].tolist() == [0, 1, 128, 255]
    dim = (SIXTEEN // 16).astype(np.uint16)  # a dark picture stays dark: white is the maximum of the format
    assert pixels(save(dim, "PNG"))[0, :, 0].tolist() == [0, 0, 8, 16]
    white_is_zero = save(SIXTEEN, "TIFF", tiffinfo={262: 0})
    assert pixels(white_is_zero)[0, :, 0].tolist() == [255, 254, 127, 0]


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.25, 0.5], [0, 64, 128]),
        ([0.0, 2.0, 200.0], [0, 2, 200]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 5e4, 1e5], [0, 128, 255]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([np.nan, 0.5, 1.0], [0, 128, 255]),
        ([-np.inf, 0.5, np.inf], [0, 128, 255]),
        ([np.nan, np.nan, np.inf], [0, 0, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
        ([-5.0, -5.0, -5.0], [0, 0, 0]),
    ],
)
def test_floating_point(values, expected):
    assert pixels(save(np.array([values], np.float32), "TIFF"))[0, :, 0].tolist() == expected


def test_thirty_two_bit_integers():
    for values, expected in (
        ([0, 100, 255], [0, 100, 255]),
        ([-100, 0, 300], [0, 64, 255]),
        ([0, 4 * 10**8, 2 * 10**9], [0, 51, 255]),
    ):
        assert pixels(save(np.array([values], np.int32), "TIFF"))[0, :, 0].tolist() == expected


def profile(name="mine", swap=False):
    """sRGB under another name. With ``swap`` its red and blue primaries are exchanged, so the colors
    differ."""
    data = (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        .tobytes()
        .replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))
    )
    if swap:
        data = data.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)
    return data


SWAPPED = profile(swap=True)


def test_color_profiles_are_converted_to_srgb():
    colors = np.array([[RED, [0, 0, 255], [200, 100, 50]]], np.uint8)
    exchanged = colors[..., ::-1].astype(int)
    for form, how in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        assert np.abs(pixels(save(colors, form, icc_profile=SWAPPED, **how)) - exchanged).max() < 4
    converted = pixels(save(palette_picture(), "PNG", icc_profile=SWAPPED, transparency=1))[0].astype(int)
    assert np.abs(converted - [[0, 0, 255], WHITE, RED]).max() < 4
    assert "icc_profile" not in read_photo(save(colors, "PNG", icc_profile=SWAPPED)).info


@pytest.mark.parametrize(
    "icc",
    [
        profile("sRGB"),
        b"rubbish",
        SWAPPED[:300],
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    ],
)
def test_useless_color_profiles_are_ignored(icc):
    np.testing.assert_array_equal(pixels(save(PICTURE, "PNG", icc_profile=icc)), PICTURE)
    gray = save(PICTURE[..., 0].copy(), "PNG", icc_profile=icc)
    np.testing.assert_array_equal(pixels(gray)[..., 0], PICTURE[..., 0])


def linear_grey_profile():
    """The smallest ICC profile: gray with a straight tone curve (ICC.1:2010, 7.2 and 10.5)."""
    white = struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    tags = ((b"wtpt", b"XYZ \0\0\0\0" + white), (b"kTRC", b"curv\0\0\0\0" + struct.pack(">I", 0)))
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    start = struct.pack(
        ">I4sI4s4s4s12s4s", at + len(body), b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"", b"acsp"
    )
    return start.ljust(68, b"\0") + white + bytes(48) + table + body


def test_grey_profiles_are_converted_with_and_without_alpha():
    gray = Image.fromarray(np.array([[0, 55, 255]], np.uint8))  # 55 of 255 in linear light is 128 in sRGB
    alpha = Image.fromarray(np.array([[255, 255, 0]], np.uint8))
    for picture in (gray, Image.merge("LA", [gray, alpha])):
        converted = pixels(save(picture, "PNG", icc_profile=linear_grey_profile()))[0, :, 0].astype(int)
        assert np.abs(converted - [0, 128, 255]).max() < 3


FTYP = b"\0\0\0\x18ftyp"


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "empty"),
        (b"just some words", "not a picture"),
        (bytes(2000), "not a picture"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG.*convert"),
        ("\ufeff<svg></svg>".encode("utf-16"), "an SVG"),
        (b"\n<!DOCTYPE html><html><body><svg/></body></html>", "a web page"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF.*JPEG or PNG"),
        (FTYP + b"heic\0\0\0\0mif1heic", "HEIC.*damaged"),
        (FTYP + b"avif\0\0\0\0", "AVIF.*damaged"),
        (FTYP + b"isom\0\0\0\0", "a video"),
        (FTYP + b"qt  \0\0\0\0", "a video"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "a video"),
        (b"RIFF\x24\0\0\0AVI LIST", "a video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw"),
        (b"PK\x03\x04\x14\0", "a ZIP"),
        (b"\x89PNG\r\n\x1a\n", "PNG.*damaged"),
        (b"\xff\xd8\xff\xe0", "JPEG.*damaged"),
        (b"GIF89a", "GIF.*damaged"),
        (b"BMW is a car maker", "BMP.*damaged"),
        # a text bomb
        (
            raw_png(1, 1, 8, 0, b"\0\0", hostile.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)))),
            "PNG.*damaged",
        ),
        (save(PICTURE, "TIFF", tiffinfo={254: 1}), "raw"),
    ],
)
def test_other_files_are_refused_with_a_reason(data, message):
    with pytest.raises(PhotoError, match=message) as caught:
        read_photo(data)
    assert str(caught.value).endswith(".")


def test_unreadable_paths_are_refused(tmp_path):
    with pytest.raises(PhotoError, match="There is no file .*gone.jpg"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(PhotoError):
        read_photo(tmp_path / ("x" * 5000))
    with pytest.raises(PhotoError):
        read_photo(tmp_path / "zero\0byte")


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize(
    "width, height", [(9000, 8000), (10000, 10000), (60000, 60000), (2**31 - 1, 2**31 - 1)]
)
def test_too_many_pixels_are_refused_from_the_header(width, height, action, monkeypatch):
    warnings.simplefilter(
        action, Image.DecompressionBombWarning
    )  # pytest restores the filters after each test
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    bmp = bytearray(save(PICTURE, "BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    for data in (raw_png(width, height, 8, 2), bytes(bmp)):
        with pytest.raises(PhotoError, match="64 megapixels"):
            read_photo(data)


def test_the_limit_itself_is_allowed(monkeypatch):
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", PICTURE.shape[0] * PICTURE.shape[1] / 1e6)
    assert pixels(save(PICTURE, "PNG")).shape == PICTURE.shape
    with pytest.raises(PhotoError, match="41 x 48"):
        read_photo(save(np.zeros((48, 41, 3), np.uint8), "PNG"))


def all_kinds():
    exif = hostile.exif(6)
    noisy = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    yield from (save(noisy, "JPEG", exif=exif), save(noisy, "JPEG", progressive=True, icc_profile=SWAPPED))
    yield from (
        save(noisy, "PNG", exif=exif, icc_profile=SWAPPED),
        save(palette_picture(), "PNG", transparency=b"\0\1"),
    )
    yield from (
        save(noisy, "WEBP", exif=exif),
        save(noisy, "WEBP", lossless=True),
        save(noisy, "BMP"),
        save(noisy, "GIF"),
    )
    yield from (save(noisy, "TIFF", compression=c) for c in ("raw", "tiff_lzw", "tiff_deflate", "jpeg"))
    yield from (
        save(SIXTEEN, "TIFF"),
        save(noisy[..., 0].astype(np.float32), "TIFF"),
        save(noisy[..., 0] > 99, "TIFF", compression="group4"),
    )


KINDS = list(all_kinds())


@pytest.mark.filterwarnings("ignore")  # Pillow warns about some cut files before it fails
@pytest.mark.parametrize("data", KINDS, ids=range(len(KINDS)))
def test_a_cut_off_file_never_gives_another_photo(data):
    whole = pixels(data)
    ends = sorted({*range(0, len(data), max(1, len(data) // 60)), *range(max(0, len(data) - 40), len(data))})
    refused = 0
    for end in ends:
        try:
            decoded = pixels(data[:end])
        except PhotoError:
            refused += 1
        else:
            np.testing.assert_array_equal(decoded, whole, err_msg=f"cut at {end} of {len(data)}")
    assert refused > len(ends) // 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", KINDS, ids=range(len(KINDS)))
def test_only_photo_errors_escape_from_corrupt_files(data):
    dice = np.random.default_rng(len(data))
    for _ in range(80):
        broken = np.frombuffer(data, np.uint8).copy()
        reach = (
            len(broken) if dice.random() < 0.5 else min(200, len(broken))
        )  # headers more often than pixels
        at = dice.integers(0, reach, dice.integers(1, 9))
        broken[at] = dice.integers(0, 256, len(at))
        try:
            assert read_photo(broken.tobytes()).mode == "RGB"
        except PhotoError:
            pass
