"""Data sets as users have them: other suffixes, system files, links, odd names, nested folders."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from seg.data import split_folders
from seg.data.download import download
from seg.data.label_check import find_faults, summarize
from seg.data.pairs import (
    DatasetError,
    PairSizeError,
    content_hash,
    exact_label,
    find_pairs,
    has_pairs,
    is_rendered,
    list_datasets,
    mtime_fingerprint,
    read_pair,
    unusable_datasets,
)
from seg.system.file_names import is_system_file
from seg.system.folders import broken_links, vacate
from seg.training import run_status
from seg.training.run import Run

SYSTEM_FILES = ("._1.jpg", "._2.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg")


@pytest.fixture
def data(pairs, tmp_path) -> Path:
    return Path(shutil.copytree(pairs, tmp_path / "sets" / "streets"))


def test_content_and_order_of_plain_sets_stay_as_they_were(data):
    """Caches and published cards contain these hashes."""
    for split in ("train", "val"):
        former = sorted((data / split).glob("*.jpg"), key=lambda f: (len(f.stem), f.stem))
        former_hash = hashlib.sha256()
        for file in former:
            former_hash.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        assert list(find_pairs(data, split)) == former
        assert content_hash(find_pairs(data, split)) == former_hash.hexdigest()


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".png", ".PNG"])
def test_pairs_of_other_suffixes_are_found(data, suffix):
    expected = read_pair(data / "train" / "3.jpg")
    for file in (data / "train").iterdir():
        if suffix.lower() == ".png":
            Image.open(file).save(file.with_suffix(suffix), "PNG")
            file.unlink()
        else:
            file.rename(file.with_suffix(suffix))
    files = find_pairs(data, "train")
    assert [file.name for file in files] == [f"{number}{suffix}" for number in range(1, 15)]
    assert all((half == other).all() for half, other in zip(read_pair(files[2]), expected, strict=True))
    assert exact_label(files[2]) is not None and list_datasets(data.parent) == (data,)


def test_two_pairs_of_one_name_are_refused(data):
    shutil.copy(data / "train" / "2.jpg", data / "train" / "2.PNG")
    with pytest.raises(DatasetError, match=r"train contains 2\.PNG and 2\.jpg.*rename or remove"):
        find_pairs(data, "train")


def test_other_file_types_are_named(data):
    for file in (data / "train").iterdir():
        file.rename(file.with_suffix(".webp"))
    with pytest.raises(DatasetError, match=r"No pairs in .*train\. It contains 14 \.webp; pairs are \.jpg"):
        find_pairs(data, "train")


def test_system_files_are_ignored_everywhere(data, tmp_path):
    before = {split: content_hash(find_pairs(data, split)) for split in ("train", "val")}
    for folder in (data.parent, data, data / "train", data / "val"):
        for name in SYSTEM_FILES:
            (folder / name).write_bytes(b"\0\5\26\7" * 20)
    shutil.copytree(data, data.parent / "__MACOSX")
    shutil.copytree(data, data.parent / "$RECYCLE.BIN")
    assert {split: content_hash(find_pairs(data, split)) for split in before} == before
    assert list_datasets(data.parent) == (data,)
    assert find_faults(find_pairs(data, "train")) == []

    runs = tmp_path / "runs"
    for name in ("first", "__MACOSX", "._first"):
        Run(runs / name).create({"created": 1})
    assert [run.name for run in run_status.find_runs(runs)] == ["first"]


@pytest.mark.parametrize("name", [*SYSTEM_FILES, "__MACOSX/1.jpg", "a\\Thumbs.db", "a/DESKTOP.INI"])
def test_system_files_are_recognized(name):
    assert is_system_file(name)
    assert not is_system_file(f"{Path(name).name.lstrip('._')}x.jpg")


def test_a_folder_with_system_files_only_counts_as_empty(pairs, tmp_path, monkeypatch):
    target = tmp_path / "new"
    target.mkdir()
    for name in (".DS_Store", "._x", "Thumbs.db", "desktop.ini"):
        (target / name).write_bytes(b"x")
    monkeypatch.setattr("kagglehub.dataset_download", lambda name: str(pairs))
    monkeypatch.setattr("seg.data.download.DIGESTS", {})
    assert len(find_pairs(download(target), "train")) == 14
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / ".git").mkdir()
    assert not vacate(tmp_path / "kept") and (tmp_path / "kept" / ".git").is_dir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".DS_Store").write_bytes(b"x")
    Run(tmp_path / "run").create({})


def test_a_set_one_level_too_deep_is_used(data):
    deep = data.parent / "kaggle"
    shutil.copytree(data, deep / "cityscapes_data")
    (deep / "__MACOSX").mkdir()
    assert list_datasets(data.parent) == (deep, data) and has_pairs(deep, "val") and is_rendered(deep)
    assert content_hash(find_pairs(deep, "val")) == content_hash(find_pairs(data, "val"))
    assert exact_label(find_pairs(deep, "val")[0]) is not None
    shutil.copytree(data, deep / "second")
    with pytest.raises(DatasetError, match=r"contains 2 data sets. Choose one.*cityscapes_data or .*second"):
        find_pairs(deep, "train")


def test_links_are_followed_or_named(data, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (data / "train").rename(elsewhere)
    (data / "train").symlink_to(elsewhere)
    link = data.parent / "link"
    link.symlink_to(data)
    assert list_datasets(data.parent) == (link, data) and len(find_pairs(link, "train")) == 14
    elsewhere.rename(tmp_path / "moved")
    with pytest.raises(DatasetError, match=r"train is a link to .*elsewhere, which does not exist"):
        find_pairs(data, "train")
    lost = data.parent / "lost\udcff"
    lost.symlink_to(tmp_path / "nowhere\udcfe")
    with pytest.raises(DatasetError, match=r"lost\\xff is a link to .*nowhere\\xfe, which does not exist"):
        find_pairs(lost, "train")
    assert len(broken_links(data.parent)) == 1

    Run(tmp_path / "far").create({"created": 1})
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "near").symlink_to(tmp_path / "far")
    assert [run.name for run in run_status.find_runs(tmp_path / "runs")] == ["near"]


def test_names_that_are_not_utf8_are_read_and_reported(data):
    odd = data.parent / "odd\udcff"
    data.rename(odd)
    os.rename(odd / "train" / "1.jpg", odd / "train" / "1\udcff.jpg")
    (odd / "train" / "2.jpg").write_bytes(b"\xff\xd8")
    files = find_pairs(odd, "train")
    assert len(content_hash(files)) == len(mtime_fingerprint(files)) == 64
    (error,) = find_faults(files)
    assert r"odd\xff/train/2.jpg cannot be read" in str(error)
    str(error).encode()
    assert list_datasets(odd.parent) == (odd,)


def test_pairs_of_another_size_are_not_called_damaged(data):
    Image.new("RGB", (300, 200)).save(data / "train" / "1.jpg")
    Image.new("1", (20000, 12000)).save(data / "train" / "2.png")  # more than Pillow opens
    (data / "train" / "2.jpg").write_bytes(b"no picture")
    with pytest.raises(PairSizeError, match="wrong size: 300x200; a pair is 512x256 pixels"):
        read_pair(data / "train" / "1.jpg")
    with pytest.raises(PairSizeError, match="far too many pixels"):
        read_pair(data / "train" / "2.png")
    errors = find_faults([data / "train" / name for name in ("1.jpg", "2.jpg", "3.jpg")])
    assert summarize(errors) == "1 damaged, 1 of the wrong size"


def message_of(data: Path, split: str = "train") -> str:
    with pytest.raises(DatasetError) as caught:
        find_pairs(data, split)
    return str(caught.value)


@pytest.mark.parametrize("place", ["a/b", "a/b/c"])
def test_a_set_several_levels_too_deep_is_named(data, place):
    deep = data.parent / "deep" / place
    deep.parent.mkdir(parents=True)
    data.rename(deep)
    outer = data.parent / "deep"
    assert f"There are pairs in {deep}: choose this folder, or move its contents to {outer}." in message_of(
        outer
    )
    assert unusable_datasets(data.parent) == [message_of(outer)] and not list_datasets(data.parent)
    shutil.copytree(deep / "train", deep.parent / "other" / "train")
    assert "choose one of these folders" in message_of(outer)
    (deep.parent / "up").symlink_to(data.parent, target_is_directory=True)
    assert "up" not in message_of(outer)


def test_the_search_for_misplaced_pairs_is_bounded(data, monkeypatch):
    too_deep = data.parent / "a" / "b" / "c" / "d" / "e"
    too_deep.parent.mkdir(parents=True)
    data.rename(too_deep)
    assert "There are pairs" not in message_of(data.parent) and unusable_datasets(data.parent) == []
    monkeypatch.setattr(split_folders, "MAX_SEARCHED_ENTRIES", 3)
    (data.parent / "a" / "wide").mkdir()
    for number in range(10):
        (data.parent / "a" / "wide" / str(number)).mkdir()
    assert len(list(split_folders._searched_folders(data.parent))) <= 4


def test_capitals_of_split_names_are_accepted(data):
    pairs = {split: find_pairs(data, split) for split in ("train", "val")}
    labels = exact_label(pairs["val"][0])
    (data / "train").rename(data / "Train")
    (data / "val").rename(data / "VAL")
    for split, name in (("train", "Train"), ("val", "VAL")):
        files = find_pairs(data, split)
        assert [file.name for file in files] == [file.name for file in pairs[split]]
        assert has_pairs(data, split) and {file.parent.name for file in files} <= {name, split}
    assert (exact_label(find_pairs(data, "val")[0]) == labels).all()
    assert list_datasets(data.parent) == (data,) and list_datasets(data) == ()


@pytest.mark.parametrize(
    "split, name", [("val", "validation"), ("val", "Valid"), ("val", "test"), ("train", "training")]
)
def test_other_split_names_are_named_with_the_remedy(data, split, name):
    (data / split).rename(data / name)
    assert f"There are pairs in {data / name}: rename this folder to {split}." in message_of(data, split)


def test_a_split_given_as_data_set_is_named(data):
    message = message_of(data / "train")
    assert f"{data / 'train'} is itself a split: choose the folder that contains it, {data}." in message
    plain = (data / "train").rename(data.parent / "plain")
    assert f"{plain} itself contains pairs: move them to {plain / 'train'}." in message_of(plain)
    (data / "train").mkdir()
    inner = plain.rename(data / "train" / "images")
    message = message_of(data)
    assert f"There are pairs in {inner}: move those of train to {data / 'train'}." in message
    assert "It contains no files" in message


def test_a_set_with_val_only_is_named(data):
    shutil.rmtree(data / "train")
    message = message_of(data)
    assert f"There are pairs in {data / 'val'} only: add {data / 'train'}" in message
    assert unusable_datasets(data.parent) == [message]
    (data / "photos").mkdir()
    Image.new("RGB", (300, 200)).save(data / "photos" / "1.jpg")  # no pair
    assert message_of(data) == message
