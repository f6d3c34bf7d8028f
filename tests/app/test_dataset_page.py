"""The Dataset page without a browser: pairs, class frequencies, decoding, corrupt files and rendering."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from seg.data import cityscapes, scenes
from seg.data.datasets import load_split
from seg.data.decode_cache import is_decoded
from seg.data.pairs import SPLITS, content_hash, find_pairs
from seg.data.statistics import class_pixel_counts, class_shares
from tests.support import app_pages
from tests.support.app_pages import open_page
from ui.dataset import import_data, pair_cache, scene_renderer
from ui.shared import rate_limit


@pytest.fixture
def place(monkeypatch, tmp_path, pairs) -> Path:
    """A folder of datasets. It contains one dataset, which is already decoded."""
    for split in SPLITS:
        load_split(pairs, split)
    shutil.copytree(pairs, tmp_path / "streets")
    monkeypatch.setenv("SEG_DATA", str(tmp_path))
    monkeypatch.setenv("SEG_TRAINING", "on")
    return tmp_path


page = partial(open_page, "pages/dataset.py")


def text(at: AppTest) -> str:
    """The texts of the page without the escapes of Markdown."""
    return app_pages.text(at).replace("\\", "")


def button(at: AppTest, label: str):
    return next(candidate for candidate in at.button if candidate.label.replace("\\", "") == label)


def tiles(at: AppTest) -> list[str]:
    return [tile.label.replace("\\", "") for tile in at.button if (tile.key or "").startswith("pairs-")]


def test_without_datasets_the_page_explains_and_still_renders(place, monkeypatch):
    shutil.rmtree(place / "streets")
    at = page()
    assert not at.exception and "No dataset in" in text(at)
    assert any(element.label.startswith("Render as") for element in at.button)
    at = page(data_view="Render a scene")
    assert not at.exception and any(element.key == "scene_photo" for element in at.get("download_button"))
    monkeypatch.setattr(rate_limit, "PREDICTIONS_PER_MINUTE", 1)
    at.number_input(key="seed").set_value(5).run()
    assert not at.exception and "1 predictions per minute" in at.error[0].value.replace("\\", "")


def test_pairs_are_filtered_and_sorted_by_content(place, pairs):
    at = page()
    assert not at.exception and tiles(at) == [str(i) for i in range(1, 15)]
    pixel_counts = class_pixel_counts(load_split(pairs, "train").labels)
    share = pixel_counts[:, cityscapes.TRAIN_ID["bus"]] / pixel_counts.sum(1)
    order = [i for i in np.argsort(-share, kind="stable") if share[i] > 0]
    at = page(**{"with": "bus"})
    assert tiles(at) == [f"{i + 1} · {share[i]:.1%}" for i in order] and 0 < len(order) < 14
    at.select_slider(key="least").set_value(0.4).run()
    assert "No pair of this split matches" in text(at) and not at.exception
    at = page(order="ignored share")
    ignored = pixel_counts[:, -1] / pixel_counts.sum(1)
    assert tiles(at)[0] == f"{ignored.argmax() + 1} · {ignored.max():.1%}"


def test_a_pair_opens_and_leads_to_the_next(place):
    at = page(number="2")
    assert not at.exception and "train/2.jpg" in text(at) and "2 of 14" in text(at) and not tiles(at)
    button(at, "Next").click().run()
    assert "train/3.jpg" in text(at) and at.query_params["number"] == "3"
    button(at, "All pairs").click().run()
    assert len(tiles(at)) == 14 and "number" not in at.query_params
    at = page(number="99", split="val")
    assert "Pair 99 is not in this selection" in text(at) and tiles(at) == ["1", "2", "3"]


def test_class_shares_appear_beside_the_official_ones(place, pairs):
    at = page(data_view="Class frequencies")
    assert not at.exception and "This dataset is rendered" in text(at)
    shares, _ = class_shares(load_split(pairs, "train").labels)
    assert (
        "official" in text(at)
        and "36.9%" in text(at)
        and f"{shares[0]:.1%}" in text(at)
        and "both (17)" in text(at)
    )
    shutil.rmtree(place / "streets" / "exact")
    shutil.rmtree(place / "streets" / "val")
    at = page(data_view="Class frequencies")
    assert "fine train labels" in text(at) and "train (14)" in text(at) and "val (" not in text(at)


def test_the_decoding_view_shows_reasons_and_accuracy(place):
    at = page(data_view="Label decoding", split="val", number="2")
    assert not at.exception
    page_text = text(at)
    assert (
        "no explanation of the color" in page_text
        and "Nearest color" in page_text
        and "Exact label" in page_text
    )
    assert "evenly spaced pairs of val" not in page_text
    button(at, "Decode 3 pairs of val").click().run()
    assert not at.exception and "evenly spaced pairs of val" in text(at)
    assert "of the decoded pixels are correct" in text(at)
    button(at, "Next").click().run()
    assert at.query_params["number"] == "3" and "evenly spaced pairs of val" in text(at)


def test_bad_files_are_reported_and_the_others_shown(place):
    train = place / "streets" / "train"
    (train / "2.jpg").write_bytes((train / "2.jpg").read_bytes()[:3000])
    Image.new("RGB", (300, 200)).save(train / "5.jpg")
    at = page()
    assert (
        not at.exception and len(at.warning) == 2 and tiles(at)[1] == "2 is unusable" and len(tiles(at)) == 14
    )
    button(at, "Check every file of streets").click().run()
    page_text = text(at)
    assert (
        "2 of 17 files are unusable: 1 damaged, 1 of the wrong size" in page_text
        and "wrong size: 300x200" in page_text
        and len(at.warning) == 4
    )
    at = page(number="5")
    assert not at.exception and "wrong size: 300x200" in text(at)
    button(at, "Next").click().run()
    assert "train/6.jpg" in text(at) and not at.error
    assert "wrong size: 300x200" in text(page(data_view="Label decoding", number="5"))
    for _ in range(2):  # the second visit starts no process
        at = page(data_view="Class frequencies")
        assert (
            not at.exception
            and "2 of the 14 pairs in" in text(at)
            and "“Check every file” in the Browse view lists them" in text(at)
        )


def test_a_large_split_is_decoded_only_on_permitted_request(place, monkeypatch):
    shutil.copy(place / "streets" / "val" / "2.jpg", place / "streets" / "val" / "1.jpg")
    monkeypatch.setattr(pair_cache, "MAX_UNASKED", 2)
    monkeypatch.setenv("SEG_TRAINING", "off")
    at = page(split="val", order="ignored share")
    assert "are not decoded yet" in text(at) and not tiles(at)
    assert button(at, "Decode 3 pairs").disabled and "the administrator has set" in text(at)
    assert next(candidate for candidate in at.button if candidate.label.startswith("Render as")).disabled
    monkeypatch.setenv("SEG_TRAINING", "on")
    at = page(split="val", order="ignored share")
    button(at, "Decode 3 pairs").click().run()
    assert (
        not at.exception
        and len(tiles(at)) == 3
        and is_decoded(content_hash(find_pairs(place / "streets", "val")))
    )


def test_a_dataset_may_be_deleted_while_displayed(place):
    shutil.copytree(place / "streets", place / "avenues")
    at = page(set="streets")
    shutil.rmtree(place / "streets")
    at.run()
    assert not at.exception and at.selectbox(key="set").value == "avenues" and len(tiles(at)) == 14


def test_scene_options_match_the_command_line(place, monkeypatch):
    assert set(scene_renderer.CHOICES) == {name for name in scenes.SceneOptions.__dataclass_fields__}
    for name, (_, answers) in scene_renderer.CHOICES.items():
        for answer in answers:
            scenes.SceneOptions(**{name: answer})
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        import_data, "run_command", lambda arguments, done, count, activity: started.append(arguments) or ""
    )
    at = page(data_view="Render a scene", seed="5", wish_sky="night")
    assert at.number_input(key="seed").value == 5 and at.selectbox(key="wish_sky").value == "night"
    at.select_slider(key="wish_people").set_value("10").run()
    assert not at.exception and "--sky night --people 10.0" in text(at)
    button(at, f"Render as {place / 'scenes'}").click().run()
    assert started[0][-4:] == ("--sky", "night", "--people", "10.0")
    button(at, "Reset options").click().run()
    assert at.selectbox(key="wish_sky").value == scene_renderer.RANDOM and "--sky" not in text(at)


def test_huge_pictures_in_a_dataset_are_named(place):
    train, exact = place / "streets" / "train", place / "streets" / "exact" / "train"
    Image.new("L", (30000, 30000)).save(train / "2.jpg", quality=1)
    Image.new("1", (30000, 30000)).save(exact / "3.png")
    at = page()
    assert not at.exception and tiles(at)[1] == "2 is unusable"
    assert "far too many pixels" in at.warning[0].value.replace("\\", "")
    for number, message in (("2", "far too many pixels"), ("3", "is not a label of")):
        for view in ("Browse", "Label decoding"):
            at = page(number=number, data_view=view)
            assert not at.exception and message in text(at), (number, view)
    at = page(data_view="Class frequencies")
    assert not at.exception and "2 are unusable" not in text(at) and at.error
