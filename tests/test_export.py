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
    main(
        [
            "export",
            weights.DEFAULT,
            "--out",
            str(file),
            "--photo-in",
            "--variants",
            "32s",
            "8s",
            "--data",
            str(pairs),
            "--count",
            "2",
        ]
    )
    said = capsys.readouterr().out
    assert "2 photos" in said and "FCN-32s" in said and "FCN-16s" not in said and "0.00" in said
    made = onnx.load(file)
    facts = {prop.key: prop.value for prop in made.metadata_props}
    assert facts["weights"] == weights.DEFAULT and facts["sha256"] == weights.read_card(weights.DEFAULT).sha256
    assert [output.name for output in made.graph.output] == ["32s", "8s"]


def test_the_example_needs_nothing_of_this_package(folder, monkeypatch, tmp_path):
    file = folder / "photo.onnx"
    module = export.export(weights.DEFAULT, file, "onnx", ("8s",), photo_in=True)
    photo = Image.fromarray(scenes.render(2, 192, 96).photo)
    photo.save(tmp_path / "photo.png")
    example = ROOT / "docs" / "onnx_mask.py"
    assert "seg" not in [line.split()[1] for line in example.read_text().splitlines() if line.startswith(("import", "from"))]
    monkeypatch.setattr(sys, "argv", ["", str(file), str(tmp_path / "photo.png"), str(tmp_path / "mask.png")])
    runpy.run_path(str(example))
    with torch.inference_mode():
        (own,) = module(torch.from_numpy(np.array(photo))[None])
    assert np.mean(np.asarray(Image.open(tmp_path / "mask.png")) == own[0].numpy()) > 0.999


def test_what_cannot_be_exported_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    for words, sentence in (
        (("nowhere", tmp_path / "a.onnx", "onnx"), "no weights named"),
        ((weights.DEFAULT, tmp_path / "a.onnx", "onnx", ("4s",)), "has no 4s"),
        ((weights.DEFAULT, tmp_path / "a.pt", "torch-export"), "ends in .pt2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            export.export(*words)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(export.ExportError, match="needs the package onnxscript: pip install"):
        export.export(weights.DEFAULT, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())
