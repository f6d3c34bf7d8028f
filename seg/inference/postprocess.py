"""Masks and confidences from logits, computed in strips of rows so that large photos need little memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seg.inference.stage_timer import UPSAMPLING, StageTimer
from seg.models.base import LogitUpsampler

MAX_MASK_WIDTH = 65_536
"""Wider masks are computed at this width, and their columns are repeated."""

_STRIP_LOGITS = 2_000_000
"""Logits per strip, 8 MB: smaller strips add overhead, larger ones do not fit the processor's cache."""

_GPU_STRIP_LOGITS = 16_000_000
"""Logits per strip on a GPU, 64 MB: the fewer strips, the fewer operations to launch."""

_BOUNDARY_FLAG = 128
"""A bit of a uint8 pixel that no class uses."""

_CHUNK_PIXELS = 65_536
"""Boundary pixels that are interpolated at a time."""


@dataclass(frozen=True)
class LazyLogits:
    """The K x H x W fp32 logits of a working image, computed in strips of rows on demand.

    Attributes:
        shape: K, H, W.
        rows: returns rows `top` to `bottom` (exclusive), K x (bottom - top) x W.
        device: the device that computes them.
        temperature: the logits divided by it give the probabilities of the classes; no mask depends on it.
    """

    shape: tuple[int, int, int]
    rows: Callable[[int, int], Tensor]
    device: torch.device
    temperature: float = 1.0

    @classmethod
    def from_tensor(cls, tensor: Tensor, temperature: float = 1.0) -> "LazyLogits":
        """Wrap a K x H x W tensor that is in memory."""
        classes, height, width = tensor.shape

        def rows(top: int, bottom: int) -> Tensor:
            return tensor[:, top:bottom].float()

        return cls((classes, height, width), rows, tensor.device, temperature)

    @classmethod
    def from_scores(
        cls,
        scores: Tensor,
        upsampler: LogitUpsampler,
        size: tuple[int, int],
        timer: StageTimer,
        temperature: float = 1.0,
    ) -> "LazyLogits":
        """Upsample scores on demand.

        Args:
            scores: 1 x K x h x w class scores.
            upsampler: upsamples them.
            size: height and width of the working image.
            timer: measures the upsampling.
            temperature: that of the variant.
        """

        @torch.inference_mode()
        def rows(top: int, bottom: int) -> Tensor:
            timer.restart()
            logits = upsampler.forward_rows(scores, top, bottom)[0, :, :, : size[1]]
            timer.mark(UPSAMPLING)
            return logits

        return cls((scores.shape[1], *size), rows, scores.device, temperature)

    def materialize(self) -> Tensor:
        """Return all logits as one K x H x W tensor."""
        return self.rows(0, self.shape[1])


class PhotoMasks(NamedTuple):
    """What is computed from the logits of a photo; see `seg.inference.prediction.Prediction`."""

    masks: dict[str, np.ndarray]
    confidences: dict[str, np.ndarray]
    runner_ups: dict[str, tuple[np.ndarray, np.ndarray]]
    entropies: dict[str, np.ndarray]
    max_logits: dict[str, float]


def compute_masks(
    logits: dict[str, LazyLogits],
    height: int,
    width: int,
    with_confidence: bool = False,
    with_runner_up: bool = False,
    output_size: tuple[int, int] | None = None,
) -> PhotoMasks:
    """Compute masks, confidences and the values of `ProbabilityMaps` by variant.

    Args:
        logits: logits at working resolution by variant.
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        with_confidence: whether to compute the confidences.
        with_runner_up: whether to compute the runner-up classes, entropies and maximum logits.
        output_size: height and width of smaller masks; see `to_mask`.
    """
    result = PhotoMasks({}, {}, {}, {}, {})
    for variant, variant_logits in logits.items():
        if with_runner_up:  # the logits are used twice, so they are kept, for one variant at a time
            kept = variant_logits.materialize()
            variant_logits = LazyLogits.from_tensor(kept, variant_logits.temperature)
            maps = probability_maps(variant_logits)
            result.runner_ups[variant] = maps.confidence, maps.runner_up
            result.entropies[variant] = maps.entropy
            result.max_logits[variant] = maps.mean_max_logit
        mask, confidence = to_mask(variant_logits, height, width, with_confidence, output_size)
        result.masks[variant] = mask
        if confidence is not None:
            result.confidences[variant] = confidence
    return result


