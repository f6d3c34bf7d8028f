"""The class table, and the decoder against exact maps."""

import io

import numpy as np
import pytest
from PIL import Image

from seg import labels, scenes
from seg.labels import (
    CLASSES,
    IGNORE,
    NAMES,
    OFFICIAL_SHARES,
    PALETTE,
    TRAIN_ID,
    Why,
    colorize,
    decode,
    explain,
    majority,
    nearest,
)

SIDE = 256


def as_pair_label(exact: np.ndarray) -> np.ndarray:
    """HxW train ids -> their colours, shrunk antialiased and JPEG-compressed the way the pairs are (quality 95, 4:2:0)."""
    picture = Image.fromarray(colorize(exact)).resize((SIDE, SIDE), Image.Resampling.BOX)
    pair = Image.new("RGB", (2 * SIDE, SIDE))
    pair.paste(picture, (SIDE, 0))
    stored = io.BytesIO()
    pair.save(stored, "JPEG", quality=95, subsampling=2)
    return np.asarray(Image.open(stored).convert("RGB"))[:, SIDE:]


def test_the_table_has_nineteen_classes_with_colours_of_their_own():
    assert (len(CLASSES), len(set(NAMES)), len({tuple(c) for c in PALETTE.tolist()})) == (19, 19, 19)
    assert (TRAIN_ID["road"], TRAIN_ID["sky"], TRAIN_ID["bicycle"]) == (0, 10, 18)
    assert CLASSES[13] == ("car", "vehicle", (0, 0, 142))


def test_the_decoder_on_rendered_scenes():
    right = kept = known = 0
    true, found = np.zeros(19), np.zeros(19)
    for seed in range(16):
        exact = scenes.render(seed).label
        truth, decoded = majority(exact, SIDE), decode(as_pair_label(exact))
        has = truth != IGNORE
        sure = has & (decoded != IGNORE)
        known, kept, right = known + has.sum(), kept + sure.sum(), right + (decoded == truth)[sure].sum()
        true += np.bincount(truth[has], minlength=19)
        found += np.bincount(decoded[decoded != IGNORE], minlength=19)[:19]
    assert right / kept >= 0.995
    assert 1 - kept / known <= 0.08
    for k in np.flatnonzero(true / known > 0.0005):
        assert 0.75 <= found[k] / true[k] <= 1.10, NAMES[k]


def test_no_class_is_invented_between_two_others():
    # half-way between car (0, 0, 142) and void (0, 0, 0) lies truck (0, 0, 70), between bright and dark lies much else
    for one, other in (("car", IGNORE), ("sky", "vegetation"), ("road", "car"), ("sidewalk", "vegetation")):
        exact = np.full((1024, 2048), TRAIN_ID.get(one, IGNORE), np.uint8)
        y, x = np.mgrid[:1024, :2048]
        exact[(y - 512) ** 2 + (x / 2 - 512) ** 2 < 300**2] = TRAIN_ID.get(other, IGNORE)
        decoded = decode(as_pair_label(exact))
        assert set(np.unique(decoded)) <= {TRAIN_ID.get(one, IGNORE), TRAIN_ID.get(other, IGNORE), IGNORE}
        assert (nearest(as_pair_label(exact)) != decoded).any()


def test_thin_poles_survive():
    exact = np.full((1024, 2048), TRAIN_ID["building"], np.uint8)
    for i in range(10):
        exact[200:800, 100 + 190 * i : 100 + 190 * i + 10] = TRAIN_ID["pole"]  # 1.25 pixels wide once shrunk
    decoded, truth = decode(as_pair_label(exact)), majority(exact, SIDE)
    pole = TRAIN_ID["pole"]
    assert (decoded == pole)[truth == pole].mean() > 0.75
    assert (decoded == pole).sum() <= 1.1 * (truth == pole).sum()


def test_void_is_ignored_and_flat_colours_are_exact():
    for k in range(len(CLASSES)):
        flat = np.full((64, 64, 3), PALETTE[k], np.uint8)
        assert (decode(flat)[2:-2, 2:-2] == k).all(), NAMES[k]
    for color in labels.VOID_COLORS.values():
        assert (decode(np.full((64, 64, 3), color, np.uint8)) == IGNORE).all()


def test_colorize_and_nearest_are_inverse():
    ids = np.arange(19, dtype=np.uint8).reshape(1, -1)
    assert (nearest(colorize(ids)) == ids).all()
    assert colorize(np.array([[IGNORE]], np.uint8)).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 3)])
def test_tiny_pictures_decode(shape):
    assert decode(np.zeros(shape, np.uint8)).shape == shape[:2]


def test_every_ignored_pixel_has_a_reason_and_no_other():
    exact = scenes.render(0).label
    picture = as_pair_label(exact)
    label, why = explain(picture)
    assert (label == decode(picture)).all() and ((why != Why.KEPT) == (label == IGNORE)).all()
    assert (why == Why.EVEN).any() and (why == Why.TORN).any()

    flat = np.full((64, 64, 3), 0, np.uint8)
    assert (explain(flat)[1] == Why.BLACK).all()
    flat[:] = labels.VOID_COLORS["bridge"]
    assert (explain(flat)[1][2:-2, 2:-2] == Why.VOID).all()
    flat[:] = (255, 255, 0)
    assert (explain(flat)[1] == Why.UNKNOWN).all()
    flat[:, :32], flat[:, 32:] = PALETTE[TRAIN_ID["road"]], PALETTE[TRAIN_ID["sidewalk"]]
    flat[:, 31] = (flat[0, 0].astype(int) + flat[0, 63]) // 2
    assert (explain(flat)[1][8:-8, 31] == Why.EVEN).all() and (explain(flat)[1][8:-8, 8:24] == Why.KEPT).all()


def test_the_official_shares_are_those_of_all_classes():
    assert len(OFFICIAL_SHARES) == len(CLASSES) and sum(OFFICIAL_SHARES) == pytest.approx(1, abs=0.01)
