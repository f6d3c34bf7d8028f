"""All architectures and their variants; `create_model` builds a network by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seg.data.cityscapes import CLASSES
from seg.errors import StreetFCNError
from seg.models.base import SegmentationModel
from seg.models.baselines import DilatedFCN, UNet
from seg.models.encoder import DISPLAY_NAMES as BACKBONES
from seg.models.encoder import Backbone, ResNetVersion
from seg.models.fcn import FCN, VARIANTS


class ArchitectureError(StreetFCNError, ValueError):
    """An architecture or a variant that does not exist; the message lists those that do."""


Architecture = Literal["fcn-resnet50", "fcn-vgg16", "unet-resnet50", "dilated-resnet50"]


@dataclass(frozen=True)
class ArchitectureSpec:
    """The backbone of an architecture, the variants that it supports and its name for users."""

    backbone: Backbone
    variants: tuple[str, ...]
    description: str


ARCHITECTURES: dict[Architecture, ArchitectureSpec] = {
    "fcn-resnet50": ArchitectureSpec("resnet50", VARIANTS, "FCN on ResNet-50"),
    "unet-resnet50": ArchitectureSpec("resnet50", UNet.variants, "U-Net on ResNet-50"),
    "fcn-vgg16": ArchitectureSpec("vgg16", VARIANTS, "FCN on VGG-16 without fc6 and fc7"),
    "dilated-resnet50": ArchitectureSpec(
        "resnet50", DilatedFCN.variants, "torchvision's dilated FCN on ResNet-50"
    ),
}
"""All architectures, the fastest first."""

OUTPUT_STRIDE = {"32s": 32, "16s": 16, "8s": 8, "dilated": 8}
"""Cell size of a variant's output grid in input pixels; U-Net is not listed, so it has no grid reference."""

DISPLAY_NAMES = {
    "32s": "FCN-32s",
    "16s": "FCN-16s",
    "8s": "FCN-8s",
    "unet": "U-Net",
    "dilated": "Dilated FCN",
}
"""Names of the variants on pages and in tables."""


def method_name(architecture: Architecture, variant: str) -> str:
    """Return the name of a variant among those of all architectures, such as "FCN-8s on ResNet-50".

    The FCN of the paper turns VGG-16's layers fc6 and fc7 into convolutions; the one here leaves them out.
    """
    backbone = ARCHITECTURES[architecture].backbone
    return f"{DISPLAY_NAMES[variant]} on {BACKBONES[backbone]}" + " (no fc6, fc7)" * (backbone == "vgg16")


def list_models() -> list[str]:
    """Return the names of all architectures, as `create_model` takes them."""
    return list(ARCHITECTURES)


def create_model(
    architecture: str,
    classes: int = len(CLASSES),
    variants: Sequence[str] | None = None,
    strides: ResNetVersion = "v1.5",
) -> SegmentationModel:
    """Build an untrained network.

    Args:
        architecture: a name from `list_models`.
        classes: number of classes.
        variants: the outputs to build; by default all of the architecture. FCN has 32s, 16s and 8s, the
            others one.
        strides: the ResNet version, which decides where its stages are strided.

    Returns:
        The network with random encoder parameters; `forward` maps N x 3 x H x W images to logits by variant.

    Raises:
        ArchitectureError: if the architecture does not exist, or does not support one of the variants.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ArchitectureError(f'There is no architecture "{architecture}". Choose one of {known}.')
    spec = ARCHITECTURES[architecture]
    variants = spec.variants if variants is None else variants
    unsupported = [variant for variant in variants if variant not in spec.variants]
    if unsupported or not variants:
        raise ArchitectureError(
            f"{spec.description} has the variants {', '.join(spec.variants)}, not"
            f" {', '.join(unsupported) or 'none'}."
        )
    if architecture == "unet-resnet50":
        return UNet(classes, strides)
    if architecture == "dilated-resnet50":
        return DilatedFCN(classes, strides)
    return FCN(classes, variants, strides, spec.backbone)
