"""Untrusted pictures are read in processes that can be ended, and never for long."""

import io
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from seg.data import image_io, jpeg_header, label_import, scenes, tiff
from seg.data.cityscapes import colorize
from seg.data.image_io import EXIF_ORIENTATION, PhotoError
from seg.data.isolated_reading import STOPPED, IsolatedReader
from tests.support import hostile_files
from tests.support.costly_files import jpeg_with_scans, tiff_with_tiles

SCENE = scenes.render_scene(3, 128, 64)


@pytest.fixture(scope="module")
def reader() -> Iterator[IsolatedReader]:
    with IsolatedReader(processes=1) as running:
        yield running


def process_of(reader: IsolatedReader) -> psutil.Process:
    return psutil.Process(reader._idle[0]._process.pid)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_is_read_as_without_isolation(reader, orientation):
    data = hostile_files.save(Image.fromarray(SCENE.photo), "JPEG", exif=hostile_files.exif(orientation))
    photo, expected = reader.read_photo(data), image_io.read_photo(data)
    np.testing.assert_array_equal(np.asarray(photo), np.asarray(expected))
    assert photo.info == expected.info and photo.info.get(EXIF_ORIENTATION, 1) == orientation


def test_a_label_is_read_as_without_isolation(reader):
    out = io.BytesIO()
    Image.fromarray(SCENE.label).save(out, "PNG")
    for coding in (None, "train ids"):
        expected = label_import.read_label(out.getvalue(), (256, 128), coding)
        with reader.label(out.getvalue(), (256, 128), coding) as imported:
            np.testing.assert_array_equal(imported.label, expected.label)
            assert imported.coding == expected.coding and imported.classes == expected.classes


def test_messages_for_unusable_files_are_kept(reader):
    photo = hostile_files.save(Image.fromarray(SCENE.photo), "JPEG")
    reader.check_header(photo[:2000])  # its pixels are cut off, its header is whole
    with pytest.raises(PhotoError, match="cut off or damaged"):
        reader.check_header(photo[:20])
    with pytest.raises(PhotoError, match="The file is empty"):
        reader.read_photo(b"")
    small = hostile_files.save(Image.new("L", (10, 30)), "PNG")
    with pytest.raises(label_import.LabelImportError, match="one shape"), reader.label(small, (200, 100)):
        raise AssertionError("it was read")


@pytest.mark.slow
def test_a_file_that_takes_long_is_stopped_and_the_next_is_read():
    slow = jpeg_with_scans(jpeg_header.MAX_SCANS - 20, 15_000, 4200)
    with IsolatedReader(processes=1, seconds=0) as reader:
        start = time.monotonic()
        with pytest.raises(PhotoError) as stopped:
            reader.read_photo(slow)
        assert str(stopped.value) == STOPPED and time.monotonic() - start < 60
        assert reader.read_photo(hostile_files.save(Image.new("RGB", (3, 2)), "PNG")).size == (3, 2)


def test_a_file_that_takes_much_memory_is_refused():
    with IsolatedReader(processes=1, memory=40_000_000) as reader:
        with pytest.raises(PhotoError, match="more memory than is available"):
            reader.read_photo(hostile_files.save(Image.new("RGB", (5000, 5000)), "PNG"))
        assert reader.read_photo(hostile_files.save(Image.new("RGB", (3, 2)), "PNG")).size == (3, 2)


def test_what_libraries_print_stays_out_of_the_terminal(capfd):
    entry = struct.Struct("<HHLL").pack
    tags = b"".join(entry(40_000 + number, 4, 2**20, 8) for number in range(50))  # longer than the file
    file = b"II*\0" + struct.pack("<LH", 8, 50) + tags + bytes(4)
    with pytest.warns(UserWarning), pytest.raises(PhotoError):
        image_io.read_photo(file)
    with IsolatedReader(processes=1) as own, pytest.raises(PhotoError, match="damaged"):
        own.read_photo(file)
    assert capfd.readouterr() == ("", "")


