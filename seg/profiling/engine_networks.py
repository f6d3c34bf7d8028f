"""The engines of `seg.inference.engines` in the latency benchmark, with an untrained FCN for all three masks.

int8 is calibrated with random images: the ranges do not change the times.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from seg.inference.device import CPU, bf16_is_fast
from seg.inference.engines import CompiledModel, open_onnx, open_openvino, write_scores
from seg.inference.predictor import Predictor
from seg.inference.quantization import quantize_file
from seg.models.fcn import VARIANTS
from seg.profiling.networks import ALL, CLASSES, Precision, Runner, masks_of, untrained_fcn

ONNX_RUNTIME, OPENVINO = f"{ALL}, ONNX Runtime", f"{ALL}, OpenVINO"
ENGINES = (ONNX_RUNTIME, OPENVINO)

_PACKAGES = ("nncf", "onnx", "onnxruntime", "onnxscript", "openvino")
_CALIBRATION_SHAPE = (4, 1, 3, 128, 256)


def are_installed() -> bool:
    """Return whether the packages of `engines.REQUIREMENTS` are installed."""
    return all(importlib.util.find_spec(package) for package in _PACKAGES)


def precisions(name: str) -> list[Precision]:
    """Return the precisions to measure of an engine; bf16 only if the CPU is fast in it."""
    with_bf16 = name == OPENVINO and bf16_is_fast(CPU)
    return ["fp32", "bf16", "int8"] if with_bf16 else ["fp32", "int8"]


def write_files(folder: Path) -> None:
    """Write the ONNX files that `build` reads."""
    model, generator = untrained_fcn().eval(), np.random.default_rng(0)
    write_scores(model, folder / "fp32.onnx")
    images = generator.standard_normal(_CALIBRATION_SHAPE, np.float32)
    quantize_file(folder / "fp32.onnx", folder / "int8.onnx", list(images), CLASSES)


def build(name: str, precision: Precision, folder: Path) -> Runner:
    """Open a file of `write_files` with an engine.

    Args:
        name: a name of `ENGINES`.
        precision: one of its `precisions`.
        folder: the folder of the files.
    """
    file = folder / ("int8.onnx" if precision == "int8" else "fp32.onnx")
    run = open_onnx(file) if name == ONNX_RUNTIME else open_openvino(file, precision == "bf16")
    with torch.inference_mode():
        model = CompiledModel(untrained_fcn().eval(), run)
    return masks_of(Predictor(model, 1, CPU, bf16=False), VARIANTS)
