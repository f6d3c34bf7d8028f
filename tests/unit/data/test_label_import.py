"""Label pictures are imported from every supported form, and other files are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from seg.data import cityscapes, label_decoder, label_import, scenes
from seg.data.pairs import find_pairs, read_pair
from seg.inference import mask_io

SCENE = scenes.render_scene(6, 256, 128)
SIZE = (256, 128)


def file(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def as_label_ids(label: np.ndarray) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    table[: len(cityscapes.LABEL_IDS)] = cityscapes.LABEL_IDS
    return table[label]


FORMS = {
    "gray train ids": (file(Image.fromarray(SCENE.label)), "train ids"),
    "our indexed PNG": (mask_io.png(SCENE.label), "colors"),  # its colors and its indices agree
    "gray label ids": (file(Image.fromarray(as_label_ids(SCENE.label))), "label ids"),
    "16-bit label ids": (file(Image.fromarray(as_label_ids(SCENE.label).astype(np.uint16))), "label ids"),
    "colors": (file(Image.fromarray(cityscapes.colorize(SCENE.label))), "colors"),
    "colors with alpha": (
        file(Image.fromarray(cityscapes.colorize(SCENE.label)).convert("RGBA")),
        "colors",
    ),
    "indexed colors, other indices": (
        file(Image.fromarray(cityscapes.colorize(SCENE.label)).quantize(64)),
        "colors",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_exact_form_gives_the_same_label(name):
    data, form = FORMS[name]
    imported = label_import.read_label(data, SIZE)
    assert imported.coding == form
    np.testing.assert_array_equal(imported.label, SCENE.label)


def test_train_ids_with_a_custom_palette_are_read():
    picture = Image.fromarray(SCENE.label)
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    imported = label_import.read_label(file(picture), SIZE)
    assert imported.coding == "train ids"
    np.testing.assert_array_equal(imported.label, SCENE.label)


def test_compressed_colors_are_decoded():
    imported = label_import.read_label(
        file(Image.fromarray(cityscapes.colorize(SCENE.label)), "JPEG", quality=95), SIZE
    )
    labeled = (imported.label != cityscapes.IGNORE) & (SCENE.label != cityscapes.IGNORE)
    assert imported.coding == "blended colors"
    assert labeled.mean() > 0.8 and (imported.label == SCENE.label)[labeled].mean() > 0.97


def test_a_label_is_resized_to_the_photo():
    imported = label_import.read_label(mask_io.png(SCENE.label), (512, 256))
    np.testing.assert_array_equal(imported.label, SCENE.label.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "empty"),
        (b"no picture", "not a picture"),
        (mask_io.png(SCENE.label)[:200], "cut off"),
        (file(Image.fromarray(SCENE.photo)), "no label picture"),
        (file(Image.fromarray(np.arange(200, dtype=np.uint8)[None].repeat(100, 0))), "0 to 199"),
        (file(Image.fromarray(np.full((128, 256), 4000, np.uint16))), "4000"),
        (mask_io.png(SCENE.label[:, :128]), "one shape"),
    ],
)
def test_files_that_are_no_label_are_refused(data, message):
    with pytest.raises(label_import.LabelImportError, match=message):
        label_import.read_label(data, SIZE)


@pytest.mark.slow
def test_pairs_are_recognized_and_split(pairs):
    for path in find_pairs(pairs, "val"):
        picture = Image.open(path).convert("RGB")
        street, label = label_import.split_pair(picture)
        left, right = read_pair(path)
        assert street.size == (512, 256) and label.shape == (256, 512)
        np.testing.assert_array_equal(label[:, ::2], label_decoder.decode(right))
        np.testing.assert_array_equal(
            np.asarray(street.resize((256, 256), Image.Resampling.BOX)).shape, left.shape
        )
        assert label_import.split_pair(picture.resize((256, 128))) is None
        swapped = Image.fromarray(np.concatenate((right, left), 1))
        assert label_import.split_pair(swapped) is None
    for seed in range(4):
        assert label_import.split_pair(Image.fromarray(scenes.render_scene(seed, 512, 256).photo)) is None
    drawing = cityscapes.colorize(scenes.render_scene(1, 512, 256).label)
    assert label_import.split_pair(Image.fromarray(drawing)) is None  # a label alone is no pair
