"""Masks as PNG, overlay and COCO files, and the disagreement of several masks."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_tools
from pycocotools.coco import COCO

from seg.data.cityscapes import PALETTE, TRAIN_ID, colorize
from seg.evaluation.agreement import disagreement, disagreement_matrix, disagreement_share
from seg.inference.mask_io import coco, color_png, confidence_png, overlay, png, read_png, shares
from seg.inference.postprocess import LazyLogits, to_mask

RNG = np.random.default_rng(0)
MASK = RNG.integers(0, 19, (23, 31), dtype=np.uint8)


@pytest.mark.parametrize(
    "mask", [MASK, np.arange(256, dtype=np.uint8).reshape(8, 32), np.zeros((1, 1), np.uint8), MASK.T[::2]]
)
def test_png_keeps_every_id(mask):
    back = read_png(png(mask))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, mask)


def test_png_is_eight_bit_indexed_in_the_classes_colors():
    mask = np.array([[0, 1, 255]], np.uint8)
    data = png(mask)
    assert data[24:26] == b"\x08\x03"  # the header's bit depth and color type "indexed"
    assert (768).to_bytes(4, "big") + b"PLTE" in data  # a color for every id, 255 too
    rgb = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    assert rgb.tolist() == [[[128, 64, 128], [244, 35, 232], [0, 0, 0]]]
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png(MASK))).convert("RGB")), PALETTE[MASK])


def save(picture, form="PNG"):
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


def test_read_png_accepts_grey_and_refuses_other_files():
    np.testing.assert_array_equal(read_png(save(Image.fromarray(MASK))), MASK)
    with pytest.raises(ValueError, match="mode RGB"):
        read_png(save(Image.fromarray(colorize(MASK))))
    for data in (b"", b"no picture", png(MASK)[:-60], save(Image.fromarray(MASK), "BMP")):
        with pytest.raises(ValueError, match="not a whole PNG"):
            read_png(data)


def test_shares_are_of_all_pixels_in_descending_order():
    road, sky, car = TRAIN_ID["road"], TRAIN_ID["sky"], TRAIN_ID["car"]
    mask = np.array([[sky, sky, sky, 255], [car, road, sky, car]], np.uint8)
    assert list(shares(mask).items()) == [("sky", 0.5), ("car", 0.25), ("road", 0.125)]
    assert sum(shares(MASK).values()) == pytest.approx(1)


def test_overlay_ends_are_exact_and_the_middle_is_between():
    photo = RNG.integers(0, 256, (*MASK.shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(photo, MASK, 0), photo)
    np.testing.assert_array_equal(overlay(photo, MASK, 1), PALETTE[MASK])
    expected = photo * 0.7 + PALETTE[MASK] * 0.3
    assert np.abs(overlay(photo, MASK, 0.3) - expected).max() <= 1


def test_disagreement_counts_distinct_classes():
    rows = {"a": [1, 1, 1, 1, 5], "b": [1, 2, 1, 2, 5], "c": [1, 2, 3, 3, 6], "d": [1, 1, 1, 4, 6]}
    masks = {name: np.array([row], np.uint8) for name, row in rows.items()}
    assert disagreement(masks).tolist() == [[0, 1, 1, 3, 1]]
    assert disagreement(masks).dtype == np.uint8
    assert disagreement_share(masks) == 4 / 5
    assert disagreement_share({"alone": MASK}) == 0


def test_disagreement_matches_a_slow_count():
    stack = RNG.integers(0, 4, (5, 9, 11), dtype=np.uint8)
    slow = np.apply_along_axis(lambda ids: len(set(ids)) - 1, 0, stack)
    np.testing.assert_array_equal(disagreement({str(i): m for i, m in enumerate(stack)}), slow)


def test_disagreement_matrix_contains_shares_of_the_picture():
    a, b = np.array([[0, 0], [1, 18]], np.uint8), np.array([[0, 1], [1, 0]], np.uint8)
    matrix = disagreement_matrix(a, b)
    assert matrix.shape == (19, 19)
    assert {(int(i), int(j)): matrix[i, j] for i, j in np.argwhere(matrix)} == {
        k: 0.25 for k in [(0, 0), (0, 1), (1, 1), (18, 0)]
    }
    assert disagreement_matrix(MASK, MASK.copy()).sum() == pytest.approx(1)


BYTE = np.zeros((2, 2), np.uint8)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: disagreement({}), "no masks"),
        (lambda: disagreement({"fcn": BYTE, "unet": BYTE[:1]}), r"fcn is \(2, 2\), unet is \(1, 2\)"),
        (lambda: disagreement_share({}), "no masks"),
        (lambda: disagreement_matrix(BYTE, BYTE[:1]), "one shape"),
        (lambda: disagreement_matrix(BYTE + np.uint8(255), BYTE), "id 255 is none of the 19"),
        (lambda: disagreement_matrix(BYTE, BYTE + np.uint8(3), classes=3), "id 3 is none of the 3"),
        (lambda: overlay(np.zeros((2, 3, 3), np.uint8), BYTE, 0.5), r"must be \(2, 2, 3\)"),
        (lambda: overlay(np.zeros((2, 2, 3)), BYTE, 0.5), "not .* float64"),
        (lambda: overlay(np.zeros((2, 2, 3), np.uint8), BYTE, 1.5), "opacity"),
        (lambda: png(BYTE.astype(int)), "uint8"),
        (lambda: png(BYTE[0]), "HxW"),
        (lambda: shares(BYTE[:0]), "at least one pixel"),
    ],
)
def test_invalid_masks_are_refused_with_a_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_color_png_has_palette_colors_and_black():
    mask = np.where(MASK == 3, 255, MASK).astype(np.uint8)
    back = Image.open(io.BytesIO(color_png(mask)))
    assert back.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(back), colorize(mask))


def test_the_confidence_png_keeps_16_bits():
    confidence = RNG.uniform(1 / 19, 1, (23, 31)).astype(np.float32)  # the winner has at least 1 / 19
    confidence[0, :2] = 0, 1
    back = Image.open(io.BytesIO(confidence_png(confidence)))
    assert back.mode == "I;16"
    values = np.asarray(back)
    assert values[0, 0] == 0 and values[0, 1] == 65535
    np.testing.assert_allclose(values / 65535, confidence, atol=0.5 / 65535 + 1e-7)


def test_high_confidences_stay_distinct():
    """Float16 has 1,025 values from 0.5 to 1."""
    logits = torch.zeros(2, 1, 4096)
    logits[0] = torch.linspace(0, 10, 4096)
    _, confidence = to_mask(LazyLogits.from_tensor(logits), 1, 4096, with_confidence=True)
    assert confidence.dtype == np.float32
    values = np.asarray(Image.open(io.BytesIO(confidence_png(confidence))))
    assert len(np.unique(values)) > 2000 and not (values == 65535).any()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize(
    "mask", [MASK, np.kron(MASK, np.ones((3, 2), np.uint8)), np.pad(MASK * 0 + 1, 4, constant_values=255)]
)
def test_coco_tools_read_the_exported_run_lengths(mask, tmp_path):
    mask = mask.copy()
    mask[5:12, 5:12], mask[7:9, 7:9] = 2, 4  # a hole
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(coco(mask, "street.jpg")))
    loaded = COCO(file)
    back = np.full(mask.shape, 255, np.uint8)
    for annotation in loaded.loadAnns(loaded.getAnnIds()):
        of_class = loaded.annToMask(annotation).astype(bool)
        assert annotation["area"] == of_class.sum()
        assert annotation["bbox"] == coco_tools.toBbox(loaded.annToRLE(annotation)).tolist()
        back[of_class] = annotation["category_id"]
    np.testing.assert_array_equal(back, mask)
    assert loaded.loadCats([0])[0]["name"] == "road"
