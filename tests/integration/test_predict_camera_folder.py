"""Folders and zips as cameras, phones and programs leave them: which files become photos, and their names."""

import csv
import io
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data import archives, cityscapes, scenes
from seg.inference.directory import FAILURES_CSV
from seg.inference.job_plan import PhotosError, plan_jobs
from tests.support.command import run_command

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
RAW = b"II*\0\x10\0\0\0CR\x02\0" + bytes(200)
VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"


@pytest.fixture(autouse=True)
def use_registry(registry, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


def photo_bytes(form: str = "JPEG", seed: int = 3) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scenes.render_scene(seed, 160, 96).photo).save(out, form)
    return out.getvalue()


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def masks_in(out: Path) -> set[str]:
    return {file.relative_to(out).as_posix() for file in out.rglob("*.8s.png")}


def failures(out: Path) -> dict[str, str]:
    rows = csv.reader(io.StringIO((out / FAILURES_CSV).read_text("utf-8-sig")))
    return {os.path.basename(name): error for name, error in list(rows)[1:]}


def camera_folder() -> dict[str, bytes]:
    files = {f"IMG_{number}.JPG": photo_bytes(seed=number) for number in (1, 2)}
    files |= {"IMG_1.CR2": RAW, "IMG_2.CR2": RAW, "IMG_1.xmp": b"<x:xmpmeta/>", "IMG_3.CR2": RAW}
    files |= {"MVI_4.MP4": VIDEO, "MVI_4.THM": photo_bytes(), "notes.txt": b"wet road", "track.json": b"{}"}
    return files | {"shares.csv": b"a,b", "IMG_5.jpg": b"", "unnamed": photo_bytes("PNG"), "log": b"started"}


def test_a_camera_folder_gives_a_mask_for_each_photo(tmp_path, capsys):
    folder, out = write_files(tmp_path / "DCIM", camera_folder()), tmp_path / "out"
    assert run_command("predict", folder, "--out", out) == 1
    assert masks_in(out) == {"IMG_1.8s.png", "IMG_2.8s.png", "unnamed.8s.png"}
    assert failures(out).keys() == {"IMG_3.CR2", "IMG_5.jpg"}
    assert "type .cr2 cannot be read" in failures(out)["IMG_3.CR2"]
    output = " ".join("".join(capsys.readouterr()).split())
    assert "3 of 5 photos are done" in output
    ignored = re.search("left out, since they are no photos: (.*?) error", output)[1].split(", ")
    kinds = ("without suffix", ".xmp", ".mp4", ".thm", ".txt", ".csv", ".json")
    assert ignored[0] == "2 .cr2" and set(ignored[1:]) == {f"1 {kind}" for kind in kinds}


def test_pictures_of_all_unread_formats_are_named_alike(tmp_path):
    bare = {"pixels": b"P6 2 2 255 " + bytes(12), "targa": bytes(18), "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n"}
    names = {"pixels": "a.ppm b.PGM c.pnm d.pbm e.pam", "targa": "f.tga", "jpeg2000": "g.jp2 h.j2k"}
    pictures = {name: bare[kind] for kind in bare for name in names[kind].split()}
    pictures |= {"i.exr": b"\x76\x2f\x31\x01", "j.hdr": b"#?RADIANCE\n", "k": b"qoif", "l.ico": b"\0\0\1\0"}
    pictures |= {"m.psd": b"8BPS", "n.svg": b"<svg/>", "o.dcm": bytes(128) + b"DICM", "p.jxl": b"\xff\x0a"}
    others = {"q.txt": b"P6 is a format", "r.hdr": b"ENVI", "s.bin": b"\0\0\1\0", "t.pdf": b"%PDF-1.7"}
    folder = write_files(
        tmp_path / "in", pictures | others | {"u.tga": photo_bytes(), "v.jpg": photo_bytes()}
    )
    plan = plan_jobs([folder], tmp_path / "out")
    assert {Path(job.source).name for job in plan.jobs} == {"u.tga", "v.jpg"}
    messages = {Path(result.job.source).name: result.error for result in plan.failed}
    assert messages.keys() == pictures.keys()
    for message in messages.values():
        assert re.fullmatch(
            r"Pictures of (the type \.\w+|this type) cannot be read here; convert it .*", message
        )
    assert plan.ignored.keys() == {".txt", ".hdr", ".bin", ".pdf"}


