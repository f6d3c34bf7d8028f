"""Evaluation on photos of another data set, through a mapping of its classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data import cityscapes, scenes
from seg.evaluation import labelled_photos
from seg.evaluation.labelled_photos import LabelledPhotosError
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.command import run_command as run

ROOT = Path(__file__).parents[3]

FLAT, OTHER = (
    ("road", "sidewalk"),
    tuple(name for name in cityscapes.NAMES if name not in ("road", "sidewalk")),
)
MAPPING = {
    "name": "Streets",
    "classes": {"flat": {"label": 4, "cityscapes": [*FLAT]}, "other": {"label": 9, "cityscapes": [*OTHER]}},
    "ignored": [0],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos with labels of two classes, and a mapping file."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in (1, 2):
        scene = scenes.render_scene(seed, 96, 72)
        ids = np.where(np.isin(scene.label, [0, 1]), 4, 9)
        ids[scene.label == cityscapes.IGNORE] = 0
        Image.fromarray(scene.photo).save(photos / f"{seed}.jpg")
        Image.fromarray(ids.astype(np.uint8)).save(photos / f"{seed}.png")
    (tmp_path / "mapping.json").write_text(json.dumps(MAPPING))
    return photos


def test_masks_are_counted_in_the_classes_of_the_labels(folder, registry):
    mapping = labelled_photos.read_mapping(folder.parent / "mapping.json")
    photos = labelled_photos.find_photos(folder)
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)
    results = labelled_photos.evaluate_photos(predictor, photos, mapping, ["8s"])
    expected = np.zeros((2, 2), int)
    for files in photos:
        mask = predictor.predict(files.photo, ["8s"]).masks["8s"]
        ids = np.asarray(Image.open(files.label))
        for row, label in enumerate((4, 9)):
            flat = int((mask[ids == label] <= 1).sum())
            expected[row] += (flat, (ids == label).sum() - flat)
    np.testing.assert_array_equal(results["8s"].confusions.sum(0), expected)
    report = labelled_photos.report(results, mapping)["8s"]
    assert report["pixel_accuracy"] == pytest.approx(np.trace(expected) / expected.sum())
    assert list(report["iou"]) == ["flat", "other"] and report["intervals"] == {}


@pytest.mark.slow
def test_the_commands_evaluate_and_compare_resolutions(folder, registry, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setattr("seg.cli.photo_evaluation.HEIGHTS", (64,))
    options = ("--photos", folder, "--classes", folder.parent / "mapping.json", "--json", tmp_path / "a.json")
    assert run("evaluate", DEFAULT_WEIGHTS, *options) == 0
    assert "2 photos of Streets" in capsys.readouterr().out
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["images"] == 2 and set(answer["variants"]) == {"32s", "16s", "8s"}
    assert run("resolution", DEFAULT_WEIGHTS, *options) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    # covering 192 x 96 needs 144 rows of a 4:3 photo
    assert [(row["working_height"], row["resize_mode"], row["size"]) for row in rows] == [
        (96, "cover", [144, 192]),
        (64, "cover", [96, 128]),
        (64, "fit_height", [64, 85]),
    ]
    assert rows[0]["difference"]["mean_iou"] == 0
    assert run("evaluate", DEFAULT_WEIGHTS, "--photos", folder) == 1
    assert "--photos and --classes go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": {"flat": {"label": 4, "cityscapes": [*FLAT]}}}, "does not say what these Cityscapes"),
        ({"classes": MAPPING["classes"] | {"sky": {"label": 1, "cityscapes": ["sky"]}}}, "twice: sky"),
        ({"classes": MAPPING["classes"] | {"x": {"label": 4, "cityscapes": []}}}, "uses label ids twice: 4"),
        ({"classes": {"flat": {"label": 4, "cityscapes": ["street"]}}}, "does not have: street"),
        ({"classes": {"flat": {"label": "4", "cityscapes": []}}}, r"classes.flat.label: .*integer"),
        ({"clases": {}}, "clases"),
    ],
)
def test_unusable_mappings_are_refused(tmp_path, change, message):
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(MAPPING | change))
    with pytest.raises(LabelledPhotosError, match=message):
        labelled_photos.read_mapping(file)
    file.write_text("{")
    with pytest.raises(LabelledPhotosError, match="no class mapping"):
        labelled_photos.read_mapping(file)
    with pytest.raises(LabelledPhotosError, match="cannot be read"):
        labelled_photos.read_mapping(tmp_path / "none.json")


def test_unusable_labels_are_refused(folder):
    mapping = labelled_photos.read_mapping(folder.parent / "mapping.json")
    label = folder / "1.png"
    for picture, message in (
        (Image.new("L", (96, 72), 7), "has the ids 7, which the mapping neither names nor ignores"),
        (Image.new("L", (72, 96), 4), "72×96 pixels and its photo 96×72"),
        (Image.new("RGB", (96, 72)), "no gray or indexed PNG"),
    ):
        picture.save(label)
        with pytest.raises(LabelledPhotosError, match=message):
            labelled_photos.read_label(label, mapping, (96, 72))
    label.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(LabelledPhotosError, match="cannot be read as a PNG"):
        labelled_photos.read_label(label, mapping, (96, 72))
    label.unlink()
    with pytest.raises(LabelledPhotosError, match=r"without a label NAME.png: 1.jpg"):
        labelled_photos.find_photos(folder)
    with pytest.raises(LabelledPhotosError, match="has no photos"):
        labelled_photos.find_photos(folder.parent)


def test_the_example_maps_every_class():
    mapping = labelled_photos.read_mapping(ROOT / "examples" / "camvid-classes.json")
    assert len(mapping.classes) == 11 and mapping.ignored == [11]
