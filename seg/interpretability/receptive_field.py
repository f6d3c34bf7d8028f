"""Theoretical and effective receptive fields of a logit.

Sources: Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning" (theoretical); Luo, Li,
    Urtasun, Zemel 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks"
    (effective).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from seg.data import preprocess
from seg.inference.predictor import Predictor
from seg.interpretability.activations import InspectionError
from seg.interpretability.unet_activations import DECODER_STRIDES
from seg.models.base import pad_to_multiple
from seg.models.baselines import UNet
from seg.models.fcn import FCN


@dataclass(frozen=True)
class PixelBox:
    """Rows and columns of the working image, inclusive; they may lie outside the image."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top + 1, self.right - self.left + 1


def theoretical_field(model: FCN, variant: str, at: tuple[int, int], size: tuple[int, int]) -> PixelBox:
    """The pixels that a logit can depend on, from the geometry of the layers.

    Args:
        model: the FCN.
        variant: 32s, 16s or 8s.
        at: row and column of the logit in the working image.
        size: height and width of the working image.
    """
    layers = _layer_geometry(model.backbone)
    ends = [
        _interval(layers, variant, position, -(-side // 32)) for position, side in zip(at, size, strict=True)
    ]
    return PixelBox(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def theoretical_unet_field(model: UNet, at: tuple[int, int], size: tuple[int, int]) -> PixelBox:
    """The pixels that a logit of a U-Net can depend on, from the geometry of the layers.

    Args:
        model: the U-Net.
        at: row and column of the logit in the working image.
        size: height and width of the working image.
    """
    layers = _layer_geometry(model.backbone)
    ends = [
        _unet_interval(layers, position, -(-side // 32) * 32) for position, side in zip(at, size, strict=True)
    ]
    return PixelBox(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _unet_interval(
    layers: Mapping[int, list[tuple[int, int, int]]], position: int, side: int
) -> tuple[int, int]:
    """First and last pixel of the field along one side of the padded image."""
    low, high = position - 1, position + 1  # the last 3 x 3 convolution, of the scores
    intervals = []
    for stride in reversed(DECODER_STRIDES):
        last = side // stride - 1
        # two 3 x 3 convolutions; what they concatenate reaches as far as their input
        low, high = max(0, low - 2), min(last, high + 2)
        if stride in layers:
            intervals.append(_pixels(layers[stride], low, high))
        low, high = low // 2, high // 2  # upsampled twice by nearest neighbor
    intervals.append(_pixels(layers[32], low, high))
    return min(first for first, _ in intervals), max(last for _, last in intervals)


def _pixels(layers: list[tuple[int, int, int]], low: int, high: int) -> tuple[int, int]:
    """First and last pixel of the field of the features low … high."""
    for kernel, step, padding in reversed(layers):
        low, high = low * step - padding, high * step - padding + kernel - 1
    return low, high


def _interval(
    layers: Mapping[int, list[tuple[int, int, int]]], variant: str, position: int, coarse: int
) -> tuple[int, int]:
    """First and last pixel of the field along one side, whose image has `coarse` cells at stride 32."""

    def below(low: int, high: int, factor: int, cells: int) -> tuple[int, int]:
        """The input cells of a transposed convolution (kernel 2f, stride f, one replicated cell around) for
        outputs low … high."""
        cut = factor // 2 + factor
        first, last = -(-(low + cut - 2 * factor + 1) // factor) - 1, (high + cut) // factor - 1
        return min(max(first, 0), cells - 1), min(max(last, 0), cells - 1)

    stride = int(variant[:-1])
    low, high = below(position, position, stride, coarse * 32 // stride)
    intervals = [_pixels(layers[stride], low, high)]
    while stride < 32:
        stride *= 2
        low, high = below(low, high, 2, coarse * 32 // stride)
        intervals.append(_pixels(layers[stride], low, high))
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _layer_geometry(backbone: nn.Module) -> dict[int, list[tuple[int, int, int]]]:
    """By stride, (kernel, stride, padding) of the layers before its features, along the path with the largest
    field."""
    submodule = backbone.get_submodule
    if hasattr(backbone, "layer1"):
        stages = [[submodule("conv1"), submodule("maxpool")]]
        for blocks in (submodule(f"layer{n}").children() for n in (1, 2, 3, 4)):
            stages.append([block.get_submodule(f"conv{n}") for block in blocks for n in (1, 2, 3)])
    else:
        stages = [[]]
        for layer in submodule("features").children():
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                stages[-1].append(layer)
    layers: dict[int, list[tuple[int, int, int]]] = {}
    path, stride = [], 1
    for stage in stages:
        for layer in stage:
            kernel, step, padding = (
                _first(getattr(layer, name)) for name in ("kernel_size", "stride", "padding")
            )
            path.append((kernel, step, padding))
            stride *= step
        layers[stride] = list(path)
    return layers


def _first(value: int | tuple[int, int]) -> int:
    return value if isinstance(value, int) else value[0]


def effective_field(
    predictor: Predictor,
    photo: Image.Image,
    at: tuple[int, int],
    wanted: Mapping[str, int],
    working_height: int | None = None,
) -> dict[str, np.ndarray]:
    """How strongly a logit depends on each pixel of a photo: the magnitude of its gradient.

    Args:
        predictor: a predictor of an FCN or a U-Net.
        photo: an RGB photo.
        at: row and column of the logit in the working image.
        wanted: by variant, the train id of the class.
        working_height: height in pixels of the working image; by default the predictor's.

    Returns:
        By variant, H x W float32: the absolute gradient, summed over red, green and blue.

    Raises:
        InspectionError: if it is another network.
    """
    model, size = predictor.model, predictor.working_size(photo, working_height)
    if not isinstance(model, FCN | UNet):
        raise InspectionError("These weights are neither an FCN nor a U-Net. Choose others.")
    image = preprocess.to_image(photo, size).to(predictor.device, memory_format=torch.channels_last)
    fields = {}
    with torch.enable_grad():
        image.requires_grad_(True)
        with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
            logits = model.decode(model.encoder(pad_to_multiple(image)), tuple(wanted))
        for variant, train_id in wanted.items():
            (gradient,) = torch.autograd.grad(
                logits[variant][0, train_id, at[0], at[1]], image, retain_graph=True
            )
            fields[variant] = gradient[0].abs().sum(0).float().cpu().numpy()
    return fields


def mass_square_side(field: np.ndarray, at: tuple[int, int], share: float = 0.95) -> int:
    """The side in pixels of the smallest square around a pixel that contains a share of a field's sum; 0 if
    the sum is 0."""
    rows, columns = np.indices(field.shape)
    distance = np.maximum(np.abs(rows - at[0]), np.abs(columns - at[1])).ravel()
    mass = np.bincount(distance, weights=field.ravel()).cumsum()
    return 2 * int(np.searchsorted(mass, share * mass[-1])) + 1 if mass[-1] > 0 else 0
