"""Many photos: what is taken in and what is refused, one by one and whole or not at all, and what is handed out."""

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

import seg.results
from pages.parts import results
from seg import archive, batch, labels, masks, scenes, weights
from seg.batch import Batch, Settings, harmless, sweep, unique
from seg.folder import facts
from seg.predict import Prediction, Predictor

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Batches lie in a folder of the test, and AppTest does not leave its page as ``__main__``."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(results, "STATIC", tmp_path / "static")
    return tmp_path


@pytest.fixture(scope="module")
def predictor(registry: Path) -> Predictor:
    return Predictor.of(weights.DEFAULT, "cpu", registry)


@pytest.fixture
def settings() -> Settings:
    return Settings(weights.DEFAULT, "0" * 64, ("32s", "8s"))


@pytest.fixture
def look() -> Callable[[Image.Image], Prediction]:
    """In place of a network: its masks are noise."""

    def made_up(photo: Image.Image) -> Prediction:
        noise = np.random.default_rng(photo.width).integers(0, 19, (2, photo.height, photo.width), np.uint8)
        return Prediction({"32s": noise[0], "8s": noise[1]}, {}, {}, {"encoder": 0.1}, (96, 192), "cpu")

    return made_up


def png(seed: int = 1, size: tuple[int, int] = (96, 64)) -> bytes:
    """A picture of no street: the network says something of it too, and it costs nothing to render."""
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


def members(data: bytes) -> dict[str, archive.Member]:
    return {member.name: member for _, member in archive.members(io.BytesIO(data))}


def taken(settings: Settings, *files: tuple[str, bytes]) -> Batch:
    made = Batch(settings)
    behind = list(made.take((name, io.BytesIO(data)) for name, data in files))
    assert behind == sorted(behind) and (not behind or behind[-1] == len(files))
    return made


def written(made: Batch) -> list[str]:
    return sorted(str(file.relative_to(made.path)) for file in made.path.rglob("*") if file.is_file() and file.name != ".lock")


def test_a_zip_gives_its_files_and_refuses_what_is_none():
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in ("a.png", "deep/er/b.png", "__MACOSX/._a.png", ".DS_Store", "x/Thumbs.db", ".hidden/c.png", "folder/"):
            opened.writestr(name, b"photo")
        for name in ("../up.png", "/root.png", "C:\\disk.png", "in/../../out.png", "..\\win.png"):
            opened.writestr(name, b"photo")
        opened.writestr(link, "/etc/passwd")
        opened.writestr("zeros.png", bytes(2_000_000))
        opened.writestr("inner.zip", zipped(a=b"photo"))
        opened.writestr("squeezed.png", b"photo", zipfile.ZIP_BZIP2)
        opened.writestr("last.png", b"photo")
    found = members(out.getvalue())
    assert [name for name, member in found.items() if not member.error] == ["a.png", "deep/er/b.png", "last.png"]
    said = {name: member.error for name, member in found.items() if member.error}
    for name in ("../up.png", "/root.png", "C:/disk.png", "in/../../out.png", "../win.png"):
        assert "leads out of the zip" in said.pop(name)
    assert "is a link" in said.pop("link.png")
    assert "far more than any photo" in said.pop("zeros.png")
    assert "zip in the zip" in said.pop("inner.zip")
    assert "ordinary zip" in said.pop("squeezed.png")
    assert not said
    assert all(not member.data for member in found.values() if member.error)


def test_encrypted_and_damaged_files_of_a_zip_are_told_and_the_rest_goes_on():
    data = bytearray(zipped(zipfile.ZIP_STORED, one=b"first photo", two=b"second photo", three=b"third photo"))
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1  # the first file's flags in the list of files
    data[data.index(b"second photo")] ^= 1  # its sum is wrong then
    found = members(bytes(data))
    assert "without a password" in found["one"].error
    assert "damaged" in found["two"].error
    assert found["three"].data == b"third photo"


def test_sizes_are_those_that_are_unpacked(monkeypatch):
    noise = os.urandom(100_000)
    monkeypatch.setattr(archive, "EACH", 90_000)
    found = members(zipped(large=noise, small=b"photo"))
    assert "larger than" in found["large"].error and found["small"].data == b"photo"
    monkeypatch.setattr(archive, "TOTAL", 150_000)  # what is refused counts
    with pytest.raises(archive.ArchiveError, match="the rest of it is left out"):
        members(zipped(a=noise, b=noise, c=noise))
    monkeypatch.setattr(archive, "FILES", 2)
    with pytest.raises(archive.ArchiveError, match="3 files; only the first 2"):
        members(zipped(a=b"1", b=b"2", c=b"3"))
    monkeypatch.setattr(archive, "DIRECTORY", 70_000)
    with pytest.raises(archive.ArchiveError, match="far too many files"):
        members(zipped(**{f"{i:060d}": b"" for i in range(1000)}))


