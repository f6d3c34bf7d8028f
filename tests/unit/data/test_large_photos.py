"""JPEGs above the limit are reduced while they are decoded, within the memory that the limit allows."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from seg.data import image_io, jpeg_header
from seg.data.image_io import PhotoError, read_photo, reduced_from, reduction_note
from seg.data.label_import import LabelImportError, read_label
from tests.support import hostile_files as hostile

ROWS, COLUMNS = np.mgrid[0:120, 0:160]
COLORS = np.dstack([COLUMNS * 1.5, ROWS * 2, ROWS + COLUMNS]).astype(np.uint8)
PICTURE = Image.fromarray(COLORS)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """The limits of a tenth of a megapixel, so that small pictures reach them."""
    monkeypatch.setattr(image_io, "MAX_MEGAPIXELS", 0.01)
    monkeypatch.setattr(image_io, "MAX_REDUCED_MEGAPIXELS", 0.05)
    monkeypatch.setattr(image_io, "MAX_COEFFICIENT_BYTES", 60_000)


def jpeg(picture: Image.Image = PICTURE, **options) -> bytes:
    return hostile.save(picture, "JPEG", **{"quality": 95, "subsampling": 0, **options})


def test_a_large_jpeg_is_reduced_and_says_so():
    photo = read_photo(jpeg())
    assert (photo.size, reduced_from(photo), photo.mode) == ((80, 60), (160, 120), "RGB")
    expected = COLORS.reshape(60, 2, 80, 2, 3).mean((1, 3))
    assert np.abs(np.asarray(photo) - expected).max() < 12
    assert reduction_note(photo).startswith("The photo was reduced from 160 × 120 to 80 × 60 pixels")


def test_a_photo_within_the_limit_is_not_reduced():
    photo = read_photo(jpeg(PICTURE.resize((100, 100))))
    assert (photo.size, reduced_from(photo), reduction_note(photo)) == ((100, 100), None, "")
    assert not photo.info


@pytest.mark.parametrize("size", [(159, 121), (201, 101), (223, 223), (1000, 49), (49, 1000)])
def test_every_size_fits_the_limit_after_the_smallest_sufficient_reduction(size):
    photo = read_photo(jpeg(PICTURE.resize(size)))
    assert photo.width * photo.height <= 1.03 * 10_000  # odd sizes are rounded up
    factor = round(size[0] / photo.width)
    assert factor in (2, 4, 8) and photo.size == tuple(-(-side // factor) for side in size)
    assert reduced_from(photo) == size and size[0] * size[1] / (factor // 2) ** 2 > 10_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_original_size_is_upright(orientation):
    photo = read_photo(jpeg(exif=hostile.exif(orientation)))
    is_turned = orientation > 4
    assert photo.size == ((60, 80) if is_turned else (80, 60))
    assert reduced_from(photo) == ((120, 160) if is_turned else (160, 120))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_color_modes_are_reduced(mode):
    assert read_photo(jpeg(PICTURE.convert(mode))).size == (80, 60)


def test_a_file_with_several_pictures_is_reduced():
    data = hostile.save(PICTURE, "MPO", save_all=True, append_images=[PICTURE])
    assert read_photo(data).size == (80, 60)


def test_labels_are_never_reduced():
    with pytest.raises(PhotoError, match="160 x 120 pixels"):
        read_photo(jpeg(), reduce_large=False)
    with pytest.raises(LabelImportError, match="160 x 120 pixels"):
        read_label(jpeg(), (160, 120))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_other_formats_are_refused_with_a_remedy(form):
    with pytest.raises(PhotoError, match="160 x 120 pixels.*make it smaller, or save it as JPEG"):
        read_photo(hostile.save(PICTURE, form))


def test_the_upper_limit_is_refused_from_the_header(monkeypatch):
    data = jpeg(PICTURE.resize((320, 240)))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PhotoError, match="320 x 240 pixels"):
        read_photo(data)


def separate_scans(data: bytes) -> bytes:
    """A JPEG whose first scan contains one component, as if its components had separate scans."""
    at = data.index(b"\xff\xda")
    return data[:at] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + data[at + 2 + data[at + 3] :]


def test_coefficients_of_several_scans_are_counted():
    def coefficients(**options) -> int:
        return jpeg_header.read_frame(hostile.io.BytesIO(jpeg(**options))).coefficient_bytes

    assert coefficients() == 0
    assert coefficients(progressive=True) == 2 * 3 * 160 * 120
    assert coefficients(progressive=True, subsampling=2) == 2 * 1.5 * 160 * 120
    assert jpeg_header.read_frame(hostile.io.BytesIO(separate_scans(jpeg()))).coefficient_bytes > 0


def test_a_jpeg_of_several_scans_is_reduced_only_within_the_memory_limit():
    assert read_photo(jpeg(progressive=True, subsampling=2)).size == (80, 60)
    for data in (jpeg(progressive=True), separate_scans(jpeg())):
        with pytest.raises(PhotoError, match="progressive JPEG.*save it smaller, or as a baseline JPEG"):
            read_photo(data)


MEASURE = """
import json, re, sys
from pathlib import Path
from seg.data.image_io import read_photo, reduced_from
results = []
for path in sys.argv[1:]:
    photo = read_photo(Path(path))
    results.append([photo.size, reduced_from(photo), photo.getpixel((5, 5))])
    del photo
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the process that started this one
    results[-1].append(int(re.search("VmHWM:\\s+(\\d+) kB", status)[1]))
print(json.dumps(results))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in /proc")
def test_larger_jpegs_need_no_more_memory_than_the_limit(tmp_path):
    sizes = [(20_000, 20_000), (12_000, 9000), (9200, 6900)]
    for width, height in sizes:
        (tmp_path / f"{width}.jpg").write_bytes(hostile.flat_jpeg(width, height))
    files = [str(tmp_path / f"{width}.jpg") for width, _ in sizes]
    output = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, check=True).stdout
    results = json.loads(output)
    assert [tuple(size) for size, *_ in results] == [(5000, 5000), (6000, 4500), (9200, 6900)]
    assert [original and tuple(original) for _, original, *_ in results] == [*sizes[:2], None]
    assert all(color == [128, 128, 128] for _, _, color, _ in results)
    peaks = [peak for *_, peak in results]
    assert max(peaks[:2]) < 0.6 * peaks[2], peaks
