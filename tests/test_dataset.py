"""Pairs on disk: found, checked, decoded once."""

import shutil

import numpy as np
import pytest
from PIL import Image

from seg import dataset, labels
from seg.dataset import DatasetError


def test_a_split_is_decoded_once_and_then_read(pairs, monkeypatch):
    seen = []
    first = dataset.load(pairs, "val", lambda done, total: seen.append((done, total)))
    assert first.photos.shape == (3, 256, 256, 3) and first.labels.shape == (3, 256, 256)
    photo, picture = dataset.read_pair(first.files[1])
    assert (first.photos[1] == photo).all() and (first.labels[1] == labels.decode(picture)).all()

    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(dataset, "_decode_all", never)
    assert dataset.load(pairs, "val").digest == first.digest
    monkeypatch.setattr(labels, "DECODER_VERSION", 0)
    with pytest.raises(AssertionError, match="decoded again"):  # by another decoder
        dataset.load(pairs, "val")


def test_decoding_reports_progress_and_follows_the_content(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "3.jpg", tmp_path / "val" / "2.jpg")
    seen = []
    changed = dataset.load(tmp_path, "val", lambda done, total: seen.append((done, total)))
    assert changed.digest != dataset.load(pairs, "val").digest
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_pairs_come_in_the_order_of_their_numbers(pairs):
    assert [f.stem for f in dataset.find(pairs, "train")] == [str(i) for i in range(1, 15)]


def test_missing_and_damaged_pairs_are_told(pairs, tmp_path):
    with pytest.raises(DatasetError, match="No pairs in .*data fetch.*data render"):
        dataset.load(tmp_path, "train")
    (tmp_path / "val").mkdir()
    Image.new("RGB", (100, 50)).save(tmp_path / "val" / "1.jpg")
    with pytest.raises(DatasetError, match="1.jpg is 100x50; a pair is 512x256"):
        dataset.load(tmp_path, "val")
    (tmp_path / "val" / "1.jpg").write_bytes((pairs / "val" / "1.jpg").read_bytes()[:5000])
    with pytest.raises(DatasetError, match="cannot be read as a JPEG"):
        dataset.load(tmp_path, "val")
    assert not list(dataset.CACHE.glob(".decoding-*"))


def test_class_shares_leave_out_what_is_ignored():
    shares, ignored = dataset.class_shares(np.array([[0, 0, 1, 255]], np.uint8))
    assert (shares[0], shares[1], shares.sum(), ignored) == (pytest.approx(2 / 3), pytest.approx(1 / 3), pytest.approx(1), 0.25)


def test_fetching_places_what_kaggle_sends(pairs, tmp_path, monkeypatch):
    sent = tmp_path / "cache" / "cityscapes_data"
    for split in dataset.SPLITS:
        shutil.copytree(pairs / split, sent / split)
    asked = []
    monkeypatch.setattr("kagglehub.dataset_download", lambda name: asked.append(name) or str(sent.parent))
    target = dataset.fetch(tmp_path / "placed" / "pairs")
    assert asked == ["dansbecker/cityscapes-image-pairs"]
    assert len(dataset.find(target, "train")) == 14
    with pytest.raises(DatasetError, match="not empty"):
        dataset.fetch(target)


def test_fetching_without_network_says_how_to_do_it_by_hand(tmp_path, monkeypatch):
    def unreachable(name):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("kagglehub.dataset_download", unreachable)
    with pytest.raises(DatasetError, match="Kaggle could not be reached.*kaggle.com/datasets/dansbecker.*train/1.jpg"):
        dataset.fetch(tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_what_is_decoded_and_what_changed_is_known_without_reading_it(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "5.jpg", tmp_path / "val" / "1.jpg")
    files = dataset.find(tmp_path, "val")
    assert not dataset.is_decoded(dataset.digest(files))
    dataset.load(tmp_path, "val")
    assert dataset.is_decoded(dataset.digest(files))
    before = dataset.stamp(files)
    assert before == dataset.stamp(files)
    shutil.copy(pairs / "train" / "6.jpg", tmp_path / "val" / "1.jpg")
    assert dataset.stamp(files) != before


def test_a_decoding_under_way_tells_others_how_far_it_is(pairs, tmp_path):
    shutil.copytree(pairs / "val", tmp_path / "val")
    shutil.copy(pairs / "train" / "7.jpg", tmp_path / "val" / "1.jpg")
    found, seen = dataset.digest(dataset.find(tmp_path, "val")), []
    dataset.load(tmp_path, "val", lambda done, total: seen.append(dataset.decoding(found)))
    assert seen == [(1, 3), (2, 3), (3, 3)] and dataset.decoding(found) is None
    assert not list(dataset.CACHE.glob("decoded-*/*done"))

    left = dataset.CACHE / f".decoding-{dataset._place('0' * 64).name}-killed"
    left.mkdir()
    (left / "done").write_text(f"1 3 {2**22 + 1}")  # of a process that is gone: above any pid_max that is usual
    assert dataset.decoding("0" * 64) is None
    shutil.rmtree(left)


def test_pixels_are_counted_by_class_with_the_ignored_last():
    found = dataset.counts(np.array([[[0, 0], [18, 255]], [[3, 3], [3, 3]]], np.uint8))
    assert found.shape == (2, 20) and found.sum(1).tolist() == [4, 4]
    assert (found[0, 0], found[0, 18], found[0, 19], found[1, 3]) == (2, 1, 1, 4)


def test_a_survey_knows_why_pixels_are_ignored_and_how_right_the_others_are(pairs, tmp_path):
    seen = []
    files = dataset.find(pairs, "val")
    found = dataset.survey(files, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    pixels = 3 * dataset.SIDE**2
    assert found.whys.sum() == found.decoded.sum() == found.nearest.sum() == found.exact.sum() == pixels
    assert found.whys[labels.Why.KEPT] == found.decoded[:19].sum()
    assert found.right / found.kept > 0.99 and found.kept > 0.8 * pixels

    (tmp_path / "val").mkdir()
    shutil.copy(files[0], tmp_path / "val" / "1.jpg")
    lone = dataset.find(tmp_path, "val")
    without = dataset.survey(lone)
    assert dataset.exact(lone[0]) is None and without.kept == 0 and without.exact.sum() == 0
    assert dataset.exact(files[0]).shape == (512, 1024)
    (tmp_path / "exact" / "val").mkdir(parents=True)
    (tmp_path / "exact" / "val" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="1.png cannot be read as a PNG"):
        dataset.exact(lone[0])
