"""Exported files answer what PyTorch answers, at sizes that they were not exported at."""

import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from seg import export, scenes, weights
from seg.cli import main
from seg.predict import Predictor

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.onnx's own


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, registry: Path) -> None:
    monkeypatch.setattr(weights, "FOLDER", registry)
    monkeypatch.setattr(weights.load, "__defaults__", (registry,))
    monkeypatch.setattr(weights.read_card, "__defaults__", (registry,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_logits_are_pytorchs_at_any_size_and_batch(form, folder):
    file = folder / f"scores{export.ENDINGS[form]}"
    module = export.export(weights.DEFAULT, file, form)
    run = export.opened(file, form)
    for shape in ((1, 3, 64, 64), (2, 3, 100, 77)):  # no multiple of 32
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            own = module(image)
        for one, other in zip(own, run(image.numpy()), strict=True):
            assert other.shape == (shape[0], 19, *shape[2:])
            np.testing.assert_allclose(one.numpy(), other, atol=2e-3)


def test_masks_come_from_bytes_and_the_report_says_how_far_they_agree(folder, pairs, capsys):
    file = folder / "masks.onnx"
    words = ("--variants", "32s", "8s", "8s", weights.DEFAULT, "--out", file, "--photo-in", "--data", pairs, "--count", 2)
    main(["export", *map(str, words)])
    said = capsys.readouterr().out
    assert "2 photos" in said and "FCN-32s" in said and "FCN-16s" not in said and "0.00" in said
    made = onnx.load(file)
    facts = {prop.key: prop.value for prop in made.metadata_props}
    assert facts["weights"] == weights.DEFAULT and facts["sha256"] == weights.read_card(weights.DEFAULT).sha256
    assert facts["working_rule"] == "cover" and int(facts["max_side"]) == 4096 and int(facts["max_pixels"]) == 8 * 96**2
    assert [output.name for output in made.graph.output] == ["32s", "8s"]


EXAMPLE = ROOT / "docs" / "onnx_mask.py"


@pytest.fixture(scope="module")
def of_photos(folder, registry) -> Path:
    """An ONNX file that takes photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights.load, "__defaults__", (registry,))
        export.export(weights.DEFAULT, folder / "photo.onnx", "onnx", ("8s",), photo_in=True)
    return folder / "photo.onnx"


def example(*words: Path | str) -> str:
    """What the example says where it ends with a sentence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", *map(str, words)])
        try:
            runpy.run_path(str(EXAMPLE))
        except SystemExit as end:
            return str(end)
    return ""


@pytest.mark.parametrize(("width", "turn"), [(256, 1), (256, 6), (384, 1), (16, 1)])
def test_the_example_says_what_predict_says_without_this_package(of_photos, registry, tmp_path, width, turn):
    assert "seg" not in [line.split()[1] for line in EXAMPLE.read_text().splitlines() if line.startswith(("import", "from"))]
    street, exif = Image.fromarray(scenes.render(2, 384, 192).photo).crop((0, 0, width, 192)), Image.Exif()
    exif[274] = turn
    street.save(tmp_path / "photo.jpg", exif=exif)
    assert not example(of_photos, tmp_path / "photo.jpg", tmp_path / "mask.png")
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    own = Predictor.of(weights.DEFAULT, "cpu", registry).predict(tmp_path / "photo.jpg").masks["8s"]
    assert mask.shape == own.shape and np.mean(mask == own) > 0.99  # the example says why not all


def test_what_the_example_cannot_do_is_a_sentence(of_photos, tmp_path):
    street = tmp_path / "photo.png"
    Image.new("RGB", (64, 32)).save(street)
    older = onnx.load(of_photos)
    del older.metadata_props[:]
    onnx.save(older, tmp_path / "older.onnx")
    (tmp_path / "rubbish").write_bytes(b"x")
    for words, sentence in (
        ((), "Name three files"),
        ((tmp_path / "none.onnx", street, "m.png"), "cannot be read"),
        ((tmp_path / "older.onnx", street, "m.png"), "make it with python -m seg export NAME --photo-in"),
        ((of_photos, tmp_path / "rubbish", "m.png"), "cannot be read"),
        ((of_photos, street, tmp_path / "none" / "m.png"), "cannot be written"),
        ((of_photos, street, tmp_path / "m.none"), "cannot be written"),
    ):
        assert sentence in example(*words)


@pytest.mark.parametrize("wrong", [("--data", "nowhere"), ("--count", "-1")])
def test_what_cannot_be_compared_is_said_before_anything_is_written(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", weights.DEFAULT, "--out", str(tmp_path / "a.onnx"), *wrong])
    said = capsys.readouterr().err
    assert ("There is no folder nowhere" in said or "--count must be at least 0" in said) and not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    for words, sentence in (
        (("nowhere", tmp_path / "a.onnx", "onnx"), "no weights named"),
        ((weights.DEFAULT, ROOT / "README.md" / "a.onnx", "onnx"), "a.onnx cannot be written .File exists"),
        ((weights.DEFAULT, tmp_path / "a.onnx", "onnx", ("4s",)), "has no 4s"),
        ((weights.DEFAULT, tmp_path / "a.pt", "torch-export"), "ends in .pt2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            export.export(*words)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(export.ExportError, match="needs the package onnxscript: pip install"):
        export.export(weights.DEFAULT, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())
