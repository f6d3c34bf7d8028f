"""The study of working resolutions."""

import pytest

from seg.data.datasets import load_split
from seg.evaluation import resolution_study
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS


def test_crops_keep_the_scale_and_their_labels(pairs):
    split = load_split(pairs, "val")
    for shape, columns in ((2.0, 256), (4 / 3, 171)):
        (photo, label), *_ = resolution_study.crop_to_aspect(split, range(2), shape, 640)
        assert photo.size == (640, round(640 / shape)) and label.shape == (256, columns)
    (_, label), *_ = resolution_study.crop_to_aspect(split, [0], 4 / 3, 320)
    assert (label == split.labels[0][:, 42:213]).all()


@pytest.mark.slow
def test_the_study_covers_all_sizes_and_both_rules(pairs, registry, monkeypatch):
    for name, value in (
        ("HEIGHTS", (32,)),
        ("WIDTHS", (320, 1280)),
        ("SHAPES", {"2:1": 2.0, "4:3": 4 / 3}),
        ("SCENE_WIDTH", 128),
    ):
        monkeypatch.setattr(resolution_study, name, value)
    progress = []
    rows = resolution_study.study(
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry),
        load_split(pairs, "val"),
        1,
        lambda *state: progress.append(state),
    )
    assert [(row["source"], row["shape"], row["width"]) for row in rows] == [
        *(
            ("val, cut", "2:1", 1280),
            ("val, cut", "4:3", 1280),
            ("rendered", "2:1", 128),
            ("rendered", "4:3", 128),
        ),
        *(("val, cut", "2:1", 320), ("val, cut", "4:3", 320)),
    ]
    assert rows[1]["rule_height"] == {"fit_height": 96, "cover": 144} and set(rows[1]["by_height"]) == {
        32,
        96,
        144,
    }
    assert rows[0]["by_rule"]["fit_height"] == rows[0]["by_rule"]["cover"] == rows[0]["by_height"][96]
    assert all(0 <= score <= 1 for row in rows for score in row["by_height"].values())
    assert progress[-1] == (6, 6)


def test_changing_the_resolution_keeps_the_network(registry):
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)
    resized = predictor.with_resolution(64, "fit_height")
    assert resized.model is predictor.model and (resized.working_height, resized.resize_mode) == (
        64,
        "fit_height",
    )
