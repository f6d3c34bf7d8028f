"""The networks that can be trained, behind one call: the FCN family, and rivals built as their libraries document.

Sources of the rivals: Ronneberger, Fischer, Brox 2015, "U-Net" (segmentation-models-pytorch's); torchvision's ``fcn_resnet50``, a
ResNet whose last two stages are dilated instead of strided, without skips. Knows nothing of photos, training or files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from seg.encoder import Backbone, Strides, place_strides
from seg.fcn import FCN, VARIANTS, Network, Upsampling

Architecture = Literal["fcn-resnet50", "fcn-vgg16", "unet-resnet50", "dilated-resnet50"]


class _Rival(Network):
    """A network with one answer; its scores are its logits."""

    def _check(self, variants: Sequence[str] | None) -> None:
        if variants is not None and tuple(variants) != self.variants:
            raise ValueError(f"this network comes as {self.variants[0]}, not as {', '.join(variants) or 'none'}")


class UNet(_Rival):
    """segmentation-models-pytorch's U-Net on ResNet-50; its one variant is called ``unet``."""

    variants = ("unet",)

    def __init__(self, classes: int, strides: Strides = "v1.5") -> None:
        super().__init__()
        from segmentation_models_pytorch import Unet  # slow to import

        self.net = Unet("resnet50", encoder_weights=None, classes=classes)
        place_strides(self.net.encoder, strides)

    @property
    def backbone(self) -> nn.Module:
        return self.net.encoder

    def encoder(self, image: Tensor) -> list[Tensor]:
        return self.net.encoder(image)

    def fuse(self, features: list[Tensor], variants: Sequence[str] | None = None) -> dict[str, tuple[Tensor, Upsampling]]:
        self._check(variants)
        return {"unet": (self.net.segmentation_head(self.net.decoder(features)).float(), _Done())}


class DilatedFCN(_Rival):
    """torchvision's ``fcn_resnet50``: scores at stride 8 from dilated stages, brought up bilinearly; the variant ``dilated``."""

    variants = ("dilated",)

    def __init__(self, classes: int, strides: Strides = "v1.5") -> None:
        super().__init__()
        from torchvision.models.segmentation import fcn_resnet50  # slow to import

        self.net = fcn_resnet50(weights=None, weights_backbone=None, num_classes=classes, aux_loss=False)
        place_strides(self.net.backbone, strides)

    @property
    def backbone(self) -> nn.Module:
        return self.net.backbone

    def encoder(self, image: Tensor) -> Mapping[str, Tensor]:
        return self.net.backbone(image)

    def fuse(self, features: Mapping[str, Tensor], variants: Sequence[str] | None = None) -> dict[str, tuple[Tensor, Upsampling]]:
        self._check(variants)
        scores = self.net.classifier(features["out"]).float()
        return {"dilated": (F.interpolate(scores, scale_factor=8, mode="bilinear", align_corners=False), _Done())}


class _Done:
    """The upsampling of scores that are logits already."""

    def __call__(self, scores: Tensor) -> Tensor:
        return scores

    def rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        return scores[:, :, top:bottom]


@dataclass(frozen=True)
class Kind:
    """An architecture: on what it is built, and the variants that it may have."""

    backbone: Backbone
    variants: tuple[str, ...]
    words: str


ARCHITECTURES: dict[Architecture, Kind] = {
    "fcn-resnet50": Kind("resnet50", VARIANTS, "FCN on ResNet-50"),
    "fcn-vgg16": Kind("vgg16", VARIANTS, "FCN on VGG-16"),
    "unet-resnet50": Kind("resnet50", UNet.variants, "U-Net on ResNet-50"),
    "dilated-resnet50": Kind("resnet50", DilatedFCN.variants, "torchvision's dilated FCN on ResNet-50"),
}

STRIDE_OF = {"32s": 32, "16s": 16, "8s": 8, "dilated": 8}
"""The finest grid that a variant scores on, in input pixels. U-Net's is half its input's: no ceiling of the labels binds it."""

TITLES = {"32s": "FCN-32s", "16s": "FCN-16s", "8s": "FCN-8s", "unet": "U-Net", "dilated": "Dilated FCN"}
"""What a variant is called on a page and in a table."""


def build(architecture: Architecture, classes: int, variants: Sequence[str], strides: Strides = "v1.5") -> Network:
    """The network, untrained. Raises ValueError for variants that the architecture has not."""
    kind = ARCHITECTURES[architecture]
    wrong = [v for v in variants if v not in kind.variants]
    if wrong or not variants:
        raise ValueError(f"{kind.words} comes as {', '.join(kind.variants)}, not as {', '.join(wrong) or 'none'}.")
    if architecture == "unet-resnet50":
        return UNet(classes, strides)
    if architecture == "dilated-resnet50":
        return DilatedFCN(classes, strides)
    return FCN(classes, variants, strides, kind.backbone)
