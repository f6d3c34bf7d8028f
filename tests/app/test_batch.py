"""Batches without a browser: accepted and refused files, results, downloads and the page."""

import csv
import errno
import gc
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import seg.inference.prediction_files
from seg.data import archives, cityscapes, image_io, scenes
from seg.inference import mask_io, upload_batch
from seg.inference.directory import metadata
from seg.inference.prediction import Prediction
from seg.inference.predictor import Predictor
from seg.inference.private_dir import remove_stale
from seg.inference.upload_batch import Batch, BatchSettings
from seg.models.model_card import WeightsError
from seg.models.registry import DEFAULT_WEIGHTS
from seg.system.file_names import sanitize_name, unique_name
from ui.batch import results, served_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Batches are stored in a folder of the test, and AppTest does not leave its page as ``__main__``."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(served_files, "STATIC", tmp_path / "static")
    return tmp_path


@pytest.fixture(scope="module")
def predictor(registry: Path) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)


@pytest.fixture
def settings() -> BatchSettings:
    return BatchSettings(DEFAULT_WEIGHTS, "0" * 64, ("32s", "8s"))


@pytest.fixture
def look() -> Callable[[Image.Image], Prediction]:
    """A replacement for a network: its masks are noise."""

    def predict_noise(photo: Image.Image) -> Prediction:
        noise = np.random.default_rng(photo.width).integers(0, 19, (2, photo.height, photo.width), np.uint8)
        return Prediction(
            {"32s": noise[0], "8s": noise[1]}, {}, {}, {}, {}, {"encoder": 0.1}, (96, 192), "cpu"
        )

    return predict_noise


