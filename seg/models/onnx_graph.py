"""Writing of a traced network as an ONNX file. Source: ONNX, "Open Neural Network Exchange" (onnx.ai)."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seg.errors import StreetFCNError

REQUIREMENTS = "requirements/export.txt"
"""The additional packages that ONNX needs."""


class ExportError(StreetFCNError, ValueError):
    """The export is not possible; the message gives the reason and a remedy."""


def write_onnx(
    program: torch.export.ExportedProgram,
    file: Path,
    input_name: str,
    axis_names: Mapping[int, str],
    output_names: Sequence[str],
    metadata: Mapping[str, Any],
) -> None:
    """Write a program with one input as an ONNX file.

    Args:
        program: the program.
        file: the file to write.
        input_name: name of the input.
        axis_names: names of the dynamic axes of the input by position.
        output_names: names of the outputs.
        metadata: properties of the file; all but texts are written as JSON.

    Raises:
        ExportError: if a package is missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it, and names it less clearly
    except ImportError as error:
        raise ExportError(f"ONNX needs the package {error.name}: pip install -r {REQUIREMENTS}.") from None
    onnx_program = torch.onnx.export(
        program, dynamo=True, input_names=[input_name], output_names=list(output_names), verbose=False
    )
    model = onnx_program.model_proto  # type: ignore[union-attr]  # None is for dynamo=False
    _name_axes(model.graph, axis_names)
    properties = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()
    }
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _name_axes(graph: Any, names: Mapping[int, str]) -> None:
    """Give the dynamic axes of the input their names wherever they occur; the exporter calls them s15 or s52.

    Args:
        graph: an ONNX graph with one input.
        names: names of the input's axes by position.
    """
    axes = graph.input[0].type.tensor_type.shape.dim
    symbols = {axes[position].dim_param: name for position, name in names.items()}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(
                    r"\w+", lambda symbol: symbols.get(symbol[0], symbol[0]), axis.dim_param
                )
