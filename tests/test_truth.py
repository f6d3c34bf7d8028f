"""Label pictures in every form that people have them in."""

import io

import numpy as np
import pytest
from PIL import Image

from seg import dataset, labels, masks, scenes, truth

SCENE = scenes.render(6, 256, 128)
SIZE = (256, 128)


def file(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def as_label_ids(label: np.ndarray) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    table[: len(labels.LABEL_IDS)] = labels.LABEL_IDS
    return table[label]


FORMS = {
    "grey train ids": (file(Image.fromarray(SCENE.label)), "train ids"),
    "our indexed PNG": (masks.png(SCENE.label), "colours"),  # its colours and its indices say the same
    "grey label ids": (file(Image.fromarray(as_label_ids(SCENE.label))), "label ids"),
    "16-bit label ids": (file(Image.fromarray(as_label_ids(SCENE.label).astype(np.uint16))), "label ids"),
    "colours": (file(Image.fromarray(labels.colorize(SCENE.label))), "colours"),
    "colours with alpha": (file(Image.fromarray(labels.colorize(SCENE.label)).convert("RGBA")), "colours"),
    "indexed colours, other indices": (file(Image.fromarray(labels.colorize(SCENE.label)).quantize(64)), "colours"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_exact_form_gives_the_same_label(name):
    data, form = FORMS[name]
    found = truth.read_truth(data, SIZE)
    assert found.form == form
    np.testing.assert_array_equal(found.label, SCENE.label)


def test_train_ids_under_a_palette_of_ones_own():
    picture = Image.fromarray(SCENE.label)
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    found = truth.read_truth(file(picture), SIZE)
    assert found.form == "train ids"
    np.testing.assert_array_equal(found.label, SCENE.label)


def test_compressed_colours_are_decoded():
    found = truth.read_truth(file(Image.fromarray(labels.colorize(SCENE.label)), "JPEG", quality=95), SIZE)
    known = (found.label != labels.IGNORE) & (SCENE.label != labels.IGNORE)
    assert found.form == "blended colours"
    assert known.mean() > 0.8 and (found.label == SCENE.label)[known].mean() > 0.97


def test_a_label_of_another_size_is_brought_to_the_photos():
    found = truth.read_truth(masks.png(SCENE.label), (512, 256))
    np.testing.assert_array_equal(found.label, SCENE.label.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"no picture", "not a picture"),
        (masks.png(SCENE.label)[:200], "cut off"),
        (file(Image.fromarray(SCENE.photo)), "no label picture"),
        (file(Image.fromarray(np.arange(200, dtype=np.uint8)[None].repeat(100, 0))), "0 to 199"),
        (file(Image.fromarray(np.full((128, 256), 4000, np.uint16))), "4000"),
        (masks.png(SCENE.label[:, :128]), "one shape"),
    ],
)
def test_what_is_no_label_of_the_photo_is_told(data, words):
    with pytest.raises(truth.TruthError, match=words):
        truth.read_truth(data, SIZE)


def test_a_pair_is_told_from_photos_and_taken_apart(pairs):
    for path in dataset.find(pairs, "val"):
        picture = Image.open(path).convert("RGB")
        street, label = truth.split_pair(picture)
        left, right = dataset.read_pair(path)
        assert street.size == (512, 256) and label.shape == (256, 512)
        np.testing.assert_array_equal(label[:, ::2], labels.decode(right))
        np.testing.assert_array_equal(np.asarray(street.resize((256, 256), Image.Resampling.BOX)).shape, left.shape)
        assert truth.split_pair(picture.resize((256, 128))) is None
        swapped = Image.fromarray(np.concatenate((right, left), 1))
        assert truth.split_pair(swapped) is None
    for seed in range(4):
        assert truth.split_pair(Image.fromarray(scenes.render(seed, 512, 256).photo)) is None
    drawing = labels.colorize(scenes.render(1, 512, 256).label)
    assert truth.split_pair(Image.fromarray(drawing)) is None  # a label alone is no pair
