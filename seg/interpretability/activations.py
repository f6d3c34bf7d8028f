"""The tensors inside an FCN: features, scores, the effect of skip connections, and the attribution of logits
to strides.

Sources: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", section 4
    (skips); Dumoulin, Visin 2016, "A guide to convolution arithmetic for deep learning" (transposed
    convolution).

Every step after the scores is linear, so the contribution of a stride to a logit is exact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from seg.data import preprocess
from seg.errors import StreetFCNError
from seg.inference.predictor import Predictor
from seg.models.base import pad_to_multiple
from seg.models.fcn import FCN, LearnedUpsample

UpsamplingMode = Literal["learned", "bilinear", "nearest"]


FINAL_UPSAMPLE: dict[str, str] = {"32s": "upscore32", "16s": "upscore16", "8s": "upscore8"}
"""The transposed convolution that upsamples a variant's scores to full size. All names here are those of the
paper."""


class InspectionError(StreetFCNError, ValueError):
    """A network without scores and skip connections; the message says so."""


@dataclass(frozen=True)
class SkipOverrides:
    """Changes to the decoder; the defaults leave it as trained."""

    skip16: float = 1.0  # factor of the scores at stride 16 before they are added
    skip8: float = 1.0
    upscore2: UpsamplingMode = "learned"
    upscore4: UpsamplingMode = "learned"
    last: UpsamplingMode = "learned"  # to full size


@dataclass(frozen=True)
class Activations:
    """The encoder's output for one photo, from which the decoder can be evaluated repeatedly."""

    size: tuple[int, int]  # height and width of the working image, before it is padded to a multiple of 32
    activity: dict[
        int, np.ndarray
    ]  # by stride s, the mean of the features over their channels, H/s x W/s float32
    channels: dict[int, int]  # by stride, the number of features
    scores: dict[int, Tensor]  # by stride (32, and 16 and 8 if the network has them), K x H/s x W/s fp32


def fcn_of(predictor: Predictor) -> FCN:
    """The FCN of a predictor.

    Raises:
        InspectionError: if it is another network.
    """
    if not isinstance(predictor.model, FCN):
        raise InspectionError(
            "These weights are not an FCN with skip connections, so there is nothing to inspect. Choose"
            " others."
        )
    return predictor.model


@torch.inference_mode()
def compute_activations(
    predictor: Predictor, photo: Image.Image, working_height: int | None = None
) -> Activations:
    """Run a photo through the encoder and the score layers.

    Args:
        predictor: a predictor of an FCN.
        photo: an RGB photo.
        working_height: height in pixels of the working image; by default the predictor's.

    Raises:
        InspectionError: if the network is not an FCN.
    """
    model, size = fcn_of(predictor), predictor.working_size(photo, working_height)
    image = preprocess.to_image(photo, size).to(predictor.device, memory_format=torch.channels_last)
    with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
        _, *stages = model.backbone(pad_to_multiple(image))  # the first is the image itself
        features = dict(zip((2, 4, 8, 16, 32), stages, strict=True))
        scores = {stride: score(features[stride])[0].float().cpu() for stride, score in _scorers(model)}
    return Activations(
        size=size,
        activity={stride: f[0].float().mean(0).cpu().numpy() for stride, f in features.items()},
        channels={stride: f.shape[1] for stride, f in features.items()},
        scores=scores,
    )


def _scorers(model: FCN) -> Iterator[tuple[int, nn.Module]]:
    for stride in (32, 16, 8):
        if hasattr(model, f"score{stride}"):
            yield stride, getattr(model, f"score{stride}")