def test_only_a_readable_picture_takes_the_name_of_the_masks(tmp_path):
    damaged = photo_bytes("PNG")[:3000]
    files = {
        "a.bmp": b"BM",
        "a.jpg": photo_bytes(),
        "b.gif": damaged,
        "b.png": damaged,
        "b.webp": photo_bytes("WEBP"),
    }
    plan = plan_jobs([write_files(tmp_path / "in", files)], tmp_path / "out")
    assert [(Path(job.source).name, Path(job.target).name) for job in plan.jobs] == [
        ("a.jpg", "a"),
        ("b.webp", "b"),
    ]
    assert {Path(result.job.source).name for result in plan.failed} == {"a.bmp", "b.gif", "b.png"}


def test_photos_of_one_stem_all_get_masks(tmp_path):
    files = {
        "a.jpg": photo_bytes(),
        "A.png": photo_bytes("PNG"),
        "a.png.bmp": photo_bytes("BMP"),
        "a.gif": b"GIF89a",
    }
    plan = plan_jobs([write_files(tmp_path / "in", files)], tmp_path / "out")
    names = {Path(job.source).name: Path(job.target).name for job in plan.jobs}
    assert names == {"A.png": "A", "a.gif": "a.gif", "a.jpg": "a.jpg", "a.png.bmp": "a.png"}
    assert not plan.failed


def test_masks_in_the_folder_are_not_predicted_again(tmp_path):
    folder = write_files(tmp_path / "in", {"a.jpg": photo_bytes(), "b/c.jpg": photo_bytes()})
    assert run_command("predict", folder, "--out", folder / "masks") == 0
    (folder / "masks" / "a.json").unlink()
    assert run_command("predict", folder, "--out", folder / "second") == 0
    assert masks_in(folder / "second") == {"a.8s.png", "b/c.8s.png"}
    assert not (folder / "second" / FAILURES_CSV).exists()


def test_label_ids_are_written_resumed_and_no_photos(tmp_path):
    folder, out = write_files(tmp_path / "in", {"a.jpg": photo_bytes()}), tmp_path / "in" / "masks"
    command = ("predict", folder, "--out", out, "--variants", "8s", "--label-ids")
    assert run_command(*command) == 0
    with Image.open(out / "a.8s.labelIds.png") as picture, Image.open(out / "a.8s.png") as mask:
        assert picture.mode == "L"
        assert (np.asarray(picture) == np.asarray(cityscapes.LABEL_IDS)[np.asarray(mask)]).all()
    plan = plan_jobs([folder], tmp_path / "out")
    assert [Path(job.source).name for job in plan.jobs] == ["a.jpg"] and plan.ignored == {
        "masks": 2,
        ".json": 1,
    }
    label_ids = out / "a.8s.labelIds.png"
    label_ids.unlink()
    assert run_command(*command) == 0 and label_ids.is_file()
    modified = label_ids.stat().st_mtime_ns
    assert run_command(*command) == 0 and label_ids.stat().st_mtime_ns == modified
    assert run_command(*command[:-1]) == 0 and label_ids.is_file()  # nothing was to do
    assert run_command(*command[:-1], "--again") == 0 and not label_ids.exists()


def test_confidences_are_written_resumed_and_no_photos(tmp_path):
    folder, out = write_files(tmp_path / "in", {"a.jpg": photo_bytes()}), tmp_path / "in" / "masks"
    command = ("predict", folder, "--out", out, "--variants", "8s", "32s")
    assert run_command(*command) == 0 and not list(out.glob("*.confidence.png"))
    assert run_command(*command, "--confidence") == 0
    for variant in ("8s", "32s"):
        with Image.open(out / f"a.{variant}.confidence.png") as picture:
            values = np.asarray(picture)
        with Image.open(out / f"a.{variant}.png") as mask:
            assert picture.mode == "I;16" and picture.size == mask.size
        assert values.min() >= 65535 // 19 and len(np.unique(values)) > 100
    plan = plan_jobs([folder], tmp_path / "out")
    assert [Path(job.source).name for job in plan.jobs] == ["a.jpg"] and plan.ignored["masks"] == 4
    assert run_command(*command[:-1], "--again") == 0 and not list(out.glob("*.confidence.png"))
    assert {file.name for file in out.glob("*.png")} == {"a.8s.png"}


