"""The view Two networks of the Evaluation page."""

import shutil

import numpy as np
import pytest
from PIL import Image

from seg.data.cityscapes import NAMES
from seg.data.datasets import load_split
from seg.evaluation import compared_counts, evaluate, store
from seg.evaluation.mask_sources import open_source
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import open_page, text
from tests.support.onnx_files import write_channel_network


@pytest.fixture
def split(monkeypatch, tmp_path, pairs, registry, cache):
    """A dataset and weights, and a cache folder with its decoded labels only."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets").symlink_to(pairs)
    split = load_split(pairs, "val")
    for folder in cache.glob("decoded-*"):
        shutil.copytree(folder, tmp_path / "cache" / folder.name)
    for variable, folder in (
        ("DATA", tmp_path / "data"),
        ("WEIGHTS", registry),
        ("CACHE", tmp_path / "cache"),
    ):
        monkeypatch.setenv(f"SEG_{variable}", str(folder))
    return split


@pytest.fixture
def evaluated(split):
    """The same after an evaluation."""
    card = read_card(DEFAULT_WEIGHTS)
    predictor = Predictor.from_pretrained(card.name, "cpu", precision="fp32")
    counts = evaluate.accumulate(predictor, split, card.variants, range(len(split)))
    report = {"version": evaluate.EVALUATION_VERSION, "images": len(split)}
    reports = {variant: evaluate.report(of_variant) for variant, of_variant in counts.items()}
    store.save(store.store_dir(card.sha256, split.digest), report | {"variants": reports}, counts)
    return split


def view(**query):
    at = open_page("pages/scores.py", scores_view="Two networks", **query)
    assert not at.exception
    return at


def test_without_counts_the_view_offers_an_evaluation(split):
    at = view()
    assert f"{DEFAULT_WEIGHTS.replace('-', chr(92) + '-')} has none here yet" in text(at)
    assert [button.label for button in at.button if button.label.startswith("Evaluate ")]
    assert not at.dataframe


@pytest.mark.slow
def test_two_variants_are_compared_and_a_photo_opens(evaluated):
    at = view(scored_variant="8s", second_network=f"FCN-32s ({DEFAULT_WEIGHTS})")
    totals, by_class, slices = (table.value for table in at.dataframe)
    assert totals["metric"].tolist() == ["mean IoU", "mean IoU of a photo"]
    assert totals["difference"][0] == pytest.approx(totals["first"][0] - totals["second"][0])
    labelled = by_class["class"].tolist()
    assert labelled == [name for name in NAMES if name in labelled] and len(labelled) > 10
    assert slices["slice"][0].startswith("dark third")
    assert len(at.get("plotly_chart")) == 3
    assert "An interval needs at least 100 photos." in text(at) and "GFLOP" in text(at)
    tiles = [button for button in at.button if button.key.startswith("compared-")]
    if not tiles:
        at.segmented_control(key="compared_by").set_value("First is better").run()
        tiles = [button for button in at.button if button.key.startswith("compared-")]
    tiles[0].click().run()
    assert not at.exception and not at.error and not at.warning


def test_masks_and_networks_of_others_can_be_chosen(evaluated, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for i, file in enumerate(evaluated.files):
        Image.fromarray(evaluated.label(i)).save(folder / f"{file.stem}.png")
    network = write_channel_network(tmp_path / "onnx", NAMES[:18])
    for source in map(open_source, (str(folder), str(network))):
        compared_counts.source_counts(source, evaluated, len(evaluated))
    records = compared_counts.stored_sources(evaluated.digest)
    assert [record.title for record in records] == ["masks", "other"]
    at = view(second_network=records[1].title)
    assert "does not predict these classes, so their IoU is 0: bicycle" in text(at).replace("\\", "")
    at = view(second_network=records[0].title)
    assert at.dataframe[0].value["second"][0] == 1
    [button for button in at.button if button.key.startswith("compared-")][0].click().run()
    assert not at.exception and not at.error and not at.warning
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / f"{evaluated.files[0].stem}.png")
    at.run()
    assert "has changed since it was counted" in text(at)
