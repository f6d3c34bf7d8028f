"""Export of published weights to one file that other programs run: ONNX, or a torch.export program.

Batch size, height and width stay dynamic. `parity` compares such a file with PyTorch. Sources: the
documentation of torch.export and torch.onnx; ONNX, "Open Neural Network Exchange" (onnx.ai).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from seg.data import preprocess
from seg.data.pairs import PAIR_ASPECT
from seg.models.base import pad_to_multiple
from seg.models.factory import SegmentationModel
from seg.models.onnx_graph import REQUIREMENTS, ExportError, write_onnx
from seg.models.registry import load_weights
from seg.system.atomic_io import new_file

Format = Literal["onnx", "torch-export"]

ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}


class LogitsModule(nn.Module):
    """Computes N x K x H x W fp32 logits of each variant from N x 3 x H x W normalized images of any size.

    Args:
        model: the network.
        variants: the variants, in the order of the outputs.
    """

    input_name = "image"
    axis_names = {0: "batch", 2: "height", 3: "width"}  # the dynamic axes of the input

    def __init__(self, model: SegmentationModel, variants: Sequence[str]) -> None:
        super().__init__()
        self.model, self.variants = model, tuple(variants)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of each variant."""
        height, width = image.shape[-2:]
        logits = self.model.decode(self.model.encoder(pad_to_multiple(image)), self.variants)
        # cropped by indices: with slices, torch.export specializes the program to sizes that are multiples of
        # 32, or to those that are not
        rows, columns = torch.arange(height), torch.arange(width)
        return tuple(
            logits[variant].index_select(2, rows).index_select(3, columns) for variant in self.variants
        )


class MaskModule(LogitsModule):
    """Computes N x H x W uint8 train ids of each variant from N x H x W x 3 uint8 RGB at working resolution.

    It includes the preprocessing.

    Args:
        model: the network.
        variants: the variants, in the order of the outputs.
    """

    input_name = "photo"
    axis_names = {0: "batch", 1: "height", 2: "width"}
    mean: Tensor
    std: Tensor

    def __init__(self, model: SegmentationModel, variants: Sequence[str]) -> None:
        super().__init__(model, variants)
        self.register_buffer("mean", torch.tensor(preprocess.MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.STD).view(1, 3, 1, 1))

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        """Return the train ids of each variant."""
        image = (photo.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        return tuple(logits.argmax(1).to(torch.uint8) for logits in super().forward(image))


def export(
    name: str, out: Path, file_format: Format, variants: Sequence[str] = (), photo_in: bool = False
) -> LogitsModule:
    """Export published weights to a file, which is written completely or not at all.

    Args:
        name: a name from `list_weights`.
        out: the file to write.
        file_format: its format.
        variants: the variants to export; by default all of the weights.
        photo_in: export a `MaskModule`, which includes the preprocessing, instead of a `LogitsModule`.

    Returns:
        The exported module.

    Raises:
        ExportError: if the weights lack a variant, the file cannot be written or a package is missing.
        WeightsError: if the weights cannot be read.
    """
    model, card = load_weights(name)
    selected = tuple(dict.fromkeys(variants)) or tuple(card.variants)
    missing = [variant for variant in selected if variant not in card.variants]
    if missing:
        raise ExportError(f"{name} has no {missing[0]}; it has {', '.join(card.variants)}.")
    if out.suffix != ENDINGS[file_format]:
        raise ExportError(f"A file for {file_format} ends in {ENDINGS[file_format]}; {out.name} does not.")
    module = (MaskModule if photo_in else LogitsModule)(model, selected).eval()
    example = torch.zeros(2, 90, 150, 3, dtype=torch.uint8) if photo_in else torch.zeros(2, 3, 90, 150)
    metadata = {
        "weights": name,
        "sha256": card.sha256,
        "variants": list(selected),
        "classes": card.classes,
        "working_height": card.working_height,
        "resize_mode": card.resize_mode,
        "max_side": preprocess.MAX_SIDE,
        "max_pixels": preprocess.MAX_AREA_RATIO * PAIR_ASPECT * card.working_height**2,
        "licence": card.licence,
    } | ({} if photo_in else {"mean": card.mean, "std": card.std})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with new_file(out, out.suffix) as temp_path, torch.no_grad():
            dynamic_shapes = (dict.fromkeys(module.axis_names, torch.export.Dim.AUTO),)
            program = torch.export.export(module, (example,), dynamic_shapes=dynamic_shapes)
            if file_format == "onnx":
                write_onnx(
                    program, temp_path, module.input_name, module.axis_names, module.variants, metadata
                )
            else:
                torch.export.save(program, temp_path, extra_files={"card.json": json.dumps(metadata)})
    except OSError as error:
        raise ExportError(
            f"{out} cannot be written ({error.strerror}). Name another file with --out."
        ) from None
    return module


def open_exported(file: Path, file_format: Format) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Open an exported file.

    Args:
        file: a file written by `export`.
        file_format: its format.

    Returns:
        A function from one input array to an output array for each variant.

    Raises:
        ExportError: if ONNX Runtime is needed and not installed.
    """
    if file_format == "torch-export":
        program = torch.export.load(file).module()
        return lambda batch: [output.detach().numpy() for output in program(torch.from_numpy(batch))]
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(
            f"Running ONNX needs the package onnxruntime: pip install -r {REQUIREMENTS}."
        ) from None
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    input_name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {input_name: batch})
