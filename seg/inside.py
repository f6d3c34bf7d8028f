"""What goes on inside an FCN between a photo and its mask: every score on the way, what the skips add, and what a pixel sees.

Sources: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", section 4 (skips); Dumoulin,
Visin 2016, "A guide to convolution arithmetic for deep learning" (transposed convolution, how far a layer reaches); Luo, Li,
Urtasun, Zemel 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks".

After the scores every step is linear: what a stride adds to a logit can be told exactly. Knows nothing of pages or files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from seg import preprocess
from seg.fcn import FCN, Upsample, Variant, pad_to_multiple
from seg.predict import Predictor

Upsampling = Literal["learned", "bilinear", "nearest"]

LAST: dict[Variant, str] = {"32s": "upscore32", "16s": "upscore16", "8s": "upscore8"}
"""The transposed convolution that brings a variant's scores up to full size, by the paper's names, as all below."""


class InsideError(ValueError):
    """A network that is no FCN with scores and skips; the message says so."""


@dataclass(frozen=True)
class Touch:
    """How the way from scores to logits is changed; as it stands here, it is as trained."""

    skip16: float = 1.0  # what the scores at stride 16 are multiplied by before they are added
    skip8: float = 1.0
    upscore2: Upsampling = "learned"
    upscore4: Upsampling = "learned"
    last: Upsampling = "learned"  # the variant's own, up to full size


@dataclass(frozen=True)
class Seen:
    """What the encoder made of one photo, kept so that all that follows can be computed again and again."""

    size: tuple[int, int]  # height and width of the working image, before it is padded to a multiple of 32
    activity: dict[int, np.ndarray]  # stride -> H/s x W/s float32: the mean of the features over their channels
    channels: dict[int, int]  # stride -> how many
    scores: dict[int, Tensor]  # 32, and 16 and 8 where the network has them -> K x H/s x W/s fp32


def fcn_of(predictor: Predictor) -> FCN:
    """The FCN of a predictor. Raises `InsideError` if it is another network."""
    if not isinstance(predictor.model, FCN):
        raise InsideError("These weights are no FCN with scores and skips: there is no such way to look into. Choose others.")
    return predictor.model


@torch.inference_mode()
def look(predictor: Predictor, photo: Image.Image, working_height: int | None = None) -> Seen:
    """One pass of a photo through encoder and scores. Raises `InsideError`."""
    model, size = fcn_of(predictor), predictor.working_size(photo, working_height)
    image = preprocess.to_image(photo, size).to(predictor.device, memory_format=torch.channels_last)
    with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
        _, *stages = model.backbone(pad_to_multiple(image))  # the first is the image itself
        features = dict(zip((2, 4, 8, 16, 32), stages, strict=True))
        scores = {stride: score(features[stride])[0].float().cpu() for stride, score in _scorers(model)}
    return Seen(
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
def climb(model: FCN, scores: Mapping[int, Tensor], variant: Variant, touch: Touch = Touch()) -> dict[str, Tensor]:  # noqa: B008
    """K x H/s x W/s scores by stride -> all that is made of them on the way to a variant's logits, by name, in order.

    ``score32``; then ``upscore2``, ``score16`` (times its factor) and their sum ``fuse16``; ``upscore4``, ``score8`` and
    ``fuse8``; at last ``upscore32``, ``upscore16`` or ``upscore8``, K x H x W logits of the padded working image.
    """

    def up(name: str, how: Upsampling, low: Tensor) -> Tensor:
        layer: Upsample = getattr(model, name)
        if how == "learned":
            return layer(low[None].to(layer.weight.device))[0].cpu()
        smooth = {"align_corners": False} if how == "bilinear" else {}
        return F.interpolate(low[None], scale_factor=layer.factor, mode=how, **smooth)[0]

    found = {"score32": scores[32]}
    fused = scores[32]
    if variant != "32s":
        found["upscore2"] = up("upscore2", touch.upscore2, fused)
        found["score16"] = touch.skip16 * scores[16]
        found["fuse16"] = fused = found["upscore2"] + found["score16"]
    if variant == "8s":
        found["upscore4"] = up("upscore4", touch.upscore4, fused)
        found["score8"] = touch.skip8 * scores[8]
        found["fuse8"] = fused = found["upscore4"] + found["score8"]
    found[LAST[variant]] = up(LAST[variant], touch.last, fused)
    return found


def mask_of(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """K x H x W logits of the padded image -> height x width uint8 train ids of the image itself."""
    return logits[:, : size[0], : size[1]].max(0).indices.byte().numpy()


def contributions(model: FCN, scores: Mapping[int, Tensor], variant: Variant, at: tuple[int, int]) -> dict[int, np.ndarray]:
    """Stride -> K float32: what its scores add to the logits at a pixel (row, column) of the working image.

    They add up to the logits, up to rounding: bringing up and adding are linear, so each stride's scores can go the way alone.
    """
    used = {"32s": (32,), "16s": (32, 16), "8s": (32, 16, 8)}[variant]
    row, column = at
    found = {}
    for stride in used:
        alone = {s: scores[s] if s == stride else torch.zeros_like(scores[s]) for s in used}
        found[stride] = climb(model, alone, variant)[LAST[variant]][:, row, column].numpy()
    return found


def decided(model: FCN, seen: Seen) -> tuple[int, int]:
    """Row and column where the skips decide most: the finest variant's winner leads what would win without them by the most.

    The middle where the skips change nothing.
    """
    (height, width), variant = seen.size, model.variants[-1]
    whole, without = (
        climb(model, seen.scores, variant, touch)[LAST[variant]][:, :height, :width] for touch in (Touch(), Touch(0.0, 0.0))
    )
    lead = whole.max(0).values - whole.gather(0, without.argmax(0, keepdim=True))[0]
    best = int(lead.argmax())
    return divmod(best, width) if lead.flatten()[best] > 0 else (height // 2, width // 2)


def kernels(model: FCN) -> dict[str, np.ndarray]:
    """Name of each transposed convolution, the coarsest first -> its K x 2f x 2f kernels of stride f."""
    found = {name: up.weight.detach()[:, 0].cpu().numpy() for name, up in model.named_children() if isinstance(up, Upsample)}
    return dict(sorted(found.items(), key=lambda item: len(item[1][0])))


# ------------------------------------------------------------------------------------------------- what a pixel can and does see


@dataclass(frozen=True)
class Box:
    """Rows and columns of the working image, the last ones included; they may lie outside it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top + 1, self.right - self.left + 1


