"""Exported files give the results of PyTorch, at sizes other than the export size too."""

import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from seg.cli.main import main
from seg.data import scenes
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from seg.publishing import export

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch.onnx


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, registry: Path) -> None:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_exported_logits_match_pytorch_at_any_size_and_batch(form, folder):
    file = folder / f"scores{export.ENDINGS[form]}"
    module = export.export(DEFAULT_WEIGHTS, file, form)
    run = export.open_exported(file, form)
    for shape in ((1, 3, 64, 64), (2, 3, 100, 77)):  # no multiple of 32
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            own = module(image)
        for reference, exported in zip(own, run(image.numpy()), strict=True):
            assert exported.shape == (shape[0], 19, *shape[2:])
            np.testing.assert_allclose(reference.numpy(), exported, atol=2e-3)


def test_a_photo_input_export_reports_its_agreement(folder, pairs, capsys):
    file = folder / "masks.onnx"
    arguments = (
        "--variants",
        "32s",
        "8s",
        "8s",
        DEFAULT_WEIGHTS,
        "--out",
        file,
        "--photo-in",
        "--data",
        pairs,
        "--count",
        2,
    )
    main(["export", *map(str, arguments)])
    report = capsys.readouterr().out
    assert "2 photos" in report and "FCN-32s" in report and "FCN-16s" not in report and "0.00" in report
    model = onnx.load(file)
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["weights"] == DEFAULT_WEIGHTS and facts["sha256"] == read_card(DEFAULT_WEIGHTS).sha256
    assert (
        facts["resize_mode"] == "cover"
        and int(facts["max_side"]) == 4096
        and int(facts["max_pixels"]) == 8 * 96**2
    )
    assert [output.name for output in model.graph.output] == ["32s", "8s"]


EXAMPLE = ROOT / "examples" / "onnx_inference.py"


@pytest.fixture(scope="module")
def of_photos(folder, registry) -> Path:
    """An ONNX file that takes photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEG_WEIGHTS", str(registry))
        export.export(DEFAULT_WEIGHTS, folder / "photo.onnx", "onnx", ("8s",), photo_in=True)
    return folder / "photo.onnx"


def example(*arguments: Path | str) -> str:
    """The message with which the example ends, or nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", *map(str, arguments)])
        try:
            runpy.run_path(str(EXAMPLE))
        except SystemExit as end:
            return str(end)
    return ""


@pytest.mark.parametrize(("width", "turn"), [(256, 1), (256, 6), (384, 1), (16, 1)])
def test_the_example_matches_predict_without_this_package(of_photos, registry, tmp_path, width, turn):
    assert "seg" not in [
        line.split()[1] for line in EXAMPLE.read_text().splitlines() if line.startswith(("import", "from"))
    ]
    street, exif = (
        Image.fromarray(scenes.render_scene(2, 384, 192).photo).crop((0, 0, width, 192)),
        Image.Exif(),
    )
    exif[274] = turn
    street.save(tmp_path / "photo.jpg", exif=exif)
    assert not example(of_photos, tmp_path / "photo.jpg", tmp_path / "mask.png")
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    own = (
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)
        .predict(tmp_path / "photo.jpg")
        .masks["8s"]
    )
    assert mask.shape == own.shape and np.mean(mask == own) > 0.99  # the example explains the difference


def test_the_example_reports_errors_with_a_message(of_photos, tmp_path):
    street = tmp_path / "photo.png"
    Image.new("RGB", (64, 32)).save(street)
    older = onnx.load(of_photos)
    del older.metadata_props[:]
    onnx.save(older, tmp_path / "older.onnx")
    (tmp_path / "rubbish").write_bytes(b"x")
    for arguments, sentence in (
        ((), "Name three files"),
        ((tmp_path / "none.onnx", street, "m.png"), "cannot be read"),
        ((tmp_path / "older.onnx", street, "m.png"), "make it with python -m seg export NAME --photo-in"),
        ((of_photos, tmp_path / "rubbish", "m.png"), "cannot be read"),
        ((of_photos, street, tmp_path / "none" / "m.png"), "cannot be written"),
        ((of_photos, street, tmp_path / "m.none"), "cannot be written"),
    ):
        assert sentence in example(*arguments)


@pytest.mark.parametrize("wrong", [("--data", "nowhere"), ("--count", "-1")])
def test_invalid_comparisons_are_refused_before_anything_is_written(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", DEFAULT_WEIGHTS, "--out", str(tmp_path / "a.onnx"), *wrong])
    error_output = capsys.readouterr().err
    assert (
        "There is no folder nowhere" in error_output or "--count must be at least 0" in error_output
    ) and not list(tmp_path.iterdir())


def test_invalid_exports_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    for arguments, sentence in (
        (("nowhere", tmp_path / "a.onnx", "onnx"), "no weights named"),
        ((DEFAULT_WEIGHTS, ROOT / "README.md" / "a.onnx", "onnx"), "a.onnx cannot be written .File exists"),
        ((DEFAULT_WEIGHTS, tmp_path / "a.onnx", "onnx", ("4s",)), "has no 4s"),
        ((DEFAULT_WEIGHTS, tmp_path / "a.pt", "torch-export"), "ends in .pt2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            export.export(*arguments)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(export.ExportError, match="needs the package onnxscript: pip install"):
        export.export(DEFAULT_WEIGHTS, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())
