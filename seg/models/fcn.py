"""FCN-32s, FCN-16s and FCN-8s on one encoder: class scores, skip connections and learned upsampling.

Source: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", section 4.
The layers have the names of its published networks.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg.models.base import LogitUpsampler, SegmentationModel
from seg.models.encoder import Backbone, Encoder, ResNetVersion

Variant = Literal["32s", "16s", "8s"]

VARIANTS: tuple[Variant, ...] = ("32s", "16s", "8s")
"""The variants from coarse to fine: each adds the scores of the next finer stride."""


class LearnedUpsample(nn.Module):
    """Transposed convolution with one learned kernel per class, initialized as bilinear interpolation.

    The scores are padded by replication, because zero padding would weaken them at the border. It always
    computes in fp32, because grouped transposed convolutions in bf16 are several times slower on CPUs.

    On CPUs and in exported files PyTorch's transposed convolution computes it. GPUs have only a slow kernel
    for groups, so there a matrix product for each class computes the same sums.

    Args:
        classes: number of classes.
        factor: upsampling factor; even.
    """

    def __init__(self, classes: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(bilinear_kernel(factor).expand(classes, 1, -1, -1).clone())

    def forward(self, scores: Tensor) -> Tensor:
        """Upsample N x K x h x w scores to N x K x (factor * h) x (factor * w) in fp32."""
        with torch.autocast(scores.device.type, enabled=False):
            padded = F.pad(scores.float(), (1, 1, 1, 1), mode="replicate")
            if self._convolves(padded):
                # half a stride aligns input and output; one stride more removes the replicated cell
                cut = self.factor // 2 + self.factor
                return F.conv_transpose2d(
                    padded, self.weight, stride=self.factor, padding=cut, groups=len(self.weight)
                )
            height, width = (self.factor * side for side in scores.shape[-2:])
            half = self.factor // 2
            return upsample_cells(padded, self.weight)[..., half : half + height, half : half + width]

    def forward_rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        """Compute only rows `top` to `bottom` (exclusive) of the output of `forward`."""
        factor = self.factor
        # the kernel of a row of scores reaches from half a stride above its cell to half a stride below
        first_score_row, last_score_row = (top - factor // 2) // factor, (bottom - 1 + factor // 2) // factor
        score_rows = torch.arange(first_score_row, last_score_row + 1, device=scores.device)
        score_rows = score_rows.clamp(0, scores.shape[-2] - 1)
        with torch.autocast(scores.device.type, enabled=False):
            padded = F.pad(scores.float().index_select(-2, score_rows), (1, 1, 0, 0), mode="replicate")
            rows_above, half = top - (first_score_row * factor + factor // 2), factor // 2
            if self._convolves(padded):
                upsampled = F.conv_transpose2d(padded, self.weight, stride=factor, groups=len(self.weight))
                upsampled = upsampled[..., factor:-factor, factor:-factor]
            else:
                upsampled = upsample_cells(padded, self.weight)
            return upsampled[..., rows_above : rows_above + bottom - top, half : upsampled.shape[-1] - half]

    def _convolves(self, scores: Tensor) -> bool:
        """Whether to use PyTorch's transposed convolution."""
        return scores.device.type == "cpu" or torch.compiler.is_exporting()


def upsample_cells(scores: Tensor, weight: Tensor) -> Tensor:
    """Compute a transposed convolution of kernel 2f and stride f as one matrix product per class.

    Between four neighboring scores lies a cell of f x f pixels. It is the sum of the four, each times the
    quarter of the kernel that reaches into the cell.

    Args:
        scores: N x K x h x w. weight: K x 1 x 2f x 2f.

    Returns:
        The K classes between the scores, N x K x (h - 1)f x (w - 1)f.
    """
    samples, classes, height, width = scores.shape
    factor = weight.shape[-1] // 2
    quarters = weight.view(classes, 2, factor, 2, factor).transpose(2, 3).reshape(classes, 4, factor**2)
    # the second half of a kernel reaches the cell after its score, so the last scores come first
    after, before = scores[..., 1:, :], scores[..., :-1, :]
    four = torch.stack((after[..., 1:], after[..., :-1], before[..., 1:], before[..., :-1]), -1)
    cells = torch.bmm(four.transpose(0, 1).reshape(classes, -1, 4), quarters)
    cells = cells.view(classes, samples, height - 1, width - 1, factor, factor).permute(1, 0, 2, 4, 3, 5)
    return cells.reshape(samples, classes, (height - 1) * factor, (width - 1) * factor)


