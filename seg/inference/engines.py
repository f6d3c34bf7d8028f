"""Engines for CPUs: ONNX Runtime and OpenVINO compute the class scores of a network in place of PyTorch.

Both read an ONNX file of encoder and heads, which is exported once and kept in the cache folder; `quantize`
adds one in int8. The last upsampling stays in PyTorch.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from seg import paths
from seg.data import preprocess
from seg.errors import StreetFCNError
from seg.inference.device import CPU, Device, bf16_is_fast, pick_device
from seg.models.base import SIZE_MULTIPLE, LogitUpsampler, SegmentationModel
from seg.models.model_card import ModelCard
from seg.models.onnx_graph import write_onnx
from seg.models.registry import read_card
from seg.system.atomic_io import new_file

Engine = Literal["auto", "torch", "onnx", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "int8"]

REQUIREMENTS = "requirements/engines.txt"
"""The additional packages that engines need."""

ENGINE_VARIABLE, PRECISION_VARIABLE = "SEG_ENGINE", "SEG_PRECISION"
"""Environment variables with the engine and the precision of the app."""

DISPLAY_NAMES: dict[Engine, str] = {"torch": "PyTorch", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}

INPUT = "image"

Scores = dict[str, Tensor]
"""1 x K x h x w scores by variant."""


class EngineError(StreetFCNError, ValueError):
    """The engine cannot be used; the message gives the reason and a remedy."""


class ScoresModule(nn.Module):
    """Computes the scores of all variants on their own grids.

    Args:
        model: the network.
    """

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return N x K x h x w scores of each variant for an N x 3 x H x W image, H and W multiples of 32."""
        fused = self.model.fuse_skips(self.model.encoder(image))
        return tuple(fused[variant][0] for variant in self.model.variants)


class CompiledModel(SegmentationModel):
    """A network whose scores another engine computes; it is only for prediction on the CPU.

    Args:
        model: the network in PyTorch, of which the upsampling is kept.
        run: computes the scores of all variants, in their order, of a 1 x 3 x H x W array.
    """

    def __init__(self, model: SegmentationModel, run: Callable[[np.ndarray], Sequence[np.ndarray]]) -> None:
        super().__init__()
        self.variants = model.variants
        self._run = run
        with torch.inference_mode():
            smallest = torch.zeros(1, 3, SIZE_MULTIPLE, SIZE_MULTIPLE)
            fused = model.fuse_skips(model.encoder(smallest))
        self._upsamplers = {variant: upsampler for variant, (_, upsampler) in fused.items()}

    @property
    def backbone(self) -> nn.Module:
        """A compiled network has no parameters to load."""
        raise NotImplementedError

    def encoder(self, image: Tensor) -> Scores:
        """Return the scores of all variants."""
        outputs = self._run(np.ascontiguousarray(image.numpy()))
        return {variant: torch.from_numpy(s) for variant, s in zip(self.variants, outputs, strict=True)}

    def fuse_skips(
        self, features: Mapping[str, Tensor], variants: Sequence[str] | None = None
    ) -> dict[str, tuple[Tensor, LogitUpsampler]]:
        """Select the scores of the requested variants; see `SegmentationModel.fuse_skips`."""
        requested = self.variants if variants is None else variants
        if missing := set(requested) - set(self.variants):
            raise ValueError(f"{min(missing)} is not in these weights; they have {', '.join(self.variants)}")
        return {variant: (features[variant], self._upsamplers[variant]) for variant in requested}


class EngineSetting(NamedTuple):
    """The engine and the precision that an app uses for masks."""

    engine: Engine
    precision: Precision

    @property
    def device(self) -> Device:
        """The device: engines other than PyTorch compute on the CPU, also beside a GPU."""
        return "cpu" if self.engine in ("onnx", "openvino") else "auto"


def engine_setting() -> EngineSetting:
    """Return the setting of the environment; by default PyTorch in the faster precision.

    Raises:
        EngineError: if a variable has an unknown value, or the two do not fit together.
    """
    setting = EngineSetting(
        cast(Engine, _environment_value(ENGINE_VARIABLE, get_args(Engine), "torch")),
        cast(Precision, _environment_value(PRECISION_VARIABLE, get_args(Precision), "auto")),
    )
    selected = pick_device(setting.device)
    return EngineSetting(choose_engine(setting.engine, selected, setting.precision), setting.precision)


