"""Other engines give the masks of PyTorch, and quantized weights nearly the same."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from seg.cli.main import main
from seg.data import scenes
from seg.inference import engines
from seg.inference.engines import EngineError
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS, read_card

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of torch.onnx and nncf


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory, registry):
    """The registry, and a cache folder that the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEG_WEIGHTS", str(registry))
        patch.setenv("SEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(scenes.render_scene(1, 300, 200).photo)


def predictor(engine: engines.Engine, precision: engines.Precision = "fp32") -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", precision=precision, engine=engine)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_engines_give_the_logits_of_pytorch_at_any_size(engine, photo):
    own, other = predictor("torch"), predictor(engine)
    for working_height in (96, 160):
        expected = own.logits(photo, ("32s", "16s", "8s"), working_height)
        result = other.logits(photo, ("8s", "32s"), working_height)
        assert list(result) == ["8s", "32s"]
        for variant, logits in result.items():
            torch.testing.assert_close(
                logits.materialize(), expected[variant].materialize(), atol=2e-3, rtol=1e-3
            )
    with pytest.raises(ValueError, match="4s is not in these weights"):
        other.predict(photo, ("4s",))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_quantized_weights_nearly_give_the_masks_of_pytorch(engine, photo, pairs, tmp_path, capsys):
    file = engines.engine_file(read_card(DEFAULT_WEIGHTS).sha256, "int8")
    if not file.exists():
        with pytest.raises(EngineError, match=f"python -m seg quantize {DEFAULT_WEIGHTS}"):
            predictor(engine, "int8")
        main(["quantize", DEFAULT_WEIGHTS, "--data", str(pairs), "--count", "4"])
        assert f"{file.stat().st_size / 1e6:.1f} MB" in capsys.readouterr().out
    assert file.stat().st_size < 0.4 * engines.engine_file(file.parent.name, "fp32").stat().st_size
    expected = predictor("torch").predict(photo).masks
    result = predictor(engine, "int8").predict(photo).masks
    agreement = {variant: (mask == expected[variant]).mean() for variant, mask in result.items()}
    assert min(agreement.values()) > 0.9 and any((result[v] != expected[v]).any() for v in result)

    photo.save(tmp_path / "street.png")
    command = ["predict", str(tmp_path / "street.png"), "--out", str(tmp_path / "masks"), "--device", "cpu"]
    main([*command, "--engine", engine, "--precision", "int8"])
    written = json.loads((tmp_path / "masks" / "street.json").read_text())
    assert written["int8"] is True
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "masks" / "street.8s.png")), result["8s"])
    capsys.readouterr()
    main([*command, "--precision", "fp32"])  # the masks of int8 are not those that are asked for
    assert "of them before" not in capsys.readouterr().out
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "masks" / "street.8s.png")), expected["8s"])


def test_an_evaluation_names_engine_and_precision(pairs, tmp_path):
    reports = {}
    for engine in ("torch", "openvino"):
        file = tmp_path / f"{engine}.json"
        command = ["evaluate", DEFAULT_WEIGHTS, "--data", str(pairs), "--limit", "2", "--json", str(file)]
        main([*command, "--engine", engine])
        reports[engine] = json.loads(file.read_text())
        assert (reports[engine]["engine"], reports[engine]["precision"]) == (engine, "fp32")
    own, other = (reports[engine]["variants"]["8s"]["mean_iou"] for engine in reports)
    assert other == pytest.approx(own, abs=2e-3)


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [
        ("torch", "int8", "PyTorch computes in fp32 or bf16"),
        ("onnx", "bf16", "ONNX Runtime computes in fp32 or int8"),
    ],
)
def test_engines_refuse_precisions_that_they_lack(engine, precision, message):
    with pytest.raises(EngineError, match=message):
        predictor(engine, precision)


def test_engines_need_the_cpu_and_their_packages(monkeypatch):
    gpu = torch.device("cuda")
    assert engines.choose_engine("auto", gpu, "auto") == "torch"
    assert engines.choose_engine("auto", torch.device("cpu"), "auto") == "openvino"
    with pytest.raises(EngineError, match="computes on the CPU only"):
        engines.choose_engine("onnx", gpu, "auto")
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(
        EngineError, match="needs the package openvino: pip install -r requirements/engines.txt"
    ):
        predictor("openvino")