def bilinear_kernel(factor: int) -> Tensor:
    """Return the 2f x 2f kernel of a transposed convolution of even stride f that interpolates bilinearly."""
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    return ramp[:, None] * ramp[None, :]


class FCN(SegmentationModel):
    """FCN-32s, FCN-16s and FCN-8s that share one encoder pass.

    Args:
        classes: number of classes.
        variants: the variants to build, in any order.
        strides: the ResNet version, which decides where its stages are strided.
        backbone: the encoder.

    Raises:
        ValueError: if no variant is named, or one is unknown or repeated.
    """

    variants: tuple[Variant, ...]
    encoder: Encoder

    def __init__(
        self,
        classes: int,
        variants: Sequence[str] = VARIANTS,
        strides: ResNetVersion = "v1.5",
        backbone: Backbone = "resnet50",
    ) -> None:
        super().__init__()
        self.variants = tuple(v for v in VARIANTS if v in variants)
        if not self.variants or len(self.variants) != len(set(variants)):
            requested = ", ".join(map(str, variants)) or "none"
            raise ValueError(f"variants must be some of {', '.join(VARIANTS)}, not {requested}")
        self.encoder = Encoder(strides, backbone)
        channels = self.encoder.channels
        finest = self.variants[-1]
        self.score32 = _score_layer(channels[32], classes)
        if "32s" in self.variants:
            self.upscore32 = LearnedUpsample(classes, 32)
        if finest != "32s":
            self.score16 = _score_layer(channels[16], classes)
            self.upscore2 = LearnedUpsample(classes, 2)
        if "16s" in self.variants:
            self.upscore16 = LearnedUpsample(classes, 16)
        if finest == "8s":
            self.score8 = _score_layer(channels[8], classes)
            self.upscore4 = LearnedUpsample(classes, 2)  # from stride 16 to 8: the paper's upscore_pool4
            self.upscore8 = LearnedUpsample(classes, 8)

    @property
    def backbone(self) -> nn.Module:
        """The module that pretrained parameters are loaded into."""
        return self.encoder.backbone

    def fuse_skips(
        self, features: dict[int, Tensor], variants: Sequence[str] | None = None
    ) -> dict[str, tuple[Tensor, LogitUpsampler]]:
        """Add the skip connections of the requested variants.

        Args:
            features: features by stride, from the encoder.
            variants: the variants to compute; by default all.

        Returns:
            For each variant its N x K x h x w scores on its own grid, and its last upsampling.

        Raises:
            ValueError: if the network was not built with one of the variants.
        """
        requested = self.variants if variants is None else variants
        for variant in requested:
            if variant not in self.variants:
                available = ", ".join("FCN-" + v for v in self.variants)
                raise ValueError(f"FCN-{variant} is not in these weights; they have {available}")
        outputs: dict[str, tuple[Tensor, LogitUpsampler]] = {}
        fused = self.score32(features[32]).float()
        if "32s" in requested:
            outputs["32s"] = fused, self.upscore32
        if "16s" in requested or "8s" in requested:
            fused = self.upscore2(fused) + self.score16(features[16]).float()
        if "16s" in requested:
            outputs["16s"] = fused, self.upscore16
        if "8s" in requested:
            fused = self.upscore4(fused) + self.score8(features[8]).float()
            outputs["8s"] = fused, self.upscore8
        return outputs


def _score_layer(channels: int, classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution from features to class scores, initialized to zero."""
    score = nn.Conv2d(channels, classes, 1)
    # zeros, as in the paper: at first every class is equally likely and no skip contributes
    for parameter in score.parameters():
        nn.init.zeros_(parameter)
    return score
