"""The study of working resolutions."""

from seg import resolution
from seg.dataset import load
from seg.predict import Predictor
from seg.weights import DEFAULT


def test_cuts_keep_the_scale_and_their_labels(pairs):
    split = load(pairs, "val")
    for shape, columns in ((2.0, 256), (4 / 3, 171)):
        (photo, label), *_ = resolution.cut(split, range(2), shape, 640)
        assert photo.size == (640, round(640 / shape)) and label.shape == (256, columns)
    (_, label), *_ = resolution.cut(split, [0], 4 / 3, 320)
    assert (label == split.labels[0][:, 42:213]).all()


def test_the_study_has_a_row_for_each_photo_size_and_the_figures_of_both_rules(pairs, registry, monkeypatch):
    for name, value in (
        ("HEIGHTS", (32,)),
        ("WIDTHS", (320, 1280)),
        ("SHAPES", {"2:1": 2.0, "4:3": 4 / 3}),
        ("SCENE_WIDTH", 128),
    ):
        monkeypatch.setattr(resolution, name, value)
    told = []
    rows = resolution.study(Predictor.of(DEFAULT, "cpu", registry), load(pairs, "val"), 1, lambda *state: told.append(state))
    assert [(row["source"], row["shape"], row["width"]) for row in rows] == [
        *(("val, cut", "2:1", 1280), ("val, cut", "4:3", 1280), ("rendered", "2:1", 128), ("rendered", "4:3", 128)),
        *(("val, cut", "2:1", 320), ("val, cut", "4:3", 320)),
    ]
    assert rows[1]["rule_height"] == {"height": 96, "cover": 144} and set(rows[1]["by_height"]) == {32, 96, 144}
    assert rows[0]["by_rule"]["height"] == rows[0]["by_rule"]["cover"] == rows[0]["by_height"][96]
    assert all(0 <= score <= 1 for row in rows for score in row["by_height"].values())
    assert told[-1] == (6, 6)


def test_a_network_at_another_resolution_is_the_same_network(registry):
    predictor = Predictor.of(DEFAULT, "cpu", registry)
    other = predictor.at(64, "height")
    assert other.model is predictor.model and (other.working_height, other.rule) == (64, "height")
