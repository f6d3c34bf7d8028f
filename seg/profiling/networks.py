"""The untrained networks of the latency benchmark: this project's, and those of other libraries.

This project's run as in `seg.inference.predictor`, from image to masks. The others are built by their
libraries' documented calls. Times hardly depend on parameters, so no network is trained.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seg.data import cityscapes
from seg.inference.postprocess import to_mask
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.models.fcn import FCN, VARIANTS

Precision = Literal["fp32", "bf16", "int8"]
"""int8 is for the engines only."""

CLASSES = len(cityscapes.CLASSES)
ENCODER, ALL = "the bare encoder", "all three masks"
TORCHVISION = "torchvision fcn_resnet50"
UNET, DEEPLAB, VGG = "SMP Unet, ResNet-50", "SMP DeepLabV3+, ResNet-50", "FCN-8s, VGG-16"
SEGFORMER, LRASPP, SMALL_DEEPLAB = (
    "SMP Segformer, MiT-B0",
    "torchvision lraspp_mobilenet_v3_large",
    "SMP DeepLabV3+, MobileNetV2",
)
BASELINES = (TORCHVISION, UNET, DEEPLAB, VGG, SEGFORMER, LRASPP, SMALL_DEEPLAB)
MODELS = (*(DISPLAY_NAMES[v] for v in VARIANTS), ALL)

Runner = Callable[[Tensor], Any]
"""A function of N x 3 x H x W images, in channels_last on the device, that computes masks or features."""


def build(name: str, precision: Precision, device: torch.device) -> Runner:
    """Build an untrained network.

    Args:
        name: a name of `ENCODER`, `MODELS` or `BASELINES`.
        precision: fp32, or bf16, which runs under autocast.
        device: the device.
    """
    bf16 = precision == "bf16"
    if name in MODELS or name == VGG:
        variants = {ALL: VARIANTS, VGG: ("8s",)}.get(name) or [
            v for v in VARIANTS if DISPLAY_NAMES[v] == name
        ]
        model = untrained_fcn("vgg16" if name == VGG else "resnet50")
        return masks_of(Predictor.for_inference(model, 1, device, bf16), variants)
    net = _baseline(name).to(device).to(memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def run_baseline(images: Tensor) -> Tensor | list[Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = net(images)
        if name == ENCODER:
            return output
        return (output["out"] if name in (TORCHVISION, LRASPP) else output).argmax(1).cpu()

    return run_baseline


def untrained_fcn(backbone: Literal["resnet50", "vgg16"] = "resnet50") -> FCN:
    """Return an FCN of all variants (of VGG-16: FCN-8s) whose classes have different scores."""
    model = FCN(CLASSES, ("8s",), backbone="vgg16") if backbone == "vgg16" else FCN(CLASSES)
    for layer in model.children():
        if isinstance(layer, nn.Conv2d):  # a score layer; at its initial zeros, all classes are equal
            nn.init.normal_(layer.weight, std=0.02)
    return model


def masks_of(predictor: Predictor, variants: Sequence[str]) -> Runner:
    """Return a function that computes the masks of images, at their own size, one variant after another."""

    def run(images: Tensor) -> list[np.ndarray]:
        size = images.shape[-2:]
        return [
            to_mask(logits, *size)[0]
            for by_variant in predictor.forward_batch(images, variants)
            for logits in by_variant.values()
        ]

    return run


def _baseline(name: str) -> nn.Module:
    import segmentation_models_pytorch as smp  # slow to import
    from torchvision.models import segmentation

    untrained = {"weights": None, "weights_backbone": None, "num_classes": CLASSES}
    return {
        ENCODER: lambda: smp.encoders.get_encoder("resnet50", weights=None),
        TORCHVISION: lambda: segmentation.fcn_resnet50(**untrained),
        UNET: lambda: smp.Unet("resnet50", encoder_weights=None, classes=CLASSES),
        DEEPLAB: lambda: smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=CLASSES),
        SEGFORMER: lambda: smp.Segformer("mit_b0", encoder_weights=None, classes=CLASSES),
        LRASPP: lambda: segmentation.lraspp_mobilenet_v3_large(**untrained),
        SMALL_DEEPLAB: lambda: smp.DeepLabV3Plus("mobilenet_v2", encoder_weights=None, classes=CLASSES),
    }[name]()