def to_mask(
    logits: LazyLogits,
    height: int,
    width: int,
    with_confidence: bool = False,
    output_size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resize logits bilinearly to a photo's size and take the class with the highest logit.

    Between four pixels with the same class no other class can win, because bilinear weights are not negative.
    On a CPU, logits are therefore only interpolated at class boundaries. The confidence needs them everywhere
    and costs several times as much. A GPU interpolates them everywhere, since selecting pixels makes it wait,
    and only mask and confidence are copied from it.

    Args:
        logits: logits at working resolution.
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        with_confidence: whether to compute the confidence.
        output_size: height and width of a smaller mask; its pixels are the nearest ones of the full mask.

    Returns:
        The mask, H x W uint8 train ids, and the confidence, H x W float32 from 0 to 1, or None.
    """
    if width > MAX_MASK_WIDTH:  # a strip has at least one row, and a row may have millions of pixels
        return _repeat_columns(logits, height, width, with_confidence, output_size)
    classes, low_height, low_width = logits.shape
    out_height, out_width = output_size or (height, width)
    device, everywhere = logits.device, _interpolates_everywhere(logits.device)
    columns = nearest_indices(out_width, width)
    above, down = (values[nearest_indices(out_height, height)] for values in _neighbors(height, low_height))
    left, across = (values[columns].to(device) for values in _neighbors(width, low_width))
    mask = torch.empty((out_height, out_width), dtype=torch.uint8, device=device)
    confidence = torch.empty((out_height, out_width), device=device) if with_confidence else None
    interpolated = classes * width if with_confidence else classes * out_width if everywhere else out_width
    row_values = max(classes * low_width * low_height / out_height, interpolated)
    strip_rows = max(1, int((_GPU_STRIP_LOGITS if everywhere else _STRIP_LOGITS) / row_values))
    for start in range(0, out_height, strip_rows):
        part = slice(start, min(start + strip_rows, out_height))
        top, bottom = int(above[part.start]), min(int(above[part.stop - 1]) + 2, low_height)
        low = logits.rows(top, bottom)
        part_above, part_down = above[part].to(device) - top, down[part].to(device)
        if confidence is not None:
            strip = _interpolate_strip(low, part_above, part_down, width)
            strip = strip if out_width == width else strip[:, :, columns.to(device)]
            highest, winner = strip.max(0)
            mask[part] = winner.byte()
            confidence[part] = 1 / _log_ratios(strip, highest, logits.temperature).exp_().sum(0)
        elif (height, width) == (out_height, out_width) == (low_height, low_width):
            mask[part] = low[:, : part.stop - part.start].max(0).indices.byte()
        else:
            argmax = _argmax_everywhere if everywhere else _argmax_bilinear
            mask[part] = argmax(low, part_above, part_down, left, across)
    return mask.cpu().numpy(), None if confidence is None else confidence.cpu().numpy()


def _interpolates_everywhere(device: torch.device) -> bool:
    """Whether to interpolate the logits of all pixels, as GPUs do."""
    return device.type != "cpu"


def _repeat_columns(
    logits: LazyLogits, height: int, width: int, with_confidence: bool, output_size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute `to_mask` at `MAX_MASK_WIDTH` and repeat columns to the requested width."""
    reduced_size = output_size and (output_size[0], min(output_size[1], MAX_MASK_WIDTH))
    mask, confidence = to_mask(logits, height, MAX_MASK_WIDTH, with_confidence, reduced_size)
    out_width = output_size[1] if output_size else width
    columns = np.arange(out_width) * mask.shape[1] // out_width
    return mask[:, columns], None if confidence is None else confidence[:, columns]


def nearest_indices(count: int, size: int) -> Tensor:
    """Return the index of the pixel in a row of `size` that contains the center of each of `count` pixels."""
    return (2 * torch.arange(count) + 1) * size // (2 * count)


def _neighbors(size: int, low_size: int) -> tuple[Tensor, Tensor]:
    """Return the lower neighbor of each pixel in a row of `low_size`, and the weight of the upper one.

    The pixels are aligned as with align_corners=False.
    """
    centers = ((torch.arange(size) + 0.5) * low_size / size - 0.5).clamp(0, low_size - 1)
    before = centers.floor().long()
    return before, centers - before


def _interpolate_strip(low: Tensor, above: Tensor, down: Tensor, width: int) -> Tensor:
    """Interpolate K x h x w logits bilinearly at rows `above` + `down`, and to `width` columns."""
    strip = torch.lerp(low[:, above], low[:, (above + 1).clamp(max=low.shape[1] - 1)], down[None, :, None])
    return F.interpolate(strip[None], size=(strip.shape[1], width), mode="bilinear", align_corners=False)[0]


def _argmax_everywhere(low: Tensor, above: Tensor, down: Tensor, left: Tensor, across: Tensor) -> Tensor:
    """Return what `_argmax_bilinear` returns, without selecting pixels."""
    _, low_height, low_width = low.shape
    rows = torch.lerp(low[:, above], low[:, (above + 1).clamp(max=low_height - 1)], down[None, :, None])
    logits = torch.lerp(rows[:, :, left], rows[:, :, (left + 1).clamp(max=low_width - 1)], across)
    return logits.max(0).indices.byte()


def _argmax_bilinear(low: Tensor, above: Tensor, down: Tensor, left: Tensor, across: Tensor) -> Tensor:
    """Return the winning class at rows `above` + `down` and columns `left` + `across` of K x h x w logits."""
    _, low_height, low_width = low.shape
    winner = low.max(0).indices.byte()
    # True where the winner differs from that of the pixel to the right, below or diagonally below
    is_boundary = torch.zeros_like(winner, dtype=torch.bool)
    is_boundary[:, :-1] = winner[:, 1:] != winner[:, :-1]
    is_boundary[:-1] |= is_boundary[1:] | (winner[1:] != winner[:-1])
    flagged = (winner | is_boundary.byte() * _BOUNDARY_FLAG).index_select(1, left).index_select(0, above)
    mask = flagged & (_BOUNDARY_FLAG - 1)
    is_corner = is_boundary.clone()  # pixels whose logits are needed for interpolation
    is_corner[1:] |= is_boundary[:-1]
    is_corner[:, 1:] |= is_corner[:, :-1].clone()
    corner_index = is_corner.flatten().cumsum(0) - 1
    corners = low.flatten(1)[:, is_corner.flatten()].t().contiguous()
    boundary_pixels = (flagged >= _BOUNDARY_FLAG).nonzero().split(_CHUNK_PIXELS)
    for y, x in (chunk.unbind(1) for chunk in boundary_pixels):
        pixel = above[y] * low_width + left[x]
        right = (left[x] + 1 < low_width).long()
        below = (above[y] + 1 < low_height).long() * low_width
        left_side = torch.lerp(
            corners[corner_index[pixel]], corners[corner_index[pixel + below]], down[y, None]
        )
        right_side = torch.lerp(
            corners[corner_index[pixel + right]], corners[corner_index[pixel + right + below]], down[y, None]
        )
        mask[y, x] = torch.lerp(left_side, right_side, across[x, None]).max(1).indices.byte()
    return mask


class ProbabilityMaps(NamedTuple):
    """What the probabilities of the classes say at working resolution.

    Attributes:
        confidence: the probability of the predicted class, scaled to 0-255; H x W uint8.
        runner_up: the train id of the second most likely class; H x W uint8.
        entropy: `normalized_entropy`, scaled to 0-255; H x W uint8.
        mean_max_logit: the mean over the pixels of the largest logit, which no temperature divides.
    """

    confidence: np.ndarray
    runner_up: np.ndarray
    entropy: np.ndarray
    mean_max_logit: float


def probability_maps(logits: LazyLogits) -> ProbabilityMaps:
    """Compute confidence, runner-up class, entropy and the mean maximum logit at working resolution.

    Args:
        logits: logits at working resolution.
    """
    classes, height, width = logits.shape
    confidence, runner_up, entropy = (
        torch.empty((height, width), dtype=torch.uint8, device=logits.device) for _ in range(3)
    )
    sum_of_highest = torch.zeros((), device=logits.device)
    strip_logits = _GPU_STRIP_LOGITS if _interpolates_everywhere(logits.device) else _STRIP_LOGITS
    strip_rows = max(1, strip_logits // (classes * width))
    for top in range(0, height, strip_rows):
        part = slice(top, min(top + strip_rows, height))
        strip = logits.rows(part.start, part.stop)
        highest, winner = strip.max(0)
        sum_of_highest += highest.sum()
        share, uncertainty = _confidence_and_entropy(_log_ratios(strip, highest, logits.temperature))
        confidence[part] = (255 * share).round_().byte()
        entropy[part] = (255 * uncertainty).round_().byte()
        # twice as fast as topk(2)
        without_winner = strip.clone().scatter_(0, winner[None], float("-inf"))
        runner_up[part] = without_winner.max(0).indices.byte()
    return ProbabilityMaps(
        confidence.cpu().numpy(),
        runner_up.cpu().numpy(),
        entropy.cpu().numpy(),
        float(sum_of_highest) / (height * width),
    )


def normalized_entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute the entropy of the class probabilities as a share of that of equal probabilities.

    Args:
        logits: K x ... values.
        temperature: the logits are divided by it.

    Returns:
        Values of the other dimensions, from 0 (one class has probability 1) to 1 (all are equally likely).
    """
    return _confidence_and_entropy(_log_ratios(logits, logits.max(0).values, temperature))[1]


def _log_ratios(logits: Tensor, highest: Tensor, temperature: float) -> Tensor:
    """Return the logarithm of the probability of each class over that of the most likely one."""
    ratios = logits - highest
    return ratios if temperature == 1 else ratios.div_(temperature)


def _confidence_and_entropy(log_ratios: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of the most likely class and the normalized entropy, from `_log_ratios`."""
    ratios = log_ratios.exp()
    total = ratios.sum(0)
    entropy = total.log() - ratios.mul_(log_ratios).sum(0) / total
    return 1 / total, (entropy / math.log(len(log_ratios))).clamp_(0, 1)
