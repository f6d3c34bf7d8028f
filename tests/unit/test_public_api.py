"""The public API of `seg`: its names, and the cost of importing it."""

import importlib
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import seg
from seg.cli.main import ALIASES, COMMANDS


@pytest.mark.parametrize("name", [name for name in seg.__all__ if name != "__version__"])
def test_public_name_importable_and_documented(name):
    value = getattr(seg, name)
    assert inspect.getdoc(value), name
    assert name in dir(seg)


def test_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = seg.nothing


def modules_after(code: str) -> set[str]:
    """The modules that a fresh Python has loaded after some code."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(json.loads(output.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import seg",
        "from seg.cli.main import parse\ntry:\n    parse(['--help'])\nexcept SystemExit:\n    pass",
    ],
)
def test_import_and_help_do_not_load_pytorch(code):
    assert not modules_after(code) & {"torch", "numpy", "streamlit", "pydantic", "tyro"}


def test_commands_for_data_do_not_load_pytorch():
    assert not modules_after("import seg.cli.data") & {"torch", "scipy"}


def test_every_command_exists_and_has_its_summary():
    for entry in COMMANDS.values():
        command = getattr(importlib.import_module(f"seg.cli.{entry.module}"), entry.name)
        assert inspect.getdoc(command).splitlines()[0] == entry.summary
    assert set(ALIASES.values()) <= set(COMMANDS)


def test_predictor_takes_a_path_and_saves_a_mask(registry, monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    Image.fromarray(seg.render_scene(3, 256, 128).photo).save(tmp_path / "street.jpg")
    (name,) = seg.list_weights()
    prediction = seg.Predictor.from_pretrained(name, "cpu").predict(str(tmp_path / "street.jpg"))
    assert prediction.masks["8s"].shape == (128, 256) and prediction.masks["8s"].dtype == np.uint8
    prediction.to_image("8s").save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as saved:
        assert saved.mode == "P" and (np.asarray(saved) == prediction.masks["8s"]).all()


@pytest.mark.slow
def test_evaluate_reports_every_variant(registry, pairs, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    progress = []
    report = seg.evaluate(
        "fcn-resnet50-cityscapes",
        pairs,
        limit=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert list(report) == ["32s", "16s", "8s"] and progress[-1] == (2, 2)
    assert 0 <= report["8s"]["mean_iou"] <= 1


@pytest.mark.slow
def test_create_model_knows_every_listed_model():
    for name in seg.list_models():
        assert seg.create_model(name, 19).variants
