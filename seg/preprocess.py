"""Photo <-> image tensor, the same for training and prediction: working resolution, normalising, and back.

Knows nothing of files, labels or networks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training photos, in RGB and 0-1: what ImageNet encoders were trained with (torchvision's documentation)."""

PAIR_ASPECT = 2
"""Width over height of the frames that the pairs were squashed from (2048x1024 to 256x256)."""

MAX_SIDE = 4096
"""No side of a working image is longer: a panorama is worked on smaller instead."""

MAX_BOXES = 4
"""No working image has more pixels than so many 2:1 images of the working height: the narrowest photos are worked on smaller."""

WIDEST = 65_536
"""Masks wider than this are decided at this width, and their pixels repeated."""

_STRIP = 2_000_000  # logits held at once: 8 MB; fewer are brought up in too many parts, more leave the processor's cache
_MIXED = 128  # a bit that no class uses
_GATHERED = 65_536  # pixels decided at once where winners differ


Rule = Literal["height", "cover"]
"""What a working height h means for photos that are not 2:1: they are brought to h pixels high; or they cover 2h x h."""


def working_size(width: int, height: int, working_height: int, rule: Rule = "cover") -> tuple[int, int]:
    """A photo's width and height in pixels -> (height, width) at which it goes through the network: its aspect is kept.

    Cameras see about as wide as each other, not as high: a 4:3 photo brought to the height of a 2:1 photo shows the same car
    smaller. Covering the 2:1 box instead shows it about as large (`seg.resolution` measures both rules).
    """
    scale = working_height / height
    if rule == "cover":
        scale = max(scale, PAIR_ASPECT * working_height / width)
    most = math.sqrt(MAX_BOXES * PAIR_ASPECT * working_height**2 / (width * height))
    scale = min(scale, most, MAX_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def unsquash(photo: Image.Image) -> Image.Image:
    """A 1:1 half of a pair -> the 2:1 photo that it was squashed from."""
    return photo.resize((photo.width * PAIR_ASPECT, photo.height), Image.Resampling.BILINEAR)


def to_pixels(photo: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """RGB photo -> H x W x 3 uint8 at size (H, W); shrinking is antialiased."""
    return np.array(photo.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=3.0), dtype=np.uint8)


def to_image(photo: Image.Image, size: tuple[int, int]) -> Tensor:
    """RGB photo -> 1 x 3 x H x W image at size (H, W)."""
    pixels = torch.from_numpy(to_pixels(photo, size))
    return normalize(pixels.permute(2, 0, 1)[None].float() / 255)


def normalize(rgb: Tensor) -> Tensor:
    """N x 3 x H x W RGB in 0-1 -> image."""
    mean, std = _statistics(rgb.device)
    return (rgb - mean).div_(std)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Kept, since bringing them to a GPU waits for all that it has still to do."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
        return mean, std


@dataclass(frozen=True)
class Logits:
    """K x H x W fp32 logits of a working image, made in strips of rows, so that they are never all held."""

    shape: tuple[int, int, int]
    rows: Callable[[int, int], Tensor]
    """Top and bottom (excluded) -> K x (bottom - top) x W."""

    @classmethod
    def of(cls, whole: Tensor) -> "Logits":
        """Of a K x H x W tensor that is held anyway."""
        classes, height, width = whole.shape
        return cls((classes, height, width), lambda top, bottom: whole[:, top:bottom].float())

    def whole(self) -> Tensor:
        """K x H x W, all at once."""
        return self.rows(0, self.shape[1])


def to_mask(
    logits: Logits, height: int, width: int, with_confidence: bool = False, seen_at: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits at working resolution -> (mask, confidence) at height x width: uint8 train ids, and float16 in 0-1.

    With `seen_at`, height and width of a picture of the same, only those pixels are made that it shows: the nearest to its own.

    The logits are brought up bilinearly and then decided, in strips of rows. Between four pixels whose winner is the same no
    other class can win, since bilinear weights are none below 0: only where winners differ are logits brought up at all.
    Confidence needs them everywhere and costs several times as much, so it is None unless asked for.
    """
    if width > WIDEST:  # a strip is at least a row, and a row may be millions of pixels
        mask, confidence = to_mask(logits, height, WIDEST, with_confidence, seen_at and (seen_at[0], min(seen_at[1], WIDEST)))
        wide = seen_at[1] if seen_at else width
        columns = np.arange(wide) * mask.shape[1] // wide
        return mask[:, columns], None if confidence is None else confidence[:, columns]
    classes, high, wide = logits.shape
    tall, broad = seen_at or (height, width)
    columns = nearest(broad, width)
    above, down = (values[nearest(tall, height)] for values in _neighbours(height, high))
    left, across = (values[columns] for values in _neighbours(width, wide))
    mask = np.empty((tall, broad), np.uint8)
    confidence = np.empty((tall, broad), np.float16) if with_confidence else None
    row = max(classes * wide * high / tall, classes * width if with_confidence else broad)  # what a row of the mask takes
    rows = max(1, int(_STRIP / row))
    for part in (slice(top, min(top + rows, tall)) for top in range(0, tall, rows)):
        top, bottom = int(above[part.start]), min(int(above[part.stop - 1]) + 2, high)
        low = logits.rows(top, bottom)
        on = low.device
        first, lower = above[part].to(on) - top, down[part].to(on)
        if (height, width) == (tall, broad) == (high, wide) and confidence is None:
            mask[part] = low[:, : part.stop - part.start].max(0).indices.byte().cpu().numpy()
        elif confidence is None:
            mask[part] = _decide(low, first, lower, left.to(on), across.to(on)).cpu().numpy()
        else:
            strip = torch.lerp(low[:, first], low[:, (first + 1).clamp(max=low.shape[1] - 1)], lower[None, :, None])
            strip = F.interpolate(strip[None], size=(strip.shape[1], width), mode="bilinear", align_corners=False)[0]
            strip = strip if broad == width else strip[:, :, columns.to(on)]
            highest, winner = strip.max(0)
            mask[part] = winner.to(torch.uint8).cpu().numpy()
            confidence[part] = (1 / (strip - highest).exp_().sum(0)).half().cpu().numpy()
    return mask, confidence


def nearest(count: int, size: int) -> Tensor:
    """For each of `count` pixels in a row the one of `size` that its middle lies on."""
    return (2 * torch.arange(count) + 1) * size // (2 * count)


def _neighbours(size: int, low: int) -> tuple[Tensor, Tensor]:
    """For each of `size` pixels the pixel before it, of `low`, and the share of the one after (align_corners=False)."""
    centres = ((torch.arange(size) + 0.5) * low / size - 0.5).clamp(0, low - 1)
    before = centres.floor().long()
    return before, centres - before


def _decide(low: Tensor, above: Tensor, down: Tensor, left: Tensor, across: Tensor) -> Tensor:
    """K x h x w logits -> the winners of pixels below rows `above` by `down`, and right of columns `left` by `across`."""
    classes, high, wide = low.shape
    winner = low.max(0).indices.byte()
    # where a pixel, the next, the one below and the one diagonally below do not all say the same
    mixed = torch.zeros_like(winner, dtype=torch.bool)
    mixed[:, :-1] = winner[:, 1:] != winner[:, :-1]
    mixed[:-1] |= mixed[1:] | (winner[1:] != winner[:-1])
    marked = (winner | mixed.byte() * _MIXED).index_select(1, left).index_select(0, above)
    mask = marked & (_MIXED - 1)
    corners = mixed.clone()  # the pixels whose logits are asked for
    corners[1:] |= mixed[:-1]
    corners[:, 1:] |= corners[:, :-1].clone()
    number = corners.flatten().cumsum(0) - 1
    of = low.flatten(1)[:, corners.flatten()].t().contiguous()
    for y, x in (some.unbind(1) for some in (marked >= _MIXED).nonzero().split(_GATHERED)):
        at = above[y] * wide + left[x]
        next, under = (left[x] + 1 < wide).long(), (above[y] + 1 < high).long() * wide
        before = torch.lerp(of[number[at]], of[number[at + under]], down[y, None])
        after = torch.lerp(of[number[at + next]], of[number[at + next + under]], down[y, None])
        mask[y, x] = torch.lerp(before, after, across[x, None]).max(1).indices.byte()
    return mask


def certainty(logits: Logits) -> tuple[np.ndarray, np.ndarray]:
    """Logits -> (how sure, runner-up) at their own size: H x W uint8, 255 times the confidence, and train ids."""
    classes, height, width = logits.shape
    sure, second = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    rows = max(1, _STRIP // (classes * width))
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        strip = logits.rows(part.start, part.stop)
        highest, winner = strip.max(0)
        sure[part] = (255 / (strip - highest).exp_().sum(0)).round_().byte().cpu().numpy()
        others = strip.clone().scatter_(0, winner[None], float("-inf"))  # twice as fast as the two highest at once
        second[part] = others.max(0).indices.byte().cpu().numpy()
    return sure, second