def test_a_killed_process_is_replaced(reader):
    data = hostile_files.save(Image.fromarray(SCENE.photo), "PNG")
    reader.read_photo(data)
    os.kill(process_of(reader).pid, signal.SIGKILL)
    process_of(reader).wait(10)
    assert reader.read_photo(data).size == (128, 64)


def test_threads_share_the_processes(reader):
    files = [hostile_files.save(Image.new("RGB", (width, 3)), "PNG") for width in range(1, 9)]
    widths: dict[int, int] = {}

    def read(number: int) -> None:
        widths[number] = reader.read_photo(files[number]).width

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert widths == {number: number + 1 for number in range(len(files))}


def test_the_next_photo_is_read_after_the_use_of_the_last(reader):
    small, here, read = hostile_files.save(Image.new("RGB", (3, 2)), "PNG"), threading.Event(), []

    def read_another() -> None:
        here.set()
        read.append(reader.read_photo(small))

    thread = threading.Thread(target=read_another)
    with reader.photo(small):
        thread.start()
        assert here.wait(30)
        thread.join(0.2)
        assert not read
    thread.join(30)
    assert read


def test_the_process_loads_no_pytorch(reader):
    """It starts quickly and stays small."""
    reader.read_photo(hostile_files.save(Image.new("RGB", (3, 2)), "PNG"))
    assert process_of(reader).memory_info().rss < 150_000_000


def test_many_scans_are_refused_before_they_are_decoded():
    few = jpeg_with_scans(jpeg_header.MAX_SCANS - 20, 800, 800)
    assert image_io.read_photo(few).size == (800, 800)
    start = time.process_time()
    with pytest.raises(PhotoError, match="a JPEG of more than 200 scans"):
        image_io.read_photo(jpeg_with_scans(2500, 8000, 8000))
    assert time.process_time() - start < 1


def test_a_scan_marker_between_two_blocks_counts(monkeypatch):
    data = jpeg_with_scans(250, 800, 800)
    for block in (1, 2, 3, 1000):
        monkeypatch.setattr(jpeg_header, "_BLOCK", block)
        assert jpeg_header.has_many_scans(io.BytesIO(data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_millions_of_tiles_are_refused_before_they_are_listed(order, big):
    start = time.process_time()
    with pytest.raises(PhotoError, match="a TIFF of more than 100,000 strips or tiles"):
        image_io.read_photo(tiff_with_tiles(500, order, big))
    assert time.process_time() - start < 1


def test_the_usual_tiles_are_read():
    assert image_io.read_photo(tiff_with_tiles(3, "<", False)).size == (48, 48)
    assert tiff._count_parts(io.BytesIO(struct.pack("<2sHL", b"II", 42, 10**9))) == 0


@pytest.mark.slow
def test_a_large_label_takes_little_memory_and_time():
    """16 megapixels took 4.6 GB and 12 s, before its shape was compared with the photo's."""
    label = np.resize(SCENE.label, (4096, 4096))
    colored = hostile_files.save(Image.fromarray(colorize(label)), "PNG", compress_level=1)
    start = time.monotonic()
    with pytest.raises(label_import.LabelImportError, match="they must have one shape"):
        label_import.read_label(colored, (2048, 1024))
    assert time.monotonic() - start < 2
    with IsolatedReader(processes=1, memory=400_000_000) as small:
        with small.label(colored, (512, 512)) as imported:
            assert imported.coding == "colors"


def test_large_blended_labels_are_refused():
    blended = Image.fromarray(colorize(SCENE.label)).resize((3000, 1500), Image.Resampling.BILINEAR)
    with pytest.raises(label_import.LabelImportError, match=r"2\.5 megapixels are the most"):
        label_import.read_label(hostile_files.save(blended, "PNG", compress_level=1), (2000, 1000))
