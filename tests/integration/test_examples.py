"""The examples run unchanged at a small size."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from seg.data.scenes import render_scene

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def environment(registry, tmp_path, monkeypatch) -> dict[str, str]:
    """A separate writable registry, and this package on the path of processes in other folders."""
    own = tmp_path / "weights"
    own.mkdir()
    for name in registry.iterdir():
        (own / name.name).symlink_to(name)
    monkeypatch.setenv("SEG_WEIGHTS", str(own))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHON", sys.executable)
    return dict(os.environ)


def test_quickstart_notebook_runs(environment, tmp_path):
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert "TRAIN_PAIRS, VAL_PAIRS, CROP_HEIGHT" in parameters.source
    parameters.source = (
        'TRAIN_PAIRS, VAL_PAIRS, CROP_HEIGHT = 8, 2, 32\nNEW_WEIGHTS = "fcn-resnet50-quickstart"'
    )
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "fcn-resnet50-quickstart {'32s':" in printed and "4 samples seen" in printed
    assert (tmp_path / "weights" / "fcn-resnet50-quickstart" / "card.json").is_file()


def test_predict_example_saves_a_mask(environment, tmp_path):
    Image.fromarray(render_scene(3, 256, 128).photo).save(tmp_path / "street.jpg")
    command = [sys.executable, str(EXAMPLES / "predict.py"), "street.jpg", "mask.png"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "mask.png").is_file()
    result = subprocess.run(
        [*command[:2], "nothing.jpg", "mask.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr


def test_train_on_scenes_example_publishes(environment, tmp_path):
    subprocess.run(
        ["sh", str(EXAMPLES / "train_on_scenes.sh"), "8", "1", "32"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert (tmp_path / "weights" / "fcn-resnet50-scenes" / "card.json").is_file()
