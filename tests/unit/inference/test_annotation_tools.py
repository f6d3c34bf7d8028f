"""Files for annotation tools contain the mask exactly, read by decoders of their own."""

from xml.etree import ElementTree

import numpy as np
import pytest

from seg.data.cityscapes import CLASSES, IGNORE
from seg.inference.annotation_tools import cvat_xml, label_studio


@pytest.fixture(params=range(4))
def mask(request) -> np.ndarray:
    dice = np.random.default_rng(request.param)
    mask = dice.integers(0, 3, (30, 50)).astype(np.uint8)
    mask[5:25, 10:45] = 7  # long runs
    mask[mask == 2] = IGNORE
    return mask


def test_cvat_masks_are_runs_in_a_box(mask):
    image = ElementTree.fromstring(cvat_xml(mask, "a b.jpg")).find("image")
    assert image.attrib == {"id": "0", "name": "a b.jpg", "width": "50", "height": "30"}
    back = np.full(mask.shape, IGNORE, np.uint8)
    for element in image.findall("mask"):
        left, top, width, height = (int(element.get(key)) for key in ("left", "top", "width", "height"))
        lengths = [int(length) for length in element.get("rle").split(",")]
        pixels = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
        assert pixels[0].any() and pixels[-1].any() and pixels[:, 0].any() and pixels[:, -1].any()
        back[top : top + height, left : left + width][pixels] = names().index(element.get("label"))
    np.testing.assert_array_equal(back, mask)


def test_label_studio_regions_are_runs_of_rgba_values(mask):
    (task,) = label_studio(mask, "a.jpg", "model")
    assert task["data"] == {"image": "a.jpg"}
    (prediction,) = task["predictions"]
    back = np.full(mask.shape, IGNORE, np.uint8)
    for region in prediction["result"]:
        values = unpack(region["value"]["rle"])
        rgba = np.array(values).reshape(region["original_height"], region["original_width"], 4)
        assert (rgba == rgba[..., :1]).all() and set(np.unique(rgba)) <= {0, 255}
        (name,) = region["value"]["brushlabels"]
        back[rgba[..., 3] == 255] = names().index(name)
    np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("length", [1, 2, 4, 5, 64, 65, 16384, 16385, 40000])
def test_label_studio_runs_of_any_length_are_read(length):
    mask = np.full((1, length + 1), IGNORE, np.uint8)
    mask[0, :length] = 0
    (region,) = label_studio(mask, "a.jpg", "model")[0]["predictions"][0]["result"]
    assert unpack(region["value"]["rle"]) == 4 * length * [255] + 4 * [0]


def names() -> list[str]:
    return [c.name for c in CLASSES]


def unpack(packed: list[int]) -> list[int]:
    """Reads Label Studio's run lengths (the algorithm rle-pack of thi.ng/umbrella)."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        is_run, size = take(1), sizes[take(2)]
        count = take(size) + 1
        values += count * [take(word)] if is_run else [take(word) for _ in range(count)]
    return values
