"""Pairs on disk are found, checked and decoded once."""

import shutil

import numpy as np
import pytest
from PIL import Image

from seg import paths
from seg.data import decode_cache, label_decoder
from seg.data.datasets import load_split
from seg.data.decode_cache import _folder_of, decoding_progress, is_decoded
from seg.data.download import download
from seg.data.pairs import (
    SIDE,
    SPLITS,
    DatasetError,
    content_hash,
    exact_label,
    find_pairs,
    mtime_fingerprint,
    read_pair,
)
from seg.data.statistics import class_pixel_counts, class_shares, label_statistics
from seg.system.status_file import write_status


def test_a_split_is_decoded_once_and_then_cached(pairs, monkeypatch):
    progress = []
    first = load_split(pairs, "val", lambda done, total: progress.append((done, total)))
    assert first.photos.shape == (3, 256, 256, 3) and first.labels.shape == (3, 256, 256)
    photo, picture = read_pair(first.files[1])
    assert (first.photos[1] == photo).all() and (first.labels[1] == label_decoder.decode(picture)).all()

    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decode_cache, "_decode_all", never)
    assert load_split(pairs, "val").digest == first.digest
    monkeypatch.setattr(label_decoder, "DECODER_VERSION", 0)
    with pytest.raises(AssertionError, match="decoded again"):  # with another decoder version
        load_split(pairs, "val")


def test_decoding_reports_progress_and_follows_the_content(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "3.jpg", tmp_path / "val" / "2.jpg")
    progress = []
    changed = load_split(tmp_path, "val", lambda done, total: progress.append((done, total)))
    assert changed.digest != load_split(pairs, "val").digest
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_pairs_are_sorted_by_number(pairs):
    assert [f.stem for f in find_pairs(pairs, "train")] == [str(i) for i in range(1, 15)]


def test_missing_and_damaged_pairs_are_reported(pairs, tmp_path):
    with pytest.raises(DatasetError, match="no data set that is recognized.*data fetch.*data render"):
        load_split(tmp_path, "train")
    (tmp_path / "val").mkdir()
    Image.new("RGB", (100, 50)).save(tmp_path / "val" / "1.jpg")
    with pytest.raises(DatasetError, match="1.jpg has the wrong size: 100x50; a pair is 512x256"):
        load_split(tmp_path, "val")
    (tmp_path / "val" / "1.jpg").write_bytes((pairs / "val" / "1.jpg").read_bytes()[:5000])
    with pytest.raises(DatasetError, match="cannot be read as a JPEG"):
        load_split(tmp_path, "val")
    assert not list(paths.cache().glob(".decoding-*"))


def test_class_shares_exclude_ignored_pixels():
    shares, ignored = class_shares(np.array([[0, 0, 1, 255]], np.uint8))
    assert (shares[0], shares[1], shares.sum(), ignored) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
        pytest.approx(1),
        0.25,
    )


def test_fetching_stores_the_kaggle_dataset(pairs, tmp_path, monkeypatch):
    sent = tmp_path / "cache" / "cityscapes_data"
    for split in SPLITS:
        shutil.copytree(pairs / split, sent / split)
    requests = []
    monkeypatch.setattr("kagglehub.dataset_download", lambda name: requests.append(name) or str(sent.parent))
    with pytest.raises(DatasetError, match="content of train differs. Nothing was kept. Download https"):
        download(tmp_path / "placed" / "pairs")
    assert not (tmp_path / "placed").exists()
    monkeypatch.setattr(
        "seg.data.download.DIGESTS", {split: content_hash(find_pairs(pairs, split)) for split in SPLITS}
    )
    requests.clear()
    target = download(tmp_path / "placed" / "pairs")
    assert requests == ["dansbecker/cityscapes-image-pairs/versions/1"]
    assert len(find_pairs(target, "train")) == 14
    with pytest.raises(DatasetError, match="not empty"):
        download(target)


def test_fetching_without_network_gives_manual_instructions(tmp_path, monkeypatch):
    def unreachable(name):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("kagglehub.dataset_download", unreachable)
    with pytest.raises(
        DatasetError, match="Kaggle could not be reached.*kaggle.com/datasets/dansbecker.*train/1.jpg"
    ):
        download(tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_cached_and_changed_pairs_are_detected_without_decoding(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "5.jpg", tmp_path / "val" / "1.jpg")
    files = find_pairs(tmp_path, "val")
    assert not is_decoded(content_hash(files))
    load_split(tmp_path, "val")
    assert is_decoded(content_hash(files))
    before = mtime_fingerprint(files)
    assert before == mtime_fingerprint(files)
    shutil.copy(pairs / "train" / "6.jpg", tmp_path / "val" / "1.jpg")
    assert mtime_fingerprint(files) != before


def test_other_processes_see_the_progress_of_a_decoding(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "7.jpg", tmp_path / "val" / "1.jpg")
    digest, progress = content_hash(find_pairs(tmp_path, "val")), []
    load_split(tmp_path, "val", lambda done, total: progress.append(decoding_progress(digest)))
    assert progress == [(1, 3), (2, 3), (3, 3)] and decoding_progress(digest) is None
    assert not list(paths.cache().glob("decoded-*/*.json"))

    leftover = paths.cache() / f".decoding-{_folder_of('0' * 64).name}-killed"
    leftover.mkdir()
    # a process that does not exist: the pid is above the usual pid_max
    write_status(leftover, "decoding", {"status": "running", "done": 1, "total": 3}, 2**22 + 1)
    assert decoding_progress("0" * 64) is None
    shutil.rmtree(leftover)


def test_pixel_counts_have_the_ignored_class_last():
    counts = class_pixel_counts(np.array([[[0, 0], [18, 255]], [[3, 3], [3, 3]]], np.uint8))
    assert counts.shape == (2, 20) and counts.sum(1).tolist() == [4, 4]
    assert (counts[0, 0], counts[0, 18], counts[0, 19], counts[1, 3]) == (2, 1, 1, 4)


def test_label_statistics_include_ignore_reasons_and_accuracy(pairs, tmp_path):
    progress = []
    files = find_pairs(pairs, "val")
    statistics = label_statistics(files, lambda done, total: progress.append((done, total)))
    assert progress == [(1, 3), (2, 3), (3, 3)]
    pixels = 3 * SIDE**2
    assert (
        statistics.reasons.sum()
        == statistics.decoded.sum()
        == statistics.nearest.sum()
        == statistics.exact.sum()
        == pixels
    )
    assert statistics.reasons[label_decoder.IgnoreReason.KEPT] == statistics.decoded[:19].sum()
    assert statistics.right / statistics.kept > 0.99 and statistics.kept > 0.8 * pixels

    (tmp_path / "val").mkdir()
    shutil.copy(files[0], tmp_path / "val" / "1.jpg")
    lone = find_pairs(tmp_path, "val")
    without = label_statistics(lone)
    assert exact_label(lone[0]) is None and without.kept == 0 and without.exact.sum() == 0
    assert exact_label(files[0]).shape == (512, 1024)
    (tmp_path / "exact" / "val").mkdir(parents=True)
    (tmp_path / "exact" / "val" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="1.png cannot be read as a PNG"):
        exact_label(lone[0])
