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
    assert label_import.read_label(png(ids), SIZE).classes == [cityscapes.NAMES[7]]
    assert label_import.read_label(png(ids), SIZE, "label ids").classes == ["road"]
    with pytest.raises(label_import.LabelImportError, match="read it as label ids"):
        label_import.read_label(png(LABEL_IDS[SCENE.label]), SIZE, "train ids")
    with pytest.raises(label_import.LabelImportError, match="color picture"):
        label_import.read_label(png(SCENE.photo), SIZE, "train ids")
