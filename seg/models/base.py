"""The interface of all segmentation models: encoder, class scores on a grid, and upsampling to logits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor, nn


class LogitUpsampler(Protocol):
    """Upsamples class scores to logits at image size."""

    def __call__(self, scores: Tensor) -> Tensor:
        """Return the N x K x H x W fp32 logits of N x K x h x w scores."""

    def forward_rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        """Return rows `top` to `bottom` (exclusive) of the logits."""


class SegmentationModel(nn.Module, ABC):
    """Base class of all networks.

    Attributes:
        variants: names of the outputs that the network was built with.
        encoder: maps an N x 3 x H x W image, H and W multiples of 32, to the features that `fuse_skips`
            takes.
    """

    variants: tuple[str, ...]
    encoder: Callable[[Tensor], Any]

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The module that pretrained parameters are loaded into."""

    @abstractmethod
    def fuse_skips(
        self, features: Any, variants: Sequence[str] | None = None
    ) -> dict[str, tuple[Tensor, LogitUpsampler]]:
        """Compute class scores on the output grid of each variant.

        Args:
            features: output of the encoder.
            variants: the variants to compute; by default all.

        Returns:
            For each variant its N x K x h x w scores and the upsampler that makes N x K x H x W fp32 logits
            of them.

        Raises:
            ValueError: if the network was not built with one of the variants.
        """

    def decode(self, features: Any, variants: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Compute the N x K x H x W fp32 logits of each variant.

        Args:
            features: output of the encoder.
            variants: the variants to compute; by default all.

        Raises:
            ValueError: if the network was not built with one of the variants.
        """
        fused = self.fuse_skips(features, variants)
        return {variant: upsample(scores) for variant, (scores, upsample) in fused.items()}

    def forward(self, image: Tensor, variants: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Compute the logits of each variant at the size of the image.

        Args:
            image: N x 3 x H x W, normalized, of any size.
            variants: the variants to compute; by default all.

        Returns:
            N x K x H x W fp32 logits by variant.
        """
        height, width = image.shape[-2:]
        logits = self.decode(self.encoder(pad_to_multiple(image)), variants)
        return {variant: padded[..., :height, :width] for variant, padded in logits.items()}


SIZE_MULTIPLE = 32
"""The encoders halve an image five times, so its sides are padded to multiples of this."""


def pad_to_multiple(image: Tensor) -> Tensor:
    """Pad height and width to multiples of `SIZE_MULTIPLE` by replicating the last row and column."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE), mode="replicate")