@torch.inference_mode()
def decode_steps(
    model: FCN, scores: Mapping[int, Tensor], variant: str, overrides: SkipOverrides = SkipOverrides()
) -> dict[str, Tensor]:  # noqa: B008
    """All tensors of the decoder between the scores and a variant's logits.

    Args:
        model: the FCN.
        scores: by stride s, K x H/s x W/s.
        variant: 32s, 16s or 8s.
        overrides: changes to the decoder.

    Returns:
        The tensors by name, in order: ``score32``; then ``upscore2``, ``score16`` (times its factor) and
        their sum ``fuse16``; ``upscore4``, ``score8`` and ``fuse8``; last ``upscore32``, ``upscore16`` or
        ``upscore8``, the K x H x W logits of the padded working image.
    """

    def up(name: str, mode: UpsamplingMode, low: Tensor) -> Tensor:
        layer: LearnedUpsample = getattr(model, name)
        if mode == "learned":
            return layer(low[None].to(layer.weight.device))[0].cpu()
        smooth = {"align_corners": False} if mode == "bilinear" else {}
        return F.interpolate(low[None], scale_factor=layer.factor, mode=mode, **smooth)[0]

    steps = {"score32": scores[32]}
    fused = scores[32]
    if variant != "32s":
        steps["upscore2"] = up("upscore2", overrides.upscore2, fused)
        steps["score16"] = overrides.skip16 * scores[16]
        steps["fuse16"] = fused = steps["upscore2"] + steps["score16"]
    if variant == "8s":
        steps["upscore4"] = up("upscore4", overrides.upscore4, fused)
        steps["score8"] = overrides.skip8 * scores[8]
        steps["fuse8"] = fused = steps["upscore4"] + steps["score8"]
    steps[FINAL_UPSAMPLE[variant]] = up(FINAL_UPSAMPLE[variant], overrides.last, fused)
    return steps


def mask_of(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The mask of a working image.

    Args:
        logits: K x H x W logits of the padded working image.
        size: height and width of the working image.

    Returns:
        height x width uint8 train ids.
    """
    return logits[:, : size[0], : size[1]].max(0).indices.byte().numpy()


def logit_attribution(
    model: FCN, scores: Mapping[int, Tensor], variant: str, at: tuple[int, int]
) -> dict[int, np.ndarray]:
    """The contribution of each stride's scores to the logits of a pixel.

    Args:
        model: the FCN.
        scores: by stride s, K x H/s x W/s.
        variant: 32s, 16s or 8s.
        at: row and column in the working image.

    Returns:
        By stride, K float32 contributions; their sum is the logits, up to rounding, since upsampling and
        addition are linear.
    """
    used = {"32s": (32,), "16s": (32, 16), "8s": (32, 16, 8)}[variant]
    row, column = at
    contributions = {}
    for stride in used:
        alone = {s: scores[s] if s == stride else torch.zeros_like(scores[s]) for s in used}
        contributions[stride] = decode_steps(model, alone, variant)[FINAL_UPSAMPLE[variant]][
            :, row, column
        ].numpy()
    return contributions


def most_affected_pixel(model: FCN, activations: Activations) -> tuple[int, int]:
    """Row and column of the pixel at which the skip connections have the largest effect.

    There the logit of the finest variant's class exceeds that of the class without skip connections by the
    most. If they change no pixel, it is the center.
    """
    (height, width), variant = activations.size, model.variants[-1]
    logits, without_skips = (
        decode_steps(model, activations.scores, variant, overrides)[FINAL_UPSAMPLE[variant]][
            :, :height, :width
        ]
        for overrides in (SkipOverrides(), SkipOverrides(0.0, 0.0))
    )
    lead = logits.max(0).values - logits.gather(0, without_skips.argmax(0, keepdim=True))[0]
    largest = int(lead.argmax())
    return divmod(largest, width) if lead.flatten()[largest] > 0 else (height // 2, width // 2)


def upsampling_kernels(model: FCN) -> dict[str, np.ndarray]:
    """The kernels of the transposed convolutions by name, the coarsest first; K x 2f x 2f for stride f."""
    kernels = {
        name: up.weight.detach()[:, 0].cpu().numpy()
        for name, up in model.named_children()
        if isinstance(up, LearnedUpsample)
    }
    return dict(sorted(kernels.items(), key=lambda item: len(item[1][0])))