def png(seed: int = 1, size: tuple[int, int] = (96, 64)) -> bytes:
    """A picture of coarse noise: it is quick to create, and the network segments it too."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def zipped(packing: int = zipfile.ZIP_DEFLATED, **files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return out.getvalue()


def members(data: bytes) -> dict[str, archives.Member]:
    return {member.name: member for _, member in archives.members(io.BytesIO(data))}


def new_batch(settings: BatchSettings, *files: tuple[str, bytes]) -> Batch:
    batch = Batch(settings)
    behind = list(batch.ingest((name, io.BytesIO(data)) for name, data in files))
    assert behind == sorted(behind) and (not behind or behind[-1] == len(files))
    return batch


def stored_files(batch: Batch) -> list[str]:
    return sorted(
        str(file.relative_to(batch.path))
        for file in batch.path.rglob("*")
        if file.is_file() and file.name != ".lock"
    )


def test_a_zip_gives_safe_files_and_refuses_the_others():
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in (
            "a.png",
            "deep/er/b.png",
            "__MACOSX/._a.png",
            ".DS_Store",
            "x/Thumbs.db",
            ".hidden/c.png",
            "folder/",
        ):
            opened.writestr(name, b"photo")
        for name in ("../up.png", "/root.png", "C:\\disk.png", "in/../../out.png", "..\\win.png"):
            opened.writestr(name, b"photo")
        opened.writestr(link, "/etc/passwd")
        opened.writestr("zeros.png", bytes(2_000_000))
        opened.writestr("inner.zip", zipped(a=b"photo"))
        opened.writestr("squeezed.png", b"photo", zipfile.ZIP_BZIP2)
        opened.writestr("last.png", b"photo")
    entries = members(out.getvalue())
    assert [name for name, member in entries.items() if not member.error] == [
        "a.png",
        "deep/er/b.png",
        "last.png",
    ]
    errors = {name: member.error for name, member in entries.items() if member.error}
    for name in ("../up.png", "/root.png", "C:/disk.png", "in/../../out.png", "../win.png"):
        assert "leads out of the zip" in errors.pop(name)
    assert "is a link" in errors.pop("link.png")
    assert "far more than any photo" in errors.pop("zeros.png")
    assert "zip in the zip" in errors.pop("inner.zip")
    assert "ordinary zip" in errors.pop("squeezed.png")
    assert not errors
    assert all(not member.data for member in entries.values() if member.error)


def test_bad_zip_members_do_not_stop_the_others():
    data = bytearray(
        zipped(zipfile.ZIP_STORED, one=b"first photo", two=b"second photo", three=b"third photo")
    )
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1  # the flags of the first file in the central directory
    data[data.index(b"second photo")] ^= 1  # its checksum is wrong then
    entries = members(bytes(data))
    assert "without a password" in entries["one"].error
    assert "damaged" in entries["two"].error
    assert entries["three"].data == b"third photo"


def test_size_limits_count_unpacked_bytes(monkeypatch):
    noise = os.urandom(100_000)
    monkeypatch.setattr(archives, "EACH", 90_000)
    entries = members(zipped(large=noise, small=b"photo"))
    assert "larger than" in entries["large"].error and entries["small"].data == b"photo"
    monkeypatch.setattr(archives, "TOTAL", 150_000)  # refused files count
    with pytest.raises(archives.ArchiveError, match="the rest of it is left out"):
        members(zipped(a=noise, b=noise, c=noise))
    monkeypatch.setattr(archives, "FILES", 2)
    with pytest.raises(archives.ArchiveError, match="3 files; only the first 2"):
        members(zipped(a=b"1", b=b"2", c=b"3"))
    monkeypatch.setattr(archives, "DIRECTORY", 70_000)
    with pytest.raises(archives.ArchiveError, match="far too many files"):
        members(zipped(**{f"{i:060d}": b"" for i in range(1000)}))


@pytest.mark.parametrize(
    "data",
    [zipped(), zipped(a=b"photo")[:-9], b"PK\x03\x04", b"PK\x05\x06" + bytes(18)],
    ids=["empty", "cut", "head", "end"],
)
def test_an_empty_or_truncated_zip_is_refused(data):
    with pytest.raises(archives.ArchiveError, match="no files|cut off or damaged"):
        members(data)


def test_file_names_become_safe_and_stay_unique():
    taken: set[str] = set()
    expected = {
        "a.jpg": "a",
        "a.png": "a-2",
        "A.PNG": "A-3",
        "x/../a.jpg": "x/a",
        "x\\y.json\\a.b.jpg": "x/y_json/a.b",
        '../"q"\n<b>.png': "_q___b_",
        "📷🚗.jpg": "__",
        "NUL.png": "_NUL",
        "...": "photo",
        "/": "_",
        ".jpg": "jpg",
    }
    assert {name: unique_name(sanitize_name(name), taken) for name in expected} == expected
    for name in ("𝔘" * 300 + ".png", "/".join("abcdefghij"), "e\u0301.png"):
        stem = sanitize_name(name)
        assert all(len(part.encode()) <= 120 for part in stem.split("/")) and stem.count("/") <= 6
    assert sanitize_name("e\u0301.png") == sanitize_name("\u00e9.png")


def test_a_batch_writes_the_same_files_as_predict(settings, predictor, tmp_path):
    batch = new_batch(
        settings,
        ("street.png", png(1)),
        ("more.zip", zipped(**{"in/street.png": png(2), "in/notes.txt": b"words", "in/b.jpg": b""})),
    )
    assert [entry.name for entry in batch.entries] == ["street.png", "in/street.png", "in/b.jpg"]
    assert batch.ignored == {".txt": 1}
    while batch.waiting:
        batch.process_next(lambda photo: predictor.predict(photo, ("32s", "8s")))
    assert batch.done == [0, 1] and batch.failed == [2] and "file is empty" in batch.entries[2].error
    (tmp_path / "street.png").write_bytes(png(2))
    prediction = predictor.predict(tmp_path / "street.png", ("32s", "8s"))
    record = metadata(prediction, "0" * 64, "street.png", False) | {"exif_orientation": 1}
    seg.inference.prediction_files.write(str(tmp_path / "out" / "street"), prediction.masks, record)
    for variant in ("32s", "8s"):
        assert (
            batch.mask_file(1, variant).read_bytes()
            == (tmp_path / "out" / f"street.{variant}.png").read_bytes()
        )
    ours, theirs = (
        json.loads(f.read_text())
        for f in (batch.path / "masks/in/street.json", tmp_path / "out" / "street.json")
    )
    assert ours.pop("photo") == "in/street.png" and theirs.pop("photo") == "street.png"
    assert ours.pop("seconds").keys() == theirs.pop("seconds").keys() and ours == theirs
    assert batch.entries[1].result.shares == ours["shares"]
    with Image.open(batch.small_file(1, "8s")) as small:
        assert small.size == (96, 64)


def test_a_pair_file_is_split(settings, look):
    scene = scenes.render_scene(1, 256, 256)
    out = io.BytesIO()
    Image.fromarray(np.hstack([scene.photo, cityscapes.colorize(scene.label)])).save(out, "PNG")
    batch = new_batch(settings, ("pair.png", out.getvalue()))
    batch.process_next(look)
    assert (batch.entries[0].result.width, batch.entries[0].result.height) == (512, 256)


def test_interrupted_photos_are_repeated_and_counted_once(settings, look):
    batch = new_batch(settings, *((f"{i}.png", png(i)) for i in range(3)))
    batch.process_next(look)
    before = stored_files(batch)

    def interrupted(photo):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.process_next(interrupted)
    assert stored_files(batch) == before and batch.done == [0] and batch.waiting == [1, 2]
    assert 0 < batch.seconds_left < 60
    while batch.waiting:
        batch.process_next(look)
    assert batch.done == [0, 1, 2] and len(stored_files(batch)) == 3 * 6
    batch.reset(BatchSettings(DEFAULT_WEIGHTS, "1" * 64, ("8s",)))
    assert batch.waiting == [0, 1, 2] and len(stored_files(batch)) == 3 and batch.seconds_left is None


def test_failed_photos_are_reported_and_full_disks_lose_nothing(settings, look, monkeypatch):
    batch = new_batch(settings, *((f"{i}.png", png(i)) for i in range(3)))

    def out_of_memory(photo):
        raise MemoryError

    def unexpected_error(photo):
        raise RuntimeError("of a kind\nand more")

    batch.process_next(out_of_memory)
    batch.process_next(unexpected_error)
    assert "not enough memory" in batch.entries[0].error and "(of a kind)" in batch.entries[1].error

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(seg.inference.prediction_files, "write_atomic", full_disk)
        with pytest.raises(OSError):
            batch.process_next(look)
    assert batch.waiting == [2]
    batch.process_next(look)
    assert batch.done == [2]


def test_files_without_a_picture_header_are_not_stored(settings):
    garbage = np.random.default_rng(0).bytes(300_000)
    heads = {
        "a.jpg": b"\xff\xd8\xff",
        "b.png": b"\x89PNG\r\n\x1a\n",
        "c.tif": b"II*\0",
        "d.gif": b"GIF89a",
        "e.bmp": b"BM",
    }
    heads |= {"f.webp": b"RIFF\0\0\0\0WEBP", "g.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "h.jpg": b""}
    files = {name: head + garbage for name, head in heads.items()}
    photo = png(1, (40, 20))
    batch = new_batch(settings, ("garbage.zip", zipped(**files, photo=photo)), ("i.jpg", files["a.jpg"]))
    assert stored_files(batch) == ["photos/00008"] and batch.total_bytes == len(photo)
    assert [batch.entries[number].name for number in batch.failed] == [*heads, "i.jpg"]
    late = io.BytesIO()  # Pillow writes the tags of a compressed TIFF behind its pixels
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)).save(
        late, "TIFF", compression="tiff_lzw"
    )
    assert int.from_bytes(late.getvalue()[4:8], "little") > image_io.HEADER_BYTES
    assert len(new_batch(settings, ("late.tif", late.getvalue())).waiting) == 1


def test_a_batch_is_limited_in_files_and_bytes(settings, monkeypatch):
    photo = png(1, (2, 1))
    monkeypatch.setattr(upload_batch, "PHOTOS", 3)
    batch = new_batch(settings, ("many.zip", zipped(**{f"{i}.png": photo for i in range(9)})))
    assert len(batch.waiting) == 3 and "3 are the most" in batch.entries[3].error and len(batch.entries) == 4
    monkeypatch.setattr(upload_batch, "BYTES", int(2.4 * len(photo)))
    batch = new_batch(settings, *((f"{i}.png", photo) for i in range(3)))
    assert len(batch.waiting) == 2 and "left out" in batch.entries[2].error


@pytest.mark.parametrize("limit, value", [("ALL_BYTES", 2.4), ("MIN_FREE_BYTES", 2**60)])
def test_batches_leave_room_for_other_users(settings, monkeypatch, limit, value):
    gc.collect()  # batches of other tests
    photo = png(1, (2, 1))
    monkeypatch.setattr(upload_batch, limit, int(value * len(photo)))
    mine = new_batch(settings, ("1.png", photo))
    other = new_batch(settings, ("1.png", photo), ("2.png", photo))
    stored = [len(batch.waiting) for batch in (mine, other)]
    assert stored == ([1, 1] if limit == "ALL_BYTES" else [0, 0])
    assert "no room for more photos now" in other.entries[-1].error
    if limit == "ALL_BYTES":
        del mine
        gc.collect()
        assert len(new_batch(settings, ("1.png", photo)).waiting) == 1


def test_table_and_zips_are_complete_and_limited_in_size(settings, look, tmp_path):
    names = ['a "quoted", name.png', "new\nline.png", "📷.png", "same.png", "same.png"]
    batch = new_batch(
        settings, *((name, png(i, (192, 96))) for i, name in enumerate(names)), ("bad.png", b"no")
    )
    while batch.waiting:
        batch.process_next(look)
    rows = list(csv.DictReader(io.StringIO(batch.csv().decode("utf-8-sig"))))
    assert [row["name"] for row in rows] == [n for name in names for n in [name.replace("\n", " ")] * 2] + [
        "bad.png"
    ]
    assert [row["variant"] for row in rows] == ["32s", "8s"] * 5 + [""]
    assert all(abs(sum(float(row[name]) for name in cityscapes.NAMES) - 1) < 1e-4 for row in rows[:-1])
    assert rows[-1]["error"] and not rows[-1]["road"] and not rows[0]["error"]
    for most, count in ((10**9, 1), (60_000, None)):
        folder = tmp_path / f"zips{most}"
        folder.mkdir()
        assert list(batch.write_zips(folder, most))[-1] == 1
        zips = sorted(folder.glob("*.zip"))
        assert [z.name for z in zips] == (
            ["masks.zip"] if count else [f"masks-{i + 1:02d}.zip" for i in range(len(zips))]
        )
        assert count in (None, len(zips)) and (count or len(zips) > 1)
        held: dict[str, bytes] = {}
        for file in zips:
            assert file.stat().st_size <= most
            with zipfile.ZipFile(file) as opened:
                assert opened.testzip() is None
                held |= {name: opened.read(name) for name in opened.namelist()}
        assert held.pop("shares.csv") == batch.csv()
        assert len(held) == 5 * 3
        for row in rows[:-1]:
            assert mask_io.shares(mask_io.read_png(held[row["mask"]])) == pytest.approx(
                {name: float(row[name]) for name in cityscapes.NAMES if float(row[name])}, abs=1e-6
            )


def test_a_batch_is_deleted_with_its_owner(settings, own):
    batch = new_batch(settings, ("a.png", b"photo"))
    path = batch.path
    assert path.is_dir() and path.parent == own and stat.S_IMODE(path.stat().st_mode) == 0o700
    os.utime(path, (0, 0))
    remove_stale(own, upload_batch.PREFIX)
    assert path.is_dir()  # it has an owner
    del batch
    gc.collect()
    assert not path.exists()


def test_leftovers_of_a_killed_process_are_deleted(own):
    code = "import sys, os, pathlib; from seg.inference.private_dir import PrivateDir; "
    code += "f = PrivateDir(pathlib.Path(sys.argv[1]), 'x-'); "
    code += "os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, own], cwd=ROOT)
    (leftover,) = own.glob("x-*")
    (own / "x-file").write_text("not ours")
    (own / "x-folder").mkdir()
    os.utime(own / "x-folder", (time.time() - 100,) * 2)
    remove_stale(own, "x-")
    assert leftover.is_dir()  # another process may be creating it
    os.utime(leftover, (time.time() - 100,) * 2)
    remove_stale(own, "x-")
    assert not leftover.exists() and (own / "x-file").exists() and (own / "x-folder").exists()


def test_no_name_in_the_table_becomes_a_formula(settings):
    batch = new_batch(settings, ("=HYPERLINK(1).png", b"no photo"))
    assert next(csv.DictReader(io.StringIO(batch.csv().decode("utf-8-sig"))))["name"] == "'=HYPERLINK(1).png"


def page(monkeypatch: pytest.MonkeyPatch, registry: Path) -> AppTest:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setattr("ui.batch.upload.SAMPLES", {6: "Truck and bus", 11: "Zebra crossing"})
    return AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/batch.py").run()


def test_the_page_segments_samples_and_deletes_them(monkeypatch, registry, own):
    monkeypatch.setattr(results, "PAGE_SIZE", 1)
    at = page(monkeypatch, registry)
    assert not at.exception and "Choose photos" in at.info[0].value
    at.button(key="batch_samples").click().run()
    assert not at.exception
    assert any("**2** of 2 segmented with FCN-8s" in element.value for element in at.markdown)
    assert [button.label for button in at.button if button.key.startswith("photo-")] == [
        "Truck and bus\\.png"
    ]
    of = at.selectbox(key="batch_class")
    shares = at.session_state["batch"].entries[1].result.shares["8s"]
    of.select(next(iter(shares))).run()
    at.slider(key="batch_least").set_value(100).run()
    assert not at.exception and any("No photo matches" in element.value for element in at.info)
    at.slider(key="batch_least").set_value(0).run()
    at.button(key="batch_zip").click().run()
    assert not at.exception
    (zip_file,) = own.glob("static/*/masks.zip")
    assert any(
        f"app/static/{zip_file.parent.name}/masks.zip" in element.proto.body for element in at.get("html")
    )
    opened = [button.key for button in at.button if button.key.startswith("photo-")]
    at.button(key=opened[0]).click().run()
    assert not at.exception and len(at.session_state["photo_facts"]._values) == 1
    at.button(key="batch_new").click().run()
    assert not at.session_state["photo_facts"]._values
    assert (
        not at.exception and not list(own.glob("static/*")) and not list(own.glob(f"{upload_batch.PREFIX}*"))
    )
    assert "Choose photos" in at.info[0].value


def test_changed_weights_stop_a_batch_with_a_message(monkeypatch, registry):
    at = page(monkeypatch, registry)
    with monkeypatch.context() as patch:
        gone = Mock(side_effect=WeightsError("They are gone."))
        patch.setattr("ui.batch.processing.borrow_model", gone)
        at.button(key="batch_samples").click().run()
    assert not at.exception and "They are gone" in at.error[0].value
    at.button(key="batch_go_on").click().run()
    assert not at.exception and not at.error and at.button(key="batch_zip")
