"""Pages with another engine than PyTorch."""

import numpy as np
import pytest

from seg.inference.engines import CompiledModel
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.app_pages import open_page, text
from tests.support.visitor import unpacked
from ui.state import model_pool, predictions

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of torch.onnx


@pytest.fixture
def loaded(monkeypatch, registry, tmp_path) -> list[Predictor]:
    """The networks that pages load, with ONNX Runtime as the engine."""
    predictors: list[Predictor] = []
    load = Predictor.from_pretrained

    def record(*args, **options) -> Predictor:
        predictors.append(load(*args, **options))
        return predictors[-1]

    for variable, value in (
        ("ENGINE", "onnx"),
        ("PRECISION", "fp32"),
        ("WEIGHTS", registry),
        ("CACHE", tmp_path),
    ):
        monkeypatch.setenv(f"SEG_{variable}", str(value))
    monkeypatch.setattr(Predictor, "from_pretrained", record)
    caches = (model_pool._load_predictor, predictions._sample_predictions, predictions._sample_activations)
    for cache in caches:
        cache.clear()
    yield predictors
    for cache in caches:
        cache.clear()


def test_masks_come_from_the_engine_and_activations_from_pytorch(loaded, registry):
    compare = open_page("app.py", photo="8")
    assert not compare.exception
    assert [isinstance(predictor.model, CompiledModel) for predictor in loaded] == [True]
    assert "ONNX Runtime in fp32 computes these masks" in text(compare)
    payload = unpacked(compare.get("bidi_component")[0].proto.bytes)
    mask = next(pane["ids"] for pane in payload["panes"] if pane["id"] == "8s")
    assert len(np.unique(mask)) > 1
    for view in ("Network", "Receptive field"):
        inside = open_page("pages/inside.py", photo="8", inside_view=view)
        assert not inside.exception and not inside.error
        assert "PyTorch computes it, not ONNX Runtime in fp32" in text(inside)
    assert [isinstance(predictor.model, CompiledModel) for predictor in loaded] == [True, False]


def test_a_network_that_is_not_quantized_is_reported(loaded, monkeypatch):
    monkeypatch.setenv("SEG_PRECISION", "int8")
    compare = open_page("app.py", photo="9")
    assert not compare.exception
    assert f"python -m seg quantize {DEFAULT_WEIGHTS}" in compare.error[0].value.replace("\\", "")
