"""The Dataset page for photos and labels with classes of their own, without a browser."""

from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from seg.data.description import read_description
from tests.support import app_pages
from tests.support.app_pages import open_page
from tests.support.image_sets import save, write_own_set

page = partial(open_page, "pages/dataset.py")


@pytest.fixture
def data(monkeypatch, tmp_path) -> Path:
    """A folder of data sets with one whose photos have labels of four classes."""
    write_own_set(tmp_path / "mine", train=3, val=1)
    monkeypatch.setenv("SEG_DATA", str(tmp_path))
    monkeypatch.setenv("SEG_TRAINING", "on")
    return tmp_path / "mine"


def text(at) -> str:
    return app_pages.text(at).replace("\\", "")


def test_photos_are_shown_with_their_labels(data):
    at = page()
    assert not at.exception
    assert "own streets" in text(at) and "4 classes, labels of ids. train has 3 photos" in text(at)
    tiles = [tile for tile in at.button if (tile.key or "").startswith("samples-")]
    assert len(tiles) == 3 and "images/train/0.jpg" in text(at)
    tiles[2].click().run()
    assert "images/train/2.jpg" in text(at) and "building" in text(at)


def test_faults_are_found_and_named(data):
    save(data / "masks" / "train", "1.png", Image.new("L", (20, 10)))
    at = page(data_view="Class frequencies")
    at.button(key="check_samples").click().run()
    assert not at.exception
    assert "train: 1 labels of another size than their photo." in text(at)
    assert "train (3)" in text(at) and "val (1)" in text(at)
    at = page()
    assert not at.exception and "labels need the size of their photos" in text(at)


def test_the_description_is_corrected_and_saved(data):
    at = page(data_view="Label decoding")
    assert not at.exception and "Saved in" in text(at)
    next(field for field in at.text_input if field.label == "Name").set_value("my city")
    next(field for field in at.number_input if "height" in field.label).set_value(256)
    next(button for button in at.button if button.label == "Save").click().run()
    assert not at.exception
    described = read_description(data)
    assert described.name == "my city" and described.height == 256
    assert described.class_set.names == ("way", "building", "plant", "sky")
    ignored = next(field for field in at.text_input if field.label == "Values without a class")
    ignored.set_value("255, one")
    next(button for button in at.button if button.label == "Save").click().run()
    assert '"one" is no id' in text(at) and read_description(data) == described


def test_a_damaged_description_is_explained_on_the_page(data):
    (data / "dataset.json").write_text('{"name": "x"}')
    at = page()
    assert not at.exception and "no description of a data set" in text(at)


def test_without_permission_nothing_is_read_or_written(data, monkeypatch):
    monkeypatch.setenv("SEG_TRAINING", "off")
    before = (data / "dataset.json").read_bytes()
    at = page(data_view="Class frequencies")
    assert at.button(key="check_samples").disabled
    at = page(data_view="Label decoding")
    assert next(button for button in at.button if button.label == "Save").disabled
    assert (data / "dataset.json").read_bytes() == before
