"""The choice of a device, and the fallback from an Apple GPU. PyTorch's answers are replaced: no such GPU is
needed."""

import pytest
import torch
from PIL import Image

from seg.data import scenes
from seg.inference import device
from seg.inference import predictor as predictor_module
from seg.inference.device import DeviceError, bf16_is_fast, pick_device, pick_training_device
from seg.inference.predictor import MISSING_OPERATION_NOTE, Predictor
from seg.models.registry import DEFAULT_WEIGHTS

GPU = torch.device("cpu", 0)
"""To PyTorch it is the CPU, to the program it is not."""


def machine_with(monkeypatch, cuda=False, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    "gpus, inference, training",
    [
        ({}, "cpu", "cpu"),
        ({"mps": True}, "mps", "cpu"),
        ({"cuda": True}, "cuda", "cuda"),
        ({"cuda": True, "mps": True}, "cuda", "cuda"),
    ],
)
def test_auto_prefers_cuda_then_an_apple_gpu_for_inference_only(monkeypatch, gpus, inference, training):
    machine_with(monkeypatch, **gpus)
    assert pick_device("auto").type == inference
    assert pick_training_device("auto").type == training
    assert pick_device("cpu").type == pick_training_device("cpu").type == "cpu"


def test_an_apple_gpu_can_be_requested_and_computes_in_fp32(monkeypatch):
    machine_with(monkeypatch, mps=True)
    assert pick_device("mps").type == pick_training_device("mps").type == "mps"
    assert not bf16_is_fast.__wrapped__(torch.device("mps"))
    with pytest.raises(DeviceError, match="no CUDA device.*--device cpu"):
        pick_device("cuda")


def test_a_missing_apple_gpu_is_reported(monkeypatch):
    machine_with(monkeypatch, cuda=True)
    for pick in (pick_device, pick_training_device):
        with pytest.raises(DeviceError, match="no Apple GPU.*--device cpu"):
            pick("mps")


def test_each_gpu_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda on: waited.append("cuda"))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda", "mps"):
        device.synchronize(torch.device(name))
    assert waited == ["cuda", "mps"]


MPS_ERRORS = [
    NotImplementedError("The operator 'aten::take' is not currently implemented for the MPS device."),
    TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
    RuntimeError("MPS: Unsupported Border padding mode"),
]


@pytest.mark.parametrize("error", MPS_ERRORS, ids=lambda error: type(error).__name__)
def test_what_an_apple_gpu_lacks_is_done_on_the_cpu_with_a_note(registry, monkeypatch, error):
    photo = Image.fromarray(scenes.render_scene(5, 128, 64).photo)
    expected = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry).predict(photo, ["8s"])
    monkeypatch.setattr(predictor_module, "pick_device", lambda name: GPU)
    predictor, forward = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry), Predictor.forward

    def fail_on_gpu(self, *arguments):
        if self.device == GPU:
            raise error
        return forward(self, *arguments)

    monkeypatch.setattr(Predictor, "forward", fail_on_gpu)
    prediction = predictor.predict(photo, ["8s"])
    assert (prediction.masks["8s"] == expected.masks["8s"]).mean() > 0.98
    assert prediction.note == predictor.note == MISSING_OPERATION_NOTE and prediction.device == "cpu"


def test_other_errors_on_a_gpu_are_not_hidden(registry, monkeypatch):
    monkeypatch.setattr(predictor_module, "pick_device", lambda name: GPU)
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry)

    def fail(*_):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(Predictor, "forward", fail)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        predictor.predict(Image.new("RGB", (40, 20)))
