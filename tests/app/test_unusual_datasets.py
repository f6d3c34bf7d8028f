"""Pages with data sets of odd names, without labels or without val."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from seg.data.decode_cache import HELD_OUT
from seg.publishing import publish
from seg.training import lifecycle
from seg.training.config import TrainConfig
from ui.dataset import import_data

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(monkeypatch, tmp_path, pairs, registry) -> Path:
    """A folder of data sets, runs and weights; it contains one copy of the pairs."""
    shutil.copytree(pairs, tmp_path / "data" / "streets")
    for variable, name in (("SEG_DATA", "data"), ("SEG_RUNS", "runs")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setenv("SEG_TRAINING", "on")
    return tmp_path


def page(name: str, **query: str) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=90).switch_page(f"pages/{name}.py")
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def text(at: AppTest) -> str:
    elements = [*at.markdown, *at.caption, *at.error, *at.info, *at.success, *at.warning, *at.code]
    values = [*(element.value for element in elements), *(e.proto.body for e in at.get("html"))]
    joined = "\n".join(values).replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    joined.encode()  # as the browser receives it
    return joined


def tiles(at: AppTest) -> list[str]:
    return [tile.label for tile in at.button if (tile.key or "").startswith("pairs-")]


def button(at: AppTest, label: str):
    return next(candidate for candidate in at.button if candidate.label.replace("\\", "") == label)


def trained(place: Path, data: str, run: str, holdout: int) -> Path:
    """A finished run; made before a page is drawn, because processes would run the app."""
    config = TrainConfig(
        data=place / "data" / data,
        out=place / "runs" / run,
        holdout=holdout,
        encoder_weights="none",
        epochs=1,
        batch_size=4,
        height=32,
        device="cpu",
    )
    lifecycle.train(config)
    return config.out


def test_a_set_without_labels_is_shown_and_refused(place):
    for split in ("train", "val"):
        for file in (place / "data" / "streets" / split).iterdir():
            with Image.open(file) as picture:
                pair = picture.convert("RGB")
            pair.paste((255, 255, 255), (256, 0, 512, 256))
            pair.save(file)
    at = page("dataset")
    sentence = "None of the 14 pairs in"
    assert sentence in text(at) and len(tiles(at)) == 14
    for view in ("Class frequencies", "Label decoding"):
        at = page("dataset", data_view=view)
        assert sentence in text(at) and "nan" not in text(at)
    at = page("dataset")
    button(at, "Check every file of streets").click().run()
    assert "17 of 17 files are unusable: 17 without a usable label" in text(at)
    at = page("train", view="New training")
    at.number_input(key="setting_holdout").set_value(4).run()
    assert not at.exception and sentence in text(at) and button(at, "Start training").disabled


def test_names_that_are_not_utf8_appear_on_all_pages(place):
    streets = place / "data" / "streets"
    for split in ("train", "val"):
        os.rename(streets / split / "2.jpg", streets / split / "2\udcff.jpg")
    streets.rename(place / "data" / "streets\udcff")
    (place / "data" / "lost\udcfe").symlink_to(place / "nowhere")
    trained(place, "streets\udcff", "run\udcff", holdout=2)
    at = page("dataset")
    assert r"streets\xff" in at.selectbox(key="set").options and len(tiles(at)) == 14
    assert r"lost\xfe is a link to" in text(at)
    assert r"train/2\xff.jpg" in text(page("dataset", number=r"2\xff"))
    assert "2xff.jpg" in text(page("dataset", data_view="Label decoding", number=r"2\xff"))
    page("dataset", data_view="Class frequencies")
    at = page("dataset")
    next(b for b in at.button if b.label.startswith("Check every file")).click().run()
    assert not at.exception and "All 17 files are intact" in text(at)

    at = page("train", run=r"run\xff")
    assert "finished" in text(at)
    button(at, "Duplicate").click().run()
    assert not at.exception and at.session_state["setting_data"] == str(place / "data" / "streets\udcff")
    at.text_input(key="new_name").set_value("mine").run()
    assert not at.exception and r"streets\xff" in at.code[0].value


def test_links_and_sets_at_the_wrong_level_are_named(place, monkeypatch):
    monkeypatch.setenv("SEG_DATA", str(place / "data" / "streets"))
    at = page("dataset")
    assert "is itself a dataset" in text(at) and f"contains it: {place / 'data'}" in text(at)
    shutil.move(place / "data" / "streets", place / "data" / "deep" / "cityscapes_data")
    monkeypatch.setenv("SEG_DATA", str(place / "data"))
    at = page("dataset")
    assert list(at.selectbox(key="set").options) == ["deep"] and len(tiles(at)) == 14
    inner = place / "data" / "deep" / "a" / "cityscapes_data"
    shutil.move(place / "data" / "deep" / "cityscapes_data", inner)
    import_data._unusable_datasets.clear()
    for name in ("dataset", "train"):
        assert f"There are pairs in {inner}: choose this folder, or move" in text(page(name))


def test_a_set_without_val_is_evaluated_on_its_held_out_slice(place, monkeypatch):
    shutil.rmtree(place / "data" / "streets" / "val")
    run = trained(place, "streets", "one", holdout=4)
    publish.publish(run, "mine", 32, registry=place / "weights")
    at = page("train", view="New training")
    at.number_input(key="setting_holdout").set_value(4).run()
    assert "publish will evaluate the network on the 4 held-out samples" in text(at)
    assert not button(at, "Start training").disabled
    at.number_input(key="setting_holdout").set_value(0).run()
    assert "has no val, and no samples" in text(at) and button(at, "Start training").disabled
    monkeypatch.setenv("SEG_WEIGHTS", str(place / "weights"))
    named = f"{HELD_OUT}, 4 samples"
    for view in ("All weights", "Per class and size"):
        assert named in text(page("scores", scores_view=view))
    at = page("scores", scores_view="Model card")
    assert named in list(at.dataframe[0].value["value"])
    assert "has a val split, so nothing can be evaluated" in text(at)
