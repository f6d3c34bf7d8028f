"""The Dataset page without a browser: what it shows of a set, what it says of bad ones, and what it asks for."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.parts import get_data, limits, rendering
from pages.parts import pairs as parts
from seg import dataset, labels, scenes

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves the app as ``__main__``, and the processes that later tests start would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def place(monkeypatch, tmp_path, pairs) -> Path:
    """A folder of data sets with one in it that is decoded already."""
    for split in dataset.SPLITS:
        dataset.load(pairs, split)
    shutil.copytree(pairs, tmp_path / "streets")
    monkeypatch.setattr(dataset, "FOLDER", tmp_path)
    monkeypatch.setenv("SEG_TRAINING", "on")
    return tmp_path


def page(**query: str) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page("pages/dataset.py")
    for key, value in query.items():
        at.query_params[key] = value
    return at.run()


def text(at: AppTest) -> str:
    shown = [*at.markdown, *at.caption, *at.error, *at.info, *at.success, *at.warning, *at.code]
    return "\n".join([*(one.value for one in shown), *(one.proto.body for one in at.get("html"))]).replace("\\", "")


def button(at: AppTest, label: str):
    return next(one for one in at.button if one.label.replace("\\", "") == label)


def tiles(at: AppTest) -> list[str]:
    return [one.label.replace("\\", "") for one in at.button if (one.key or "").startswith("pairs-")]


def test_without_a_set_it_says_what_to_do_and_renders_all_the_same(place, monkeypatch):
    shutil.rmtree(place / "streets")
    at = page()
    assert not at.exception and "No data set is in" in text(at)
    assert any(one.label.startswith("Render them as") for one in at.button)
    at = page(data_view="Render a scene")
    assert not at.exception and any(one.key == "scene_photo" for one in at.get("download_button"))
    monkeypatch.setattr(limits, "LOOKS", 1)
    at.number_input(key="seed").set_value(5).run()
    assert not at.exception and "1 looks within a minute" in at.error[0].value.replace("\\", "")


def test_pairs_are_filtered_and_sorted_by_what_is_in_them(place, pairs):
    at = page()
    assert not at.exception and tiles(at) == [str(i) for i in range(1, 15)]
    counted = dataset.counts(dataset.load(pairs, "train").labels)
    share = counted[:, labels.TRAIN_ID["bus"]] / counted.sum(1)
    order = [i for i in np.argsort(-share, kind="stable") if share[i] > 0]
    at = page(**{"with": "bus"})
    assert tiles(at) == [f"{i + 1} · {share[i]:.1%}" for i in order] and 0 < len(order) < 14
    at.select_slider(key="least").set_value(0.4).run()
    assert "No pair of this split has so much of it" in text(at) and not at.exception
    at = page(order="ignored share")
    ignored = counted[:, -1] / counted.sum(1)
    assert tiles(at)[0] == f"{ignored.argmax() + 1} · {ignored.max():.1%}"


def test_a_pair_opens_and_leads_to_the_next(place):
    at = page(number="2")
    assert not at.exception and "train/2.jpg" in text(at) and "2 of 14" in text(at) and not tiles(at)
    button(at, "Next").click().run()
    assert "train/3.jpg" in text(at) and at.query_params["number"] == "3"
    button(at, "All pairs").click().run()
    assert len(tiles(at)) == 14 and "number" not in at.query_params
    at = page(number="99", split="val")
    assert "Pair 99 is not among these" in text(at) and tiles(at) == ["1", "2", "3"]


def test_shares_stand_beside_the_official_ones(place, pairs):
    at = page(data_view="Class shares")
    assert not at.exception and "This set is rendered: another world" in text(at)
    shares, _ = dataset.class_shares(dataset.load(pairs, "train").labels)
    assert "official" in text(at) and "36.9%" in text(at) and f"{shares[0]:.1%}" in text(at) and "both (17)" in text(at)
    shutil.rmtree(place / "streets" / "exact")
    shutil.rmtree(place / "streets" / "val")
    at = page(data_view="Class shares")
    assert "fine labels of train" in text(at) and "train (14)" in text(at) and "val (" not in text(at)


def test_decoding_tells_why_and_how_right_it_is(place):
    at = page(data_view="Decoding", split="val", number="2")
    assert not at.exception
    said = text(at)
    assert "nothing known explains its colour" in said and "Nearest colour" in said and "The exact label" in said
    assert "evenly over val" not in said
    button(at, "Decode 3 pairs of val both ways").click().run()
    assert not at.exception and "evenly over val" in text(at)
    assert "of the pixels that were decoded are right" in text(at)
    button(at, "Next").click().run()
    assert at.query_params["number"] == "3" and "evenly over val" in text(at)


def test_bad_files_are_named_and_the_others_are_shown(place):
    train = place / "streets" / "train"
    (train / "2.jpg").write_bytes((train / "2.jpg").read_bytes()[:3000])
    Image.new("RGB", (300, 200)).save(train / "5.jpg")
    at = page()
    assert not at.exception and len(at.warning) == 2 and tiles(at)[1] == "2 is no pair" and len(tiles(at)) == 14
    button(at, "Check every file of streets").click().run()
    said = text(at)
    assert "2 of 17 files are no pairs" in said and "5.jpg is 300x200" in said and len(at.warning) == 4
    at = page(number="5")
    assert not at.exception and "5.jpg is 300x200" in text(at)
    button(at, "Next").click().run()
    assert "train/6.jpg" in text(at) and not at.error
    assert "5.jpg is 300x200" in text(page(data_view="Decoding", number="5"))
    for _ in range(2):  # the second time nothing is begun
        at = page(data_view="Class shares")
        assert not at.exception and "2 of the pairs in" in text(at) and "“Check every file” under Browse names them" in text(at)


def test_a_large_split_is_decoded_when_asked_and_not_where_that_is_forbidden(place, monkeypatch):
    shutil.copy(place / "streets" / "val" / "2.jpg", place / "streets" / "val" / "1.jpg")
    monkeypatch.setattr(parts, "AT_ONCE", 2)
    monkeypatch.setenv("SEG_TRAINING", "off")
    at = page(split="val", order="ignored share")
    assert "have not been decoded on this computer yet" in text(at) and not tiles(at)
    assert button(at, "Decode 3 pairs").disabled and "the administrator has set" in text(at)
    assert next(one for one in at.button if one.label.startswith("Render them as")).disabled
    monkeypatch.setenv("SEG_TRAINING", "on")
    at = page(split="val", order="ignored share")
    button(at, "Decode 3 pairs").click().run()
    assert not at.exception and len(tiles(at)) == 3 and dataset.is_decoded(dataset.digest(dataset.find(place / "streets", "val")))


def test_a_set_that_is_deleted_while_it_is_shown(place):
    shutil.copytree(place / "streets", place / "avenues")
    at = page(set="streets")
    shutil.rmtree(place / "streets")
    at.run()
    assert not at.exception and at.selectbox(key="set").value == "avenues" and len(tiles(at)) == 14


def test_wishes_are_the_command_lines(place, monkeypatch):
    assert set(rendering.CHOICES) == {name for name in scenes.Wishes.__dataclass_fields__}
    for name, (_, answers) in rendering.CHOICES.items():
        for answer in answers:
            scenes.Wishes(**{name: answer})
    began: list[tuple[str, ...]] = []
    monkeypatch.setattr(get_data, "run", lambda words, done, count, what: began.append(words) or "")
    at = page(data_view="Render a scene", seed="5", wish_sky="night")
    assert at.number_input(key="seed").value == 5 and at.selectbox(key="wish_sky").value == "night"
    at.select_slider(key="wish_people").set_value("10").run()
    assert not at.exception and "--sky night --people 10.0" in text(at)
    button(at, f"Render them as {place / 'scenes'}").click().run()
    assert began[0][-4:] == ("--sky", "night", "--people", "10.0")
    button(at, "As the seed has it in everything").click().run()
    assert at.selectbox(key="wish_sky").value == rendering.SEED and "--sky" not in text(at)
