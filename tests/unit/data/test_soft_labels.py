"""Soft labels name two classes of every ambiguous pixel; they leave the labels as they are."""

from dataclasses import replace

import numpy as np
import pytest

from seg import paths
from seg.data import label_decoder, soft_labels
from seg.data.cityscapes import IGNORE, TRAIN_ID
from seg.data.datasets import load_split
from seg.data.label_decoder import IgnoreReason, decode_soft, decode_with_reasons
from seg.data.pairs import SIDE, exact_label, find_pairs, read_pair
from seg.data.soft_labels import with_soft_labels
from tests.support.pair_labels import as_pair_label

SKY, TREE = TRAIN_ID["sky"], TRAIN_ID["vegetation"]


def test_soft_labels_extend_the_labels(pairs):
    split = load_split(pairs, "val")
    soft = with_soft_labels(split)
    assert soft.labels.shape == (3, SIDE, SIDE, 3) and soft.photos is split.photos
    first, second, share = np.moveaxis(soft.labels, -1, 0)
    assert ((first == split.best_guesses) | (first == IGNORE)).all()
    assert (first != IGNORE)[split.best_guesses != IGNORE].mean() > 0.99
    is_sure = split.labels != IGNORE
    assert (second == first)[is_sure].all() and (share[is_sure] == 255).all()
    is_shared = second != first
    assert 0.01 < is_shared.mean() < 0.2 and not (first == IGNORE)[is_shared].any()


def test_the_share_of_an_even_blend_follows_its_color():
    exact = np.full((1024, 2048), SKY, np.uint8)
    for i in range(64):  # the border lies between 3 and 5 eighths of a pixel
        exact[16 * i : 16 * i + 16, 1024 + i % 3 + 3 :] = TREE
    picture = as_pair_label(exact)
    first, second, share = np.moveaxis(decode_soft(picture), -1, 0)
    tied = decode_with_reasons(picture).reasons == IgnoreReason.TIE
    assert tied.sum() > 50
    assert {*np.unique(first[tied]), *np.unique(second[tied])} == {SKY, TREE}
    of_sky = np.where(first == SKY, share, 255 - share)[tied] / 255
    assert 0.35 < of_sky.min() < of_sky.max() < 0.65


def test_shares_agree_with_exact_labels(pairs):
    """On average over tied pixels, and over the other ambiguous ones, the first class has its share."""
    found: dict[IgnoreReason, list[np.ndarray]] = {IgnoreReason.TIE: [], IgnoreReason.AMBIGUOUS: []}
    for file in find_pairs(pairs, "train"):
        picture, exact = read_pair(file)[1], exact_label(file)
        first, second, share = np.moveaxis(decode_soft(picture), -1, 0)
        cells = exact.reshape(SIDE, 2, SIDE, 4)
        of_first, of_second = ((cells == ids[:, None, :, None]).mean((1, 3)) for ids in (first, second))
        reasons = decode_with_reasons(picture).reasons
        for reason, values in found.items():
            at = (reasons == reason) & (first != second) & (second != IGNORE) & (of_first + of_second > 0.9)
            values.append(np.stack((of_first[at], share[at] / 255)))
    for values in found.values():
        true, decoded = np.concatenate(values, 1)
        assert len(true) > 500 and abs(true.mean() - decoded.mean()) < 0.08


def test_strips_give_the_same_soft_labels(pairs, monkeypatch):
    picture = read_pair(load_split(pairs, "val").files[0])[1]
    whole = decode_soft(picture)
    monkeypatch.setattr(label_decoder, "_STRIP_PIXELS", 64 * SIDE)
    assert (decode_soft(picture) == whole).all()


def test_soft_labels_are_decoded_once_and_checked(pairs, monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_CACHE", str(tmp_path))
    split, done = load_split(pairs, "val"), []
    stored = (tmp_path / f"decoded-{split.digest[:16]}-v1" / "labels.npy").stat().st_mtime_ns
    whole = np.array(with_soft_labels(split, lambda *progress: done.append(progress)).labels)
    assert done == [(1, 3), (2, 3), (3, 3)]
    file = next(paths.cache().glob("soft-*.npy"))
    (tmp_path / f".{file.name}.killed").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soft_labels, "_decode_all", None)
        assert (with_soft_labels(split).labels == whole).all()
    file.write_bytes(file.read_bytes()[:-1000])
    assert (with_soft_labels(split).labels == whole).all()
    assert sorted(path.name for path in tmp_path.iterdir() if "soft" in path.name) == [file.name]
    assert (tmp_path / f"decoded-{split.digest[:16]}-v1" / "labels.npy").stat().st_mtime_ns == stored


def test_unlabelled_pixels_stay_unlabelled(pairs):
    split = load_split(pairs, "val")
    labels = with_soft_labels(replace(split)).labels
    assert (labels[..., 1][labels[..., 0] == IGNORE] == IGNORE).all()
