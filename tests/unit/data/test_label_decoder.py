"""The class table, and the decoder compared with exact label maps."""

import numpy as np
import pytest

from seg.data import cityscapes, scenes
from seg.data.cityscapes import (
    CITYSCAPES_CLASS_FREQUENCIES,
    CLASSES,
    IGNORE,
    NAMES,
    PALETTE,
    TRAIN_ID,
    colorize,
    downsample_majority,
)
from seg.data.label_decoder import IgnoreReason, decode, decode_nearest_color, decode_with_reasons
from seg.data.pairs import SIDE, exact_label, find_pairs
from tests.support.pair_labels import as_pair_label


def test_the_table_has_nineteen_classes_with_distinct_colors():
    assert (len(CLASSES), len(set(NAMES)), len({tuple(c) for c in PALETTE.tolist()})) == (19, 19, 19)
    assert (TRAIN_ID["road"], TRAIN_ID["sky"], TRAIN_ID["bicycle"]) == (0, 10, 18)
    assert CLASSES[13] == ("car", "vehicle", (0, 0, 142))


@pytest.mark.slow
def test_the_decoder_on_rendered_scenes(pairs):
    correct_count = decoded_count = labeled_count = 0
    true_by_class, decoded_by_class = np.zeros(19), np.zeros(19)
    for file in [*find_pairs(pairs, "train"), *find_pairs(pairs, "val")]:
        exact = exact_label(file)
        truth, decoded = downsample_majority(exact, SIDE), decode(as_pair_label(exact))
        labeled = truth != IGNORE
        decided = labeled & (decoded != IGNORE)
        labeled_count, decoded_count, correct_count = (
            labeled_count + labeled.sum(),
            decoded_count + decided.sum(),
            correct_count + (decoded == truth)[decided].sum(),
        )
        true_by_class += np.bincount(truth[labeled], minlength=19)
        decoded_by_class += np.bincount(decoded[decoded != IGNORE], minlength=19)[:19]
    assert correct_count / decoded_count >= 0.995
    assert 1 - decoded_count / labeled_count <= 0.08
    for k in np.flatnonzero(true_by_class / labeled_count > 0.0005):
        assert 0.75 <= decoded_by_class[k] / true_by_class[k] <= 1.10, NAMES[k]


def test_no_class_appears_between_two_others():
    # truck (0, 0, 70) lies half-way between car (0, 0, 142) and void (0, 0, 0); many classes lie between
    # bright and dark colors
    for outer, inner in (("car", IGNORE), ("sky", "vegetation"), ("road", "car"), ("sidewalk", "vegetation")):
        exact = np.full((1024, 2048), TRAIN_ID.get(outer, IGNORE), np.uint8)
        y, x = np.mgrid[:1024, :2048]
        exact[(y - 512) ** 2 + (x / 2 - 512) ** 2 < 300**2] = TRAIN_ID.get(inner, IGNORE)
        decoded = decode(as_pair_label(exact))
        assert set(np.unique(decoded)) <= {TRAIN_ID.get(outer, IGNORE), TRAIN_ID.get(inner, IGNORE), IGNORE}
        assert (decode_nearest_color(as_pair_label(exact)) != decoded).any()


def test_thin_poles_survive():
    exact = np.full((1024, 2048), TRAIN_ID["building"], np.uint8)
    for i in range(10):
        exact[200:800, 100 + 190 * i : 100 + 190 * i + 10] = TRAIN_ID["pole"]  # 1.25 pixels in a pair
    decoded, truth = decode(as_pair_label(exact)), downsample_majority(exact, SIDE)
    pole = TRAIN_ID["pole"]
    assert (decoded == pole)[truth == pole].mean() > 0.75
    assert (decoded == pole).sum() <= 1.1 * (truth == pole).sum()


def test_void_is_ignored_and_flat_colors_are_exact():
    for k in range(len(CLASSES)):
        flat = np.full((64, 64, 3), PALETTE[k], np.uint8)
        assert (decode(flat)[2:-2, 2:-2] == k).all(), NAMES[k]
    for color in cityscapes.VOID_COLORS.values():
        assert (decode(np.full((64, 64, 3), color, np.uint8)) == IGNORE).all()


def test_colorize_and_nearest_are_inverse():
    ids = np.arange(19, dtype=np.uint8).reshape(1, -1)
    assert (decode_nearest_color(colorize(ids)) == ids).all()
    assert colorize(np.array([[IGNORE]], np.uint8)).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 3)])
def test_tiny_pictures_decode(shape):
    assert decode(np.zeros(shape, np.uint8)).shape == shape[:2]


def test_only_ignored_pixels_have_a_reason():
    exact = scenes.render_scene(0).label
    picture = as_pair_label(exact)
    label, why, best_guess = decode_with_reasons(picture)
    assert (label == decode(picture)).all() and ((why != IgnoreReason.KEPT) == (label == IGNORE)).all()
    assert (why == IgnoreReason.TIE).any() and (why == IgnoreReason.AMBIGUOUS).any()

    flat = np.full((64, 64, 3), 0, np.uint8)
    assert (decode_with_reasons(flat)[1] == IgnoreReason.BLACK).all()
    flat[:] = cityscapes.VOID_COLORS["bridge"]
    assert (decode_with_reasons(flat)[1][2:-2, 2:-2] == IgnoreReason.VOID).all()
    flat[:] = (255, 255, 0)
    assert (decode_with_reasons(flat)[1] == IgnoreReason.UNKNOWN).all()
    flat[:, :32], flat[:, 32:] = PALETTE[TRAIN_ID["road"]], PALETTE[TRAIN_ID["sidewalk"]]
    flat[:, 31] = (flat[0, 0].astype(int) + flat[0, 63]) // 2
    assert (decode_with_reasons(flat)[1][8:-8, 31] == IgnoreReason.TIE).all() and (
        decode_with_reasons(flat)[1][8:-8, 8:24] == IgnoreReason.KEPT
    ).all()


def test_the_official_shares_cover_all_classes():
    assert len(CITYSCAPES_CLASS_FREQUENCIES) == len(CLASSES) and sum(
        CITYSCAPES_CLASS_FREQUENCIES
    ) == pytest.approx(1, abs=0.01)