def _environment_value(variable: str, known: Sequence[str], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in known:
        raise EngineError(f'{variable} is "{value}". Set it to one of {", ".join(known)}.')
    return value


def check_engine(setting: EngineSetting, names: Sequence[str]) -> None:
    """Check that an engine can compute published weights, without exporting them.

    Args:
        setting: engine and precision.
        names: names of the weights.

    Raises:
        EngineError: if a package is missing, or some of the weights have not been quantized.
        WeightsError: if a card cannot be read.
    """
    if setting.engine == "torch":
        return
    import_package({"onnx": "onnxruntime"}.get(setting.engine, setting.engine))
    if setting.precision == "int8":
        for name in names:
            _quantized_file(read_card(name))


def _quantized_file(card: ModelCard) -> Path:
    """Return the file of `quantize`, or raise `EngineError` if there is none."""
    file = engine_file(card.sha256, "int8")
    if not file.is_file():
        raise EngineError(
            f"{card.name} has not been quantized on this machine. Do it once: python -m seg quantize"
            f" {card.name}."
        )
    return file


def choose_engine(engine: Engine, device: torch.device, precision: Precision) -> Engine:
    """Return the engine to use: ``auto`` is OpenVINO on a CPU if it is installed, else PyTorch.

    Args:
        engine: the requested engine.
        device: the device; only PyTorch computes on others than the CPU.
        precision: the requested precision.

    Raises:
        EngineError: if the three do not fit together.
    """
    if engine == "auto":
        installed = all(importlib.util.find_spec(package) for package in ("openvino", "onnxscript"))
        engine = "openvino" if device == CPU and installed else "torch"
    if engine != "torch" and device != CPU:
        raise EngineError(f"The engine {engine} computes on the CPU only. Add --device cpu, or choose torch.")
    if engine == "torch" and precision == "int8":
        raise EngineError("PyTorch computes in fp32 or bf16. Choose --engine onnx or openvino for int8.")
    if engine == "onnx" and precision == "bf16":
        raise EngineError(
            "ONNX Runtime computes in fp32 or int8. Choose --engine torch or openvino for bf16."
        )
    return engine


def compile_model(
    model: SegmentationModel, card: ModelCard, engine: Engine, precision: Precision
) -> CompiledModel:
    """Compile a network for another engine.

    Args:
        model: the network in evaluation mode and fp32.
        card: its card.
        engine: ``onnx`` or ``openvino``.
        precision: ``auto`` is the fastest of fp32 and bf16 that the engine has.

    Raises:
        EngineError: if the weights have not been quantized.
        ExportError: if a package is missing.
    """
    file = _quantized_file(card) if precision == "int8" else export_scores(model, card.sha256)
    if engine == "onnx":
        return CompiledModel(model, open_onnx(file))
    bf16 = precision == "bf16" or (precision == "auto" and bf16_is_fast(CPU))
    return CompiledModel(model, open_openvino(file, bf16))


def engine_file(sha256: str, precision: Literal["fp32", "int8"]) -> Path:
    """Return where the ONNX file of weights is kept, whether it exists or not."""
    return paths.cache() / "engines" / sha256[:16] / f"{precision}.onnx"


def export_scores(model: SegmentationModel, sha256: str) -> Path:
    """Write encoder and heads to an ONNX file in the cache folder, unless it is there.

    Args:
        model: the network in evaluation mode and fp32.
        sha256: hash of its weights file.

    Returns:
        The file.

    Raises:
        ExportError: if a package is missing.
        OSError: if the cache folder cannot be written.
    """
    file = engine_file(sha256, "fp32")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file, file.suffix) as temp_path:
            write_scores(model, temp_path)
    return file


def write_scores(model: SegmentationModel, file: Path) -> None:
    """Write encoder and heads of a network to an ONNX file with one output of scores for each variant."""
    largest = preprocess.MAX_SIDE // SIZE_MULTIPLE
    height, width = (SIZE_MULTIPLE * torch.export.Dim(name, min=1, max=largest) for name in ("h", "w"))
    example = torch.zeros(2, 3, 3 * SIZE_MULTIPLE, 5 * SIZE_MULTIPLE)
    with torch.no_grad():
        shapes = ({0: torch.export.Dim.AUTO, 2: height, 3: width},)
        program = torch.export.export(ScoresModule(model).eval(), (example,), dynamic_shapes=shapes)
    axis_names = {0: "batch", 2: "height", 3: "width"}
    write_onnx(program, file, INPUT, axis_names, model.variants, {})


def open_onnx(file: Path) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """Open a file of `write_scores` with ONNX Runtime."""
    onnxruntime = import_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {INPUT: image})


def open_openvino(file: Path, bf16: bool = False) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """Open a file of `write_scores` with OpenVINO."""
    openvino = import_package("openvino")
    properties = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(file, "CPU", properties)

    def run(image: np.ndarray) -> list[np.ndarray]:
        # a request of its own for each thread that predicts
        outputs = compiled.create_infer_request().infer({INPUT: image})
        return [outputs[output] for output in compiled.outputs]

    return run


def import_package(package: str) -> Any:
    """Import an additional package that an engine needs.

    Raises:
        EngineError: if it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise EngineError(
            f"This engine needs the package {package}: pip install -r {REQUIREMENTS}."
        ) from None
