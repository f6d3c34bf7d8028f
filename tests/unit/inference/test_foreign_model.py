"""ONNX files of other projects with a description."""

import json

import numpy as np
import pytest
from PIL import Image

from seg.data.cityscapes import CITYSCAPES, TRAIN_ID
from seg.data.classes import IGNORE
from seg.inference.foreign_model import ForeignModel, ForeignModelError
from tests.support.onnx_files import write_channel_network

CLASSES = ("sky", "zebra", "road", "car")
RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 255
PHOTO = Image.fromarray(np.stack([RED, GREEN, BLUE, RED])[None].repeat(4, 0).repeat(8, 1).repeat(4, 0))
"""16 x 32: stripes of red, green, blue and red."""

STRIPES = [TRAIN_ID["sky"], IGNORE, TRAIN_ID["road"], TRAIN_ID["sky"]]


def mask_of(file, size=(16, 32)):
    mask = ForeignModel(file).mask(PHOTO, size, CITYSCAPES)
    assert mask.shape == size and mask.dtype == np.uint8
    return mask[size[0] // 2, size[1] // 8 :: size[1] // 4].tolist()


@pytest.mark.parametrize("kind", ["logits", "ids"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_classes_are_matched_by_name(kind, layout, tmp_path):
    file = write_channel_network(tmp_path, CLASSES, layout=layout, kind=kind)
    assert mask_of(file) == mask_of(file.with_suffix(".json")) == STRIPES
    assert mask_of(file, (40, 60)) == STRIPES


def test_channels_range_mean_and_std_are_applied(tmp_path):
    file = write_channel_network(tmp_path, CLASSES, channels="BGR")
    assert mask_of(file) == [STRIPES[2], STRIPES[1], STRIPES[0], STRIPES[2]]
    # only blue is above the mean of its channel
    file = write_channel_network(tmp_path, CLASSES, range=255, mean=[600, 600, 0], std=[1, 1, 2])
    assert set(mask_of(file)) == {TRAIN_ID["road"]}


def test_the_fingerprint_covers_file_and_description(tmp_path):
    prints = {
        ForeignModel(write_channel_network(tmp_path, CLASSES, **about)).fingerprint
        for about in ({}, {"name": "other"}, {"size": (32, 32)})
    }
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": [32, 32]}, "the description gives 1 × 3 × 32 × 32"),
        ({"layout": "NHWC"}, "the description gives 1 × 32 × 64 × 3"),
        ({"kind": "ids"}, 'For class scores set "kind" to "logits"'),
        ({"classes": ["sky", "road"]}, "is 1 × 4 × 32 × 64 float32, but the description has 2 classes"),
        ({"classes": ["a", "b", "c", "d"]}, "None of the classes"),
        ({"classes": ["sky", "sky"]}, "the class sky occurs twice"),
        ({"input": "photo"}, "has the inputs image"),
        ({"output": "masks"}, "has no output masks; it has scores"),
        ({"std": [1, 0, 1]}, "three numbers above 0"),
        ({"size": [32]}, "size"),
        ({"colour": "RGB"}, "colour: Extra inputs are not permitted"),
        ({"model": "gone.onnx"}, "There is no ONNX file"),
    ],
)
def test_a_description_that_does_not_fit_is_named(changes, sentence, tmp_path):
    file = write_channel_network(tmp_path, CLASSES)
    about = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(about | changes))
    with pytest.raises(ForeignModelError, match=sentence) as caught:
        mask_of(file)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(tmp_path):
    file = write_channel_network(tmp_path, CLASSES)
    file.write_bytes(b"no network")
    with pytest.raises(ForeignModelError, match=r"other\.onnx is no ONNX file that can be used"):
        mask_of(file)
    file.with_suffix(".json").write_text("{")
    with pytest.raises(ForeignModelError, match="is no description of an ONNX file: Invalid JSON"):
        mask_of(file)
    file.with_suffix(".json").unlink()
    with pytest.raises(ForeignModelError, match="needs a JSON description beside it"):
        mask_of(file)


def test_ids_beyond_the_described_classes_are_named(tmp_path):
    file = write_channel_network(tmp_path, CLASSES, kind="ids")
    about = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(about | {"classes": ["sky", "road"]}))
    with pytest.raises(
        ForeignModelError, match="predicts ids from 0 to 2, but the description has 2 classes"
    ):
        mask_of(file)
