"""The engine of the app, from the environment and from the command line."""

import os
import subprocess
import sys

import pytest

from seg.cli.app import App
from seg.inference.engines import EngineError, EngineSetting, check_engine, engine_setting
from seg.models.registry import DEFAULT_WEIGHTS


@pytest.fixture(autouse=True)
def environment(monkeypatch, registry):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    for variable in ("SEG_ENGINE", "SEG_PRECISION"):
        monkeypatch.setenv(variable, "")  # a command may set them; they are restored after the test


def test_pytorch_is_the_default():
    assert engine_setting() == EngineSetting("torch", "auto") and engine_setting().device == "auto"
    check_engine(engine_setting(), [DEFAULT_WEIGHTS])


def test_other_engines_compute_on_the_cpu(monkeypatch):
    monkeypatch.setenv("SEG_ENGINE", " OpenVINO ")
    monkeypatch.setenv("SEG_PRECISION", "int8")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert engine_setting() == EngineSetting("openvino", "int8") and engine_setting().device == "cpu"


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [
        ("tensorflow", "", 'SEG_ENGINE is "tensorflow". Set it to one of auto, torch, onnx, openvino'),
        ("", "int4", 'SEG_PRECISION is "int4"'),
        ("torch", "int8", "PyTorch computes in fp32 or bf16"),
    ],
)
def test_unusable_settings_are_refused(monkeypatch, engine, precision, message):
    monkeypatch.setenv("SEG_ENGINE", engine)
    monkeypatch.setenv("SEG_PRECISION", precision)
    with pytest.raises(EngineError, match=message):
        engine_setting()


def test_the_command_checks_and_passes_the_engine(monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "call", lambda command: started.append(dict(os.environ)) or 0)
    monkeypatch.setitem(sys.modules, "openvino", object())
    with pytest.raises(EngineError, match=f"python -m seg quantize {DEFAULT_WEIGHTS}"):
        App(engine="openvino", precision="int8").run()
    assert not started
    with pytest.raises(SystemExit):
        App(engine="openvino", precision="fp32").run()
    assert (started[0]["SEG_ENGINE"], started[0]["SEG_PRECISION"]) == ("openvino", "fp32")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="needs the package openvino"):
        App(engine="openvino").run()
