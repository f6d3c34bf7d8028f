"""FCN-32s, FCN-16s and FCN-8s on one encoder: scores, skips, learned upsampling, as three taps of one graph.

First what they have in common with their rivals: `Network`.

Source: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", section 4; the names of the
layers are those of its published networks. Knows nothing of photos, training or files.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg.encoder import Backbone, Encoder, Strides

Variant = Literal["32s", "16s", "8s"]
VARIANTS: tuple[Variant, ...] = ("32s", "16s", "8s")
"""From coarse to fine: each adds the scores of one more, finer stride."""


class Upsampling(Protocol):
    """What makes logits of scores: all of them when called, or some rows."""

    def __call__(self, scores: Tensor) -> Tensor: ...

    def rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        """Rows `top` to `bottom` (excluded) of the logits."""


class Network(nn.Module, ABC):
    """What training and prediction ask of a network; called with an image of any size, it gives the logits of that very size."""

    variants: tuple[str, ...]
    encoder: Callable[[Tensor], Any]
    """N x 3 x H x W image, H and W multiples of 32 -> whatever `fuse` takes."""

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """What a start is loaded into."""

    @abstractmethod
    def fuse(self, features: Any, variants: Sequence[str] | None = None) -> dict[str, tuple[Tensor, Upsampling]]:
        """-> ``{variant: (N x K x h x w scores, what makes N x K x H x W fp32 logits of them)}``

        Raises ValueError for a variant that this network was not built with.
        """

    def decode(self, features: Any, variants: Sequence[str] | None = None) -> dict[str, Tensor]:
        """-> ``{variant: N x K x H x W fp32 logits}``: what `fuse` gives, brought up. Raises as `fuse`."""
        return {variant: upsample(scores) for variant, (scores, upsample) in self.fuse(features, variants).items()}

    def forward(self, image: Tensor, variants: Sequence[str] | None = None) -> dict[str, Tensor]:
        height, width = image.shape[-2:]
        return {v: s[..., :height, :width] for v, s in self.decode(self.encoder(pad_to_multiple(image)), variants).items()}


class Upsample(nn.Module):
    """N x K x h x w scores -> N x K x factor h x factor w: a transposed convolution with one learned kernel per class.

    It starts as bilinear interpolation. The scores are padded by replication first, since zero padding would darken the border.
    Always in fp32: grouped transposed convolutions in bf16 are several times slower on CPUs.
    """

    def __init__(self, classes: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(bilinear_kernel(factor).expand(classes, 1, -1, -1).clone())

    def forward(self, scores: Tensor) -> Tensor:
        with torch.autocast(scores.device.type, enabled=False):
            padded = F.pad(scores.float(), (1, 1, 1, 1), mode="replicate")
            # half a kernel less half a stride aligns input and output; one stride more cuts the replicated cell off again
            cut = self.factor // 2 + self.factor
            return F.conv_transpose2d(padded, self.weight, stride=self.factor, padding=cut, groups=len(self.weight))

    def rows(self, scores: Tensor, top: int, bottom: int) -> Tensor:
        """Rows `top` to `bottom` (excluded) of what `forward` gives, without the others."""
        factor = self.factor
        first, last = (top - factor // 2) // factor, (bottom - 1 + factor // 2) // factor  # rows of scores that reach them
        near = torch.arange(first, last + 1, device=scores.device).clamp(0, scores.shape[-2] - 1)
        with torch.autocast(scores.device.type, enabled=False):
            padded = F.pad(scores.float().index_select(-2, near), (1, 1, 0, 0), mode="replicate")
            # a row of scores reaches from half a stride above its cell to half a stride below
            above = top - (first * factor - factor // 2)
            brought = F.conv_transpose2d(padded, self.weight, stride=factor, groups=len(self.weight))
            side = factor // 2 + factor
            return brought[..., above : above + bottom - top, side : brought.shape[-1] - side]


def bilinear_kernel(factor: int) -> Tensor:
    """The 2f x 2f kernel with which a transposed convolution of stride f (even) interpolates bilinearly."""
    ramp = 1 - (torch.arange(2 * factor) + 0.5 - factor).abs() / factor
    return ramp[:, None] * ramp[None, :]


class FCN(Network):
    """N x 3 x H x W image of any size -> ``{variant: N x K x H x W fp32 logits}`` of the variants asked for: one encoder pass."""

    variants: tuple[Variant, ...]
    encoder: Encoder

    def __init__(
        self,
        classes: int,
        variants: Sequence[str] = VARIANTS,
        strides: Strides = "v1.5",
        backbone: Backbone = "resnet50",
    ) -> None:
        super().__init__()
        self.variants = tuple(v for v in VARIANTS if v in variants)
        if not self.variants or len(self.variants) != len(set(variants)):
            raise ValueError(f"variants must be some of {', '.join(VARIANTS)}, not {', '.join(map(str, variants)) or 'none'}")
        self.encoder = Encoder(strides, backbone)
        channels = self.encoder.channels
        finest = self.variants[-1]
        self.score32 = _score(channels[32], classes)
        if "32s" in self.variants:
            self.upscore32 = Upsample(classes, 32)
        if finest != "32s":
            self.score16 = _score(channels[16], classes)
            self.upscore2 = Upsample(classes, 2)
        if "16s" in self.variants:
            self.upscore16 = Upsample(classes, 16)
        if finest == "8s":
            self.score8 = _score(channels[8], classes)
            self.upscore4 = Upsample(classes, 2)  # the paper's upscore_pool4: the sum at stride 16 brought to stride 8
            self.upscore8 = Upsample(classes, 8)

    @property
    def backbone(self) -> nn.Module:
        return self.encoder.backbone

    def fuse(self, features: dict[int, Tensor], variants: Sequence[str] | None = None) -> dict[str, tuple[Tensor, Upsampling]]:
        """Features at strides 8, 16, 32 -> the scores of each variant on its own grid, skips added, and its last upsampling.

        Only the taps asked for are computed. Raises ValueError for a variant that this network was not built with.
        """
        asked = self.variants if variants is None else variants
        for variant in asked:
            if variant not in self.variants:
                raise ValueError(
                    f"FCN-{variant} is not in these weights; they have {', '.join('FCN-' + v for v in self.variants)}"
                )
        found: dict[str, tuple[Tensor, Upsampling]] = {}
        fused = self.score32(features[32]).float()
        if "32s" in asked:
            found["32s"] = fused, self.upscore32
        if "16s" in asked or "8s" in asked:
            fused = self.upscore2(fused) + self.score16(features[16]).float()
        if "16s" in asked:
            found["16s"] = fused, self.upscore16
        if "8s" in asked:
            fused = self.upscore4(fused) + self.score8(features[8]).float()
            found["8s"] = fused, self.upscore8
        return found


def pad_to_multiple(image: Tensor, multiple: int = 32) -> Tensor:
    """Replicates the last row and column until both sides are multiples."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _score(channels: int, classes: int) -> nn.Conv2d:
    score = nn.Conv2d(channels, classes, 1)
    # from zero, as in the paper: training begins with every class equally likely and every skip adding nothing
    for parameter in score.parameters():
        nn.init.zeros_(parameter)
    return score