@pytest.mark.parametrize(
    "data", [zipped(), zipped(a=b"photo")[:-9], b"PK\x03\x04", b"PK\x05\x06" + bytes(18)], ids=["empty", "cut", "head", "end"]
)
def test_a_zip_of_nothing_or_cut_off_is_told(data):
    with pytest.raises(archive.ArchiveError, match="no files|cut off or damaged"):
        members(data)


def test_names_become_harmless_and_stay_apart():
    taken: set[str] = set()
    found = {
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
    assert {name: unique(harmless(name), taken) for name in found} == found
    for name in ("𝔘" * 300 + ".png", "/".join("abcdefghij"), "e\u0301.png"):
        stem = harmless(name)
        assert all(len(part.encode()) <= 120 for part in stem.split("/")) and stem.count("/") <= 6
    assert harmless("e\u0301.png") == harmless("\u00e9.png")


def test_what_is_written_is_what_predict_writes(settings, predictor, tmp_path):
    made = taken(settings, ("street.png", png(1)), ("more.zip", zipped(**{"in/street.png": png(2), "in/notes.txt": b"words"})))
    assert [entry.name for entry in made.entries] == ["street.png", "in/street.png", "in/notes.txt"]
    while made.waiting:
        made.step(lambda photo: predictor.predict(photo, ("32s", "8s")))
    assert made.done == [0, 1] and made.failed == [2] and "not a picture" in made.entries[2].error
    (tmp_path / "street.png").write_bytes(png(2))
    found = predictor.predict(tmp_path / "street.png", ("32s", "8s"))
    said = facts(found, "0" * 64, "street.png", False)
    seg.results.write(str(tmp_path / "out" / "street"), found.masks, said)
    for variant in ("32s", "8s"):
        assert made.mask_file(1, variant).read_bytes() == (tmp_path / "out" / f"street.{variant}.png").read_bytes()
    ours, theirs = (json.loads(f.read_text()) for f in (made.path / "masks/in/street.json", tmp_path / "out" / "street.json"))
    assert ours.pop("photo") == "in/street.png" and theirs.pop("photo") == "street.png"
    assert ours.pop("seconds").keys() == theirs.pop("seconds").keys() and ours == theirs
    assert made.entries[1].found.shares == ours["shares"]
    with Image.open(made.small_file(1, "8s")) as small:
        assert small.size == (96, 64)


def test_a_pair_file_is_taken_apart(settings, look):
    scene = scenes.render(1, 256, 256)
    out = io.BytesIO()
    Image.fromarray(np.hstack([scene.photo, labels.colorize(scene.label)])).save(out, "PNG")
    made = taken(settings, ("pair.png", out.getvalue()))
    made.step(look)
    assert (made.entries[0].found.width, made.entries[0].found.height) == (512, 256)


def test_interrupted_photos_are_done_again_and_counted_once(settings, look):
    made = taken(settings, *((f"{i}.png", png(i)) for i in range(3)))
    made.step(look)
    before = written(made)

    def interrupted(photo):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.step(interrupted)
    assert written(made) == before and made.done == [0] and made.waiting == [1, 2]
    assert 0 < made.seconds_left < 60
    while made.waiting:
        made.step(look)
    assert made.done == [0, 1, 2] and len(written(made)) == 3 * 6
    made.again(Settings(weights.DEFAULT, "1" * 64, ("8s",)))
    assert made.waiting == [0, 1, 2] and len(written(made)) == 3 and made.seconds_left is None


def test_a_photo_that_is_too_much_is_told_and_a_full_disk_loses_nothing(settings, look, monkeypatch):
    made = taken(settings, *((f"{i}.png", png(i)) for i in range(3)))

    def too_much(photo):
        raise MemoryError

    def odd(photo):
        raise RuntimeError("of a kind\nand more")

    made.step(too_much)
    made.step(odd)
    assert "not enough memory" in made.entries[0].error and "(of a kind)" in made.entries[1].error

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(seg.results, "write_atomic", full)
        with pytest.raises(OSError):
            made.step(look)
    assert made.waiting == [2]
    made.step(look)
    assert made.done == [2]


def test_a_batch_has_bounds(settings, monkeypatch):
    monkeypatch.setattr(batch, "PHOTOS", 3)
    made = taken(settings, ("many.zip", zipped(**{f"{i}.png": b"photo" for i in range(9)})))
    assert len(made.waiting) == 3 and "3 are the most" in made.entries[3].error and len(made.entries) == 4
    monkeypatch.setattr(batch, "BYTES", 12)
    made = taken(settings, *((f"{i}.png", b"photo") for i in range(3)))
    assert len(made.waiting) == 2 and "left out" in made.entries[2].error


def test_the_table_and_the_zips_hold_all_and_no_zip_is_too_large(settings, look, tmp_path):
    names = ['a "quoted", name.png', "new\nline.png", "📷.png", "same.png", "same.png"]
    made = taken(settings, *((name, png(i, (192, 96))) for i, name in enumerate(names)), ("bad.png", b"no"))
    while made.waiting:
        made.step(look)
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert [row["name"] for row in rows] == [n for name in names for n in [name.replace("\n", " ")] * 2] + ["bad.png"]
    assert [row["variant"] for row in rows] == ["32s", "8s"] * 5 + [""]
    assert all(abs(sum(float(row[name]) for name in labels.NAMES) - 1) < 1e-4 for row in rows[:-1])
    assert rows[-1]["error"] and not rows[-1]["road"] and not rows[0]["error"]
    for most, count in ((10**9, 1), (60_000, None)):
        folder = tmp_path / f"zips{most}"
        folder.mkdir()
        assert list(made.pack(folder, most))[-1] == 1
        zips = sorted(folder.glob("*.zip"))
        assert [z.name for z in zips] == (["masks.zip"] if count else [f"masks-{i + 1:02d}.zip" for i in range(len(zips))])
        assert count in (None, len(zips)) and (count or len(zips) > 1)
        held: dict[str, bytes] = {}
        for file in zips:
            assert file.stat().st_size <= most
            with zipfile.ZipFile(file) as opened:
                assert opened.testzip() is None
                held |= {name: opened.read(name) for name in opened.namelist()}
        assert held.pop("shares.csv").decode().splitlines() == made.csv().splitlines()
        assert len(held) == 5 * 3
        for row in rows[:-1]:
            assert masks.shares(masks.read_png(held[row["mask"]])) == pytest.approx(
                {name: float(row[name]) for name in labels.NAMES if float(row[name])}, abs=1e-6
            )


def test_a_batch_is_gone_from_disk_with_its_owner(settings, own):
    made = taken(settings, ("a.png", b"photo"))
    path = made.path
    assert path.is_dir() and path.parent == own and stat.S_IMODE(path.stat().st_mode) == 0o700
    os.utime(path, (0, 0))
    sweep(own, batch.PREFIX)
    assert path.is_dir()  # it has an owner
    del made
    gc.collect()
    assert not path.exists()


def test_what_a_killed_process_left_is_swept(own):
    code = "import sys, os, pathlib; from seg.batch import OwnFolder; f = OwnFolder(pathlib.Path(sys.argv[1]), 'x-'); "
    code += "os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, own], cwd=ROOT)
    (left,) = own.glob("x-*")
    (own / "x-file").write_text("not ours")
    (own / "x-folder").mkdir()
    os.utime(own / "x-folder", (time.time() - 100,) * 2)
    sweep(own, "x-")
    assert left.is_dir()  # it may be being made
    os.utime(left, (time.time() - 100,) * 2)
    sweep(own, "x-")
    assert not left.exists() and (own / "x-file").exists() and (own / "x-folder").exists()


def test_no_name_in_the_table_is_a_formula(settings):
    made = taken(settings, ("=HYPERLINK(1).png", b"no photo"))
    made.step(None)
    assert next(csv.DictReader(io.StringIO(made.csv())))["name"] == "'=HYPERLINK(1).png"


def page(monkeypatch: pytest.MonkeyPatch, registry: Path) -> AppTest:
    monkeypatch.setattr(weights, "FOLDER", registry)
    monkeypatch.setattr("pages.parts.photos.SAMPLES", {6: "Truck and bus", 11: "Zebra crossing"})
    return AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/batch.py").run()


def test_the_page_makes_masks_of_samples_and_forgets_them(monkeypatch, registry, own):
    monkeypatch.setattr(results, "A_PAGE", 1)
    at = page(monkeypatch, registry)
    assert not at.exception and "Choose photos" in at.info[0].value
    at.button(key="batch_samples").click().run()
    assert not at.exception
    assert any("**2** of 2 looked at by FCN-8s" in element.value for element in at.markdown)
    assert [button.label for button in at.button if button.key.startswith("photo-")] == ["Truck and bus\\.png"]
    of = at.selectbox(key="batch_class")
    shares = at.session_state["batch"].entries[1].found.shares["8s"]
    of.select(next(iter(shares))).run()
    at.slider(key="batch_least").set_value(100).run()
    assert not at.exception and any("No photo has so much of it" in element.value for element in at.info)
    at.slider(key="batch_least").set_value(0).run()
    at.button(key="batch_zip").click().run()
    assert not at.exception
    (made,) = own.glob("static/*/masks.zip")
    assert any(f"app/static/{made.parent.name}/masks.zip" in element.proto.body for element in at.get("html"))
    at.button(key="batch_new").click().run()
    assert not at.exception and not list(own.glob("static/*")) and not list(own.glob(f"{batch.PREFIX}*"))
    assert "Choose photos" in at.info[0].value


def test_weights_that_changed_halt_the_work_with_a_sentence(monkeypatch, registry):
    at = page(monkeypatch, registry)
    with monkeypatch.context() as patch:
        gone = Mock(side_effect=weights.WeightsError("They are gone."))
        patch.setattr("pages.parts.cached.network", gone)
        at.button(key="batch_samples").click().run()
    assert not at.exception and "They are gone" in at.error[0].value
    at.button(key="batch_go_on").click().run()
    assert not at.exception and not at.error and at.button(key="batch_zip")
