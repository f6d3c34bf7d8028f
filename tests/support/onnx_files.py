"""Small ONNX networks with descriptions, as other projects would provide them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_channel_network(
    folder: Path,
    classes: Sequence[str],
    size: tuple[int, int] = (32, 64),
    layout: str = "NCHW",
    kind: str = "logits",
    **about: object,
) -> Path:
    """Write other.onnx and other.json: class k has the value of channel k modulo 3 as its score, the later
    classes minus 1.

    Args:
        folder: The folder; created if missing.
        classes: The classes of the network.
        size: Height and width of its input.
        layout: Order of the axes of its input.
        kind: Whether its output is class scores or class ids.
        about: Other fields of the description.

    Returns:
        The ONNX file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weight = np.zeros((len(classes), 3, 1, 1), np.float32)
    for k in range(len(classes)):
        weight[k, k % 3] = 1
    bias = np.where(np.arange(len(classes)) < 3, 0, -1).astype(np.float32)
    nodes = [helper.make_node("Conv", ["planes", "weight", "bias"], ["scores"])]
    given = [1, 3, *size]
    if layout == "NHWC":
        given = [1, *size, 3]
        nodes.insert(0, helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]))
    else:
        nodes.insert(0, helper.make_node("Identity", ["image"], ["planes"]))
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(classes), *size])
    if kind == "ids":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["ids"], axis=1, keepdims=0))
        output = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, *size])
    graph = helper.make_graph(
        nodes,
        "channels",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, given)],
        [output],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "other.onnx")
    description = {"classes": list(classes), "size": list(size), "layout": layout, "kind": kind, **about}
    (folder / "other.json").write_text(json.dumps(description))
    return folder / "other.onnx"
