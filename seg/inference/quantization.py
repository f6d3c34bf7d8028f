"""Quantization of published weights to int8 for the engines, calibrated on held-out photos of train.

Source: NNCF, "Neural Network Compression Framework" (Kozlov et al. 2020), post-training quantization.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.data import preprocess
from seg.data.datasets import load_split
from seg.data.decode_cache import DecodedSplit
from seg.inference.engines import (
    INPUT,
    REQUIREMENTS,
    EngineError,
    engine_file,
    export_scores,
)
from seg.models.base import pad_to_multiple
from seg.models.registry import load_weights
from seg.system.atomic_io import new_file

OnProgress = Callable[[int, int], object]


def quantize(name: str, data: Path, photos: int, on_progress: OnProgress | None = None) -> Path:
    """Quantize weights to int8 and keep the file in the cache folder, where the engines find it.

    Args:
        name: a name from `list_weights`.
        data: the data set; its last photos of train, which trainings hold out, calibrate the ranges. val is
            never used.
        photos: number of photos.
        on_progress: called with the number of photos prepared and of all.

    Returns:
        The file.

    Raises:
        EngineError: if a package is missing.
        ExportError: if a package for the export is missing.
        StreetFCNError: if the weights or the data cannot be used.
    """
    _packages()  # a missing one is reported before the export
    model, card = load_weights(name)
    source, target = export_scores(model, card.sha256), engine_file(card.sha256, "int8")
    split = load_split(data, "train").held_out(photos)
    images = list(_images(split, card.working_height, on_progress))
    with new_file(target, target.suffix) as temp_path:
        quantize_file(source, temp_path, images, len(card.classes))
    return target


def quantize_file(source: Path, target: Path, images: Sequence[np.ndarray], classes: int) -> None:
    """Quantize an ONNX file of `engines.write_scores` to int8.

    Args:
        source: the file in fp32.
        target: the file to write.
        images: 1 x 3 x H x W normalized images that calibrate the ranges.
        classes: number of classes.

    Raises:
        EngineError: if a package is missing.
    """
    nncf, onnx = _packages()
    graph = onnx.load(source)
    quantized = nncf.quantize(
        graph,
        nncf.Dataset([{INPUT: image} for image in images]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=_sensitive_layers(graph, classes)),
    )
    onnx.save(quantized, str(target))


def _packages() -> tuple[Any, Any]:
    """Return the modules nncf and onnx, or raise `EngineError`."""
    try:
        import nncf
        import onnx
    except ImportError as error:
        raise EngineError(
            f"Quantizing needs the package {error.name}: pip install -r {REQUIREMENTS}."
        ) from None
    nncf.set_log_level(logging.WARNING)  # its notes on single layers are not for users
    return nncf, onnx


def _sensitive_layers(graph: Any, classes: int) -> list[str]:
    """Return the names of the layers that stay in floating point: the first convolution, and those after the
    encoder, which compute the scores of the classes."""
    shapes = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    scoring = [node for node in convolutions if shapes[node.input[1]][0] == classes]
    upsampling = [node for node in graph.graph.node if node.op_type == "ConvTranspose"]
    return [node.name for node in (convolutions[0], *scoring, *upsampling)]


def _images(split: DecodedSplit, height: int, on_progress: OnProgress | None) -> Iterator[np.ndarray]:
    """Yield 1 x 3 x H x W normalized images of all photos of a split."""
    for i in range(len(split)):
        photo = split.photo(i)
        aspect = split.scene_aspect or photo.width / photo.height
        yield pad_to_multiple(preprocess.to_image(photo, (height, round(height * aspect)))).numpy()
        if on_progress:
            on_progress(i + 1, len(split))
