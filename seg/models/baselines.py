"""Baselines for FCN on the same encoders, built as their libraries document: U-Net and a dilated FCN.

Sources: Ronneberger, Fischer, Brox 2015, "U-Net" (segmentation-models-pytorch); torchvision's
``fcn_resnet50``, a ResNet whose last two stages are dilated instead of strided, without skips.
"""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from seg.models.base import LogitUpsampler, SegmentationModel
from seg.models.encoder import ResNetVersion, apply_resnet_version


class _SingleOutputModel(SegmentationModel):
    """A network with one variant, whose scores are its logits."""

    def _check_variants(self, variants: Sequence[str] | None) -> None:
        if variants is not None and tuple(variants) != self.variants:
            requested = ", ".join(variants) or "none"
            raise ValueError(f"this network has only the variant {self.variants[0]}, not {requested}")


class UNet(_SingleOutputModel):
    """U-Net on ResNet-50 from segmentation-models-pytorch, with the variant ``unet``.

    Args:
        classes: number of classes.
        strides: the ResNet version, which decides where its stages are strided.
    """

    variants = ("unet",)

    def __init__(self, classes: int, strides: ResNetVersion = "v1.5") -> None:
        super().__init__()
        from segmentation_models_pytorch import Unet  # slow to import

        self.net = Unet("resnet50", encoder_weights=None, classes=classes)
        apply_resnet_version(self.net.encoder, strides)

    @property
    def backbone(self) -> nn.Module:
        """The ResNet-50 encoder."""
        return self.net.encoder

    def encoder(self, image: Tensor) -> list[Tensor]:
        """Return the features of an N x 3 x H x W image at every stride."""
        return self.net.encoder(image)

    def fuse_skips(
        self, features: list[Tensor], variants: Sequence[str] | None = None
    ) -> dict[str, tuple[Tensor, LogitUpsampler]]:
        """Compute the logits from the features; see `SegmentationModel.fuse_skips`."""
        self._check_variants(variants)
        logits = self.net.segmentation_head(self.net.decoder(features)).float()
        return {"unet": (logits, IdentityUpsampler())}


class DilatedFCN(_SingleOutputModel):
    """torchvision's ``fcn_resnet50``, with the variant ``dilated``.

    Dilated stages give scores at stride 8, which are upsampled bilinearly.

    Args:
        classes: number of classes.
        strides: the ResNet version, which decides where its stages are strided.
    """

    variants = ("dilated",)

    def __init__(self, classes: int, strides: ResNetVersion = "v1.5") -> None:
        super().__init__()
        from torchvision.models.segmentation import fcn_resnet50  # slow to import

        self.net = fcn_resnet50(weights=None, weights_backbone=None, num_classes=classes, aux_loss=False)
        apply_resnet_version(self.net.backbone, strides)

    @property
    def backbone(self) -> nn.Module:
        """The ResNet-50 encoder."""
        return self.net.backbone

    def encoder(self, image: Tensor) -> Mapping[str, Tensor]:
        """Return the features of an N x 3 x H x W image at stride 8, under the key ``out``."""
        return self.net.backbone(image)

    def fuse_skips(
        self, features: Mapping[str, Tensor], variants: Sequence[str] | None = None
    ) -> dict[str, tuple[Tensor, LogitUpsampler]]:
        """Compute the logits from the features; see `SegmentationModel.fuse_skips`."""
        self._check_variants(variants)
        scores = self.net.classifier(features["out"]).float()
        logits = F.interpolate(scores, scale_factor=8, mode="bilinear", align_corners=False)
        return {"dilated": (logits, IdentityUpsampler())}


class IdentityUpsampler:
    """Upsampler of scores that are logits already: it returns them unchanged."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Return the scores."""
        return scores

    def forward_rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        """Return rows `top` to `bottom` (exclusive) of the scores."""
        return scores[:, :, top:bottom]
