"""Which coding a label picture is read in, detected or chosen."""

import io

import numpy as np
import pytest
from PIL import Image

from seg.data import cityscapes, label_import, scenes

SCENE = scenes.render_scene(6, 256, 128)
SIZE = (256, 128)
LABEL_IDS = np.zeros(256, np.uint8)
LABEL_IDS[: len(cityscapes.LABEL_IDS)] = cityscapes.LABEL_IDS


def png(values: np.ndarray, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    picture = Image.fromarray(values)
    (picture.convert(mode) if mode else picture).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("coding, ids", [("train ids", SCENE.label), ("label ids", LABEL_IDS[SCENE.label])])
def test_equal_channels_are_ids(mode, coding, ids):
    imported = label_import.read_label(png(ids, mode), SIZE)
    assert imported.coding == coding
    np.testing.assert_array_equal(imported.label, SCENE.label)


def test_the_gray_of_a_class_is_a_color():
    gray = np.array(cityscapes.PALETTE[cityscapes.NAMES.index("building")])
    imported = label_import.read_label(png(np.broadcast_to(gray, (128, 256, 3)).copy()), SIZE)
    assert (imported.coding, imported.classes) == ("colors", ["building"])


def test_classes_and_ignored_pixels_are_counted():
    mask = np.zeros((128, 256), np.uint8)
    mask[:32], mask[-8:] = 1, cityscapes.IGNORE
    imported = label_import.read_label(png(mask), SIZE)
    assert imported.classes == ["road", "sidewalk"] and imported.ignored_fraction == 8 / 128


@pytest.mark.parametrize(
    "values, coding",
    [
        (np.full((128, 256), 255, np.uint8), None),
        (np.zeros((128, 256), np.uint8), "label ids"),
        (np.zeros((128, 256, 3), np.uint8), "colors"),
        (np.tile(np.array([[[0, 0, 0]], [[255, 255, 255]]], np.uint8), (64, 256, 1)), "blended colors"),
    ],
)
def test_a_label_without_a_class_is_refused(values, coding):
    with pytest.raises(label_import.LabelImportError, match="No pixel of this label picture has a class"):
        label_import.read_label(png(values), SIZE, coding)


def test_a_chosen_coding_is_used():
    ids = np.full((128, 256), 7, np.uint8)
    assert label_import.read_label(png(ids), SIZE, "train ids").classes == [cityscapes.NAMES[7]]
    assert label_import.read_label(png(ids), SIZE, "label ids").classes == ["road"]
    with pytest.raises(label_import.LabelImportError, match="read it as label ids"):
        label_import.read_label(png(LABEL_IDS[SCENE.label]), SIZE, "train ids")
    with pytest.raises(label_import.LabelImportError, match="color picture"):
        label_import.read_label(png(SCENE.photo), SIZE, "train ids")


@pytest.mark.parametrize("ids", [SCENE.label, LABEL_IDS[SCENE.label]], ids=["train ids", "label ids"])
def test_gray_palettes_hold_ids(ids):
    """Pillow writes such pictures as GIF and by `quantize`: the indices are another numbering."""
    out = io.BytesIO()
    quantized = Image.fromarray(ids).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    assert (np.asarray(quantized) != ids).any()
    quantized.save(out, "PNG")
    np.testing.assert_array_equal(label_import.read_label(out.getvalue(), SIZE).label, SCENE.label)


def test_a_palette_for_viewing_keeps_the_indices_as_ids():
    out = io.BytesIO()
    picture = Image.fromarray(SCENE.label)
    picture.putpalette([level for index in range(256) for level in [index * 7 % 256] * 3])
    picture.save(out, "PNG")
    np.testing.assert_array_equal(label_import.read_label(out.getvalue(), SIZE).label, SCENE.label)


@pytest.mark.parametrize("alpha", [False, True])
def test_ids_in_the_red_channel_are_read(alpha):
    """CARLA writes them so."""
    zeros = np.zeros_like(SCENE.label)
    channels = [LABEL_IDS[SCENE.label], zeros, zeros] + [zeros + 255] * alpha
    imported = label_import.read_label(png(np.stack(channels, 2)), SIZE)
    assert imported.coding == "label ids"
    np.testing.assert_array_equal(imported.label, SCENE.label)


def test_the_red_of_a_rider_is_a_color():
    picture = np.zeros((128, 256, 3), np.uint8)
    picture[:64, :, 0] = 255
    imported = label_import.read_label(png(picture), SIZE)
    assert (imported.coding, imported.classes) == ("colors", ["rider"])


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_exchanged_red_and_blue_are_named(form):
    out = io.BytesIO()
    Image.fromarray(cityscapes.colorize(SCENE.label)[..., ::-1]).save(out, form)
    with pytest.raises(label_import.LabelImportError, match="red and blue are exchanged, as OpenCV does"):
        label_import.read_label(out.getvalue(), SIZE)


@pytest.mark.parametrize(
    "used, coding, other",
    [
        ((0, 1, 2, 10, 11), "train ids", None),  # sky
        ((0, 7, 8, 255), "train ids", None),
        ((0, 1, 2, 3), "train ids", None),  # as label ids, none would have a class
        ((7, 8, 23), "label ids", None),
        ((3, 7, 8, 11), "label ids", "train ids"),  # road, sidewalk, building; or sign, vegetation, person
        ((0, 7, 8, 11), "train ids", "label ids"),
    ],
)
def test_the_set_of_ids_decides_or_leaves_the_choice(used, coding, other):
    ids = np.resize(np.array(used, np.uint8), (128, 256))
    imported = label_import.read_label(png(ids), SIZE)
    assert (imported.coding, imported.other_coding) == (coding, other)
    expected = ids if coding == "train ids" else label_import._FROM_LABEL_ID[ids]
    np.testing.assert_array_equal(imported.label, expected)
    if other:
        assert label_import.read_label(png(ids), SIZE, other).other_coding is None
