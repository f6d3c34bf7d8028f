"""A data set with four classes of its own, from training to masks in the app."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from seg.cli.main import parse
from seg.data.datasets import load_split
from seg.evaluation.out_of_distribution import score_photos
from seg.inference.predictor import Predictor
from seg.models.registry import read_card
from tests.support.image_sets import OWN_CLASSES, write_own_set

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Train on photos of 640 x 480 for some steps and publish; return the folder."""
    folder = tmp_path_factory.mktemp("own")
    write_own_set(folder / "data" / "mine", train=10, val=2, size=(640, 480), height=128)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RUNS", "WEIGHTS", "CACHE"):
            patch.setenv(f"SEG_{name}", str(folder / name.lower()))
        data, run = str(folder / "data" / "mine"), str(folder / "runs" / "first")
        options = ("--encoder-weights", "none", "--holdout", "2", "--batch-size", "4", "--height", "64")
        parse(["train", "--data", data, "--out", run, "--epochs", "2", *options]).run()
        parse(["publish", run, "--name", "mine", "--height", "64"]).run()
        yield folder


def test_card_and_reports_have_the_classes(published):
    card = read_card("mine")
    assert card.classes == list(OWN_CLASSES) and card.class_set.categories == ("built", "nature")
    report = card.metrics["variants"]["8s"]
    assert list(report["iou"]) == list(OWN_CLASSES) and np.array(report["confusion"]).shape == (4, 4)
    assert card.metrics["images"] == 2 and card.resize_mode == "fit_height"
    assert card.licence == "as the data set own streets permits"
    config = json.loads((published / "runs" / "first" / "config.json").read_text())
    assert [row[0] for row in config["classes"]] == list(OWN_CLASSES)


def test_calibration_uses_whole_photos_of_any_shape(published, capsys, monkeypatch):
    seen = []

    def score(predictor, photos, variant, temperature, aspect, *rest):
        pictures = list(photos)
        seen.append(({picture.size for picture in pictures}, aspect))
        return score_photos(predictor, pictures, variant, temperature, aspect, *rest)

    monkeypatch.setattr("seg.evaluation.out_of_distribution.score_photos", score)
    data = str(published / "data" / "mine")
    parse(["weights", "calibrate", "mine", "--data", data, "--scenes", "1"]).run()
    calibration = read_card("mine").calibration
    assert calibration is not None and calibration["images"] == 2
    assert f"{calibration['temperature']['8s']:.4f}" in capsys.readouterr().out
    sizes = {load_split(Path(data), "train").photo(0).size}
    assert seen[:2] == [(sizes, None), (sizes, None)]


def test_evaluation_and_predictions_use_them(published, tmp_path, capsys):
    data = published / "data" / "mine"
    parse(["evaluate", "mine", "--data", str(data), "--json", str(tmp_path / "report.json")]).run()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ignored"] is None and "all_labelled" not in report["variants"]["8s"]
    assert report["variants"]["8s"]["mean_iou"] == read_card("mine").metrics["variants"]["8s"]["mean_iou"]
    photo = data / "images" / "val" / "0.jpg"
    parse(["predict", str(photo), "--weights", "mine", "--out", str(tmp_path / "masks")]).run()
    with Image.open(tmp_path / "masks" / "0.8s.png") as mask:
        assert mask.size == (640, 480) and np.asarray(mask).max() < 4
        assert tuple(mask.getpalette()[:3]) == (120, 60, 120)
    shares = json.loads((tmp_path / "masks" / "0.json").read_text())["shares"]["8s"]
    assert set(shares) <= set(OWN_CLASSES) and sum(shares.values()) == pytest.approx(1)
    # masks beside photos are not segmented again
    (tmp_path / "masks" / "0.jpg").write_bytes(photo.read_bytes())
    capsys.readouterr()
    parse(["predict", str(tmp_path / "masks"), "--weights", "mine", "--out", str(tmp_path / "again")]).run()
    assert sorted(path.name for path in (tmp_path / "again").glob("*.8s.png")) == ["0.8s.png"]
    with pytest.raises(Exception, match="other classes"):
        parse(["predict", str(photo), "--weights", "mine", "--out", str(tmp_path), "--label-ids"]).run()


def test_weights_of_other_classes_are_refused_for_an_evaluation(published, pairs):
    with pytest.raises(Exception, match="mine predicts other classes than the labels have"):
        parse(["evaluate", "mine", "--data", str(pairs)]).run()


def test_a_next_stage_starts_with_classes_of_the_same_name(published):
    other = write_own_set(published / "data" / "other", train=6, val=1, height=128)
    described = json.loads((other / "dataset.json").read_text())
    described["classes"] = [
        c | {"name": {"plant": "green"}.get(c["name"], c["name"])} for c in described["classes"][::-1]
    ]
    (other / "dataset.json").write_text(json.dumps(described))
    run = published / "runs" / "second"
    options = ("--holdout", "1", "--batch-size", "4", "--height", "64", "--epochs", "1")
    parse(["train", "--data", str(other), "--init-from", "mine", "--out", str(run), *options]).run()
    log = (run / "log.txt").read_text()
    assert (
        "classes of the same name: sky, building, way" in log
        and "3 of 4 classes" in log
        and "0 dropped" in log
    )


def test_an_exported_network_names_its_classes(published, tmp_path, stress):
    if not stress:
        pytest.skip("an export takes long; --stress runs it")
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "mine.onnx"
    data = str(published / "data" / "mine")
    parse(["export", "mine", "--out", str(out), "--variants", "8s", "--data", data, "--count", "1"]).run()
    metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert json.loads(metadata["classes"]) == list(OWN_CLASSES)


def test_the_prediction_names_its_classes(published):
    split = load_split(published / "data" / "mine", "val")
    prediction = Predictor.from_pretrained("mine").predict(split.photo(0), ["8s"])
    assert prediction.classes == split.classes
    assert tuple(prediction.to_image("8s").getpalette()[9:12]) == (0, 120, 255)


def test_compare_matches_classes_by_name(published):
    shipped = ROOT / "weights" / "fcn-resnet50-cityscapes"
    os.symlink(shipped, published / "weights" / "fcn-resnet50-cityscapes")
    try:
        at = AppTest.from_file(ROOT / "app.py", default_timeout=60)
        at.query_params["weights"], at.query_params["beside"] = "mine", "fcn-resnet50-cityscapes"
        at.run()
        assert not at.exception, at.exception
        captions = " ".join(caption.value for caption in at.caption)
        assert r"Only mine has the classes way, plant\." in captions
    finally:
        (published / "weights" / "fcn-resnet50-cityscapes").unlink()