def test_a_folder_without_photos_says_what_it_holds(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotosError, match="is empty"):
        plan_jobs([tmp_path / "empty"], tmp_path / "out")
    folder = write_files(tmp_path / "in", {"a.mp4": VIDEO, "b.txt": b"", ".hidden": b""})
    with pytest.raises(PhotosError, match=r"only other files \(1 .mp4, 1 .txt\)"):
        plan_jobs([folder], tmp_path / "out")


def test_links_to_folders_are_followed_once(tmp_path):
    write_files(tmp_path / "disk", {"a.jpg": photo_bytes(), "deep/b.jpg": photo_bytes()})
    folder = write_files(tmp_path / "in", {"c.jpg": photo_bytes()})
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "circle").symlink_to(folder)
    plan = plan_jobs([folder], tmp_path / "out")
    targets = {os.path.relpath(job.target, tmp_path / "out") for job in plan.jobs}
    assert targets == {"c", "again/a", "again/deep/b"} and not plan.failed


def test_names_that_are_not_utf8(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in ((b"stra\xdfe.jpg", photo_bytes()), (b"br\xfccke.jpg", b"")):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(content)
    assert run_command("predict", folder, "--out", tmp_path / "out") == 1
    assert "br\\xfccke.jpg" in "".join(capsys.readouterr()).replace("\n", "")
    assert failures(tmp_path / "out").keys() == {"br\\xfccke.jpg"}
    (facts,) = (tmp_path / "out").glob("*.json")
    assert json.loads(facts.read_bytes())["photo"] == "stra\\xdfe.jpg"
    assert (
        run_command("predict", os.fsdecode(bytes(folder) + b"/none\xff.jpg"), "--out", tmp_path / "out") == 1
    )
    assert "none\\xff.jpg" in "".join(capsys.readouterr()).replace("\n", "")


class UnflaggedInfo(zipfile.ZipInfo):
    """A file of a zip whose name is UTF-8, but the zip does not say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(), self.flag_bits


def zipped(path: Path, files: dict[str, bytes], kind: type[zipfile.ZipInfo] = zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(kind(name), content)
    return path


def test_predict_takes_a_zip_and_resumes(tmp_path, capsys):
    files = {
        "day/a.jpg": photo_bytes(),
        "day/a.cr2": RAW,
        "b.jpg": b"no picture",
        "notes.txt": b"",
        "__MACOSX/._a.jpg": b"",
    }
    archive, out = zipped(tmp_path / "photos.zip", files), tmp_path / "out"
    assert run_command("predict", archive, "--out", out) == 1
    assert masks_in(out) == {"day/a.8s.png"} and failures(out).keys() == {"b.jpg"}
    assert json.loads((out / "day" / "a.json").read_bytes())["photo"] == "a.jpg"
    capsys.readouterr()
    assert run_command("predict", archive, "--out", out) == 1
    assert "1 of 2 photos are done, 1 of them before" in " ".join("".join(capsys.readouterr()).split())
    (tmp_path / "damaged.zip").write_bytes(archive.read_bytes()[:500])
    assert run_command("predict", tmp_path / "damaged.zip", "--out", out) == 1
    assert "cut off or damaged" in "".join(capsys.readouterr())


def test_the_orientation_of_a_photo_is_recorded(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.fromarray(scenes.render_scene(3, 160, 96).photo)
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "turned.jpg", exif=exif)
    picture.save(tmp_path / "in" / "turned.tif.tif", exif=exif)
    picture.save(tmp_path / "in" / "upright.jpg")
    assert run_command("predict", tmp_path / "in", "--out", tmp_path / "out") == 0
    facts = {file.stem: json.loads(file.read_bytes()) for file in (tmp_path / "out").glob("*.json")}
    recorded = {
        name: (fact["exif_orientation"], fact["width"], fact["height"]) for name, fact in facts.items()
    }
    assert recorded == {"turned": (6, 96, 160), "turned.tif": (6, 96, 160), "upright": (1, 160, 96)}


def test_zip_names_of_any_system(tmp_path):
    names = ["straße/brücke.jpg", "café.jpg"]
    flagged = archive_names(zipped(tmp_path / "flag.zip", dict.fromkeys(names, b"x")))
    unflagged = archive_names(zipped(tmp_path / "none.zip", dict.fromkeys(names, b"x"), UnflaggedInfo))
    decomposed = archive_names(zipped(tmp_path / "mac.zip", {"cafe\u0301.jpg": b"x"}, UnflaggedInfo))
    assert flagged == unflagged == names and decomposed == ["café.jpg"]


def archive_names(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [member.name for _, member in archives.members(file)]