def theoretical_field(model: FCN, variant: Variant, at: tuple[int, int], size: tuple[int, int]) -> Box:
    """All pixels of a working image of `size` that the logit at (row, column) could depend on, from the layers' arithmetic."""
    reach = _reach(model.backbone)
    ends = [_field(reach, variant, place, -(-side // 32)) for place, side in zip(at, size, strict=True)]
    return Box(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _field(reach: Mapping[int, list[tuple[int, int, int]]], variant: Variant, place: int, coarse: int) -> tuple[int, int]:
    """First and last pixel along one side whose image has `coarse` cells at stride 32."""

    def below(low: int, high: int, factor: int, cells: int) -> tuple[int, int]:
        """The cells from which a transposed convolution (kernel 2f, stride f, one cell replicated around) makes low … high."""
        cut = factor // 2 + factor
        first, last = -(-(low + cut - 2 * factor + 1) // factor) - 1, (high + cut) // factor - 1
        return min(max(first, 0), cells - 1), min(max(last, 0), cells - 1)

    def seen(low: int, high: int, stride: int) -> tuple[int, int]:
        for kernel, step, padding in reversed(reach[stride]):
            low, high = low * step - padding, high * step - padding + kernel - 1
        return low, high

    stride = int(variant[:-1])
    low, high = below(place, place, stride, coarse * 32 // stride)
    found = [seen(low, high, stride)]
    while stride < 32:
        stride *= 2
        low, high = below(low, high, 2, coarse * 32 // stride)
        found.append(seen(low, high, stride))
    return min(low for low, _ in found), max(high for _, high in found)


def _reach(backbone: nn.Module) -> dict[int, list[tuple[int, int, int]]]:
    """Stride -> (kernel, stride, padding) of the layers before those features, along the path that sees most."""
    part = backbone.get_submodule
    if hasattr(backbone, "layer1"):
        stages = [[part("conv1"), part("maxpool")]]
        for blocks in (part(f"layer{n}").children() for n in (1, 2, 3, 4)):
            stages.append([block.get_submodule(f"conv{n}") for block in blocks for n in (1, 2, 3)])
    else:
        stages = [[]]
        for layer in part("features").children():
            if isinstance(layer, nn.MaxPool2d):
                stages.append([])
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                stages[-1].append(layer)
    found: dict[int, list[tuple[int, int, int]]] = {}
    walked, stride = [], 1
    for stage in stages:
        for layer in stage:
            kernel, step, padding = (_one(getattr(layer, name)) for name in ("kernel_size", "stride", "padding"))
            walked.append((kernel, step, padding))
            stride *= step
        found[stride] = list(walked)
    return found


def _one(value: int | tuple[int, int]) -> int:
    return value if isinstance(value, int) else value[0]


def effective_field(
    predictor: Predictor,
    photo: Image.Image,
    at: tuple[int, int],
    wanted: Mapping[Variant, int],
    working_height: int | None = None,
) -> dict[Variant, np.ndarray]:
    """What the logit of class ``wanted[variant]`` at (row, column) does depend on in this photo: H x W float32 for each variant.

    It is the size of the logit's gradient by each pixel of the working image, summed over red, green and blue. One pass forward
    and one back for each variant. Raises `InsideError`.
    """
    model, size = fcn_of(predictor), predictor.working_size(photo, working_height)
    image = preprocess.to_image(photo, size).to(predictor.device, memory_format=torch.channels_last)
    found = {}
    with torch.enable_grad():
        image.requires_grad_(True)
        with torch.autocast(predictor.device.type, torch.bfloat16, enabled=predictor.bf16):
            logits = model.decode(model.encoder(pad_to_multiple(image)), tuple(wanted))
        for variant, k in wanted.items():
            (gradient,) = torch.autograd.grad(logits[variant][0, k, at[0], at[1]], image, retain_graph=True)
            found[variant] = gradient[0].abs().sum(0).float().cpu().numpy()
    return found


def side_holding(field: np.ndarray, at: tuple[int, int], share: float = 0.95) -> int:
    """The side in pixels of the smallest square around (row, column) that holds this share of a field's sum; 0 if that is 0."""
    rows, columns = np.indices(field.shape)
    away = np.maximum(np.abs(rows - at[0]), np.abs(columns - at[1])).ravel()
    held = np.bincount(away, weights=field.ravel()).cumsum()
    return 2 * int(np.searchsorted(held, share * held[-1])) + 1 if held[-1] > 0 else 0
