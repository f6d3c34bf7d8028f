"""Photo <-> image tensor, the same for training and prediction: working resolution, normalising, and back.

Knows nothing of files, labels or networks.
"""

import math
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

_STRIP = 4_000_000  # output pixels x classes held at once while logits are brought up to the photo's size


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
        return tuple(torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))


def to_mask(logits: Tensor, height: int, width: int, with_confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """K x h x w logits at working resolution -> (mask, confidence) at height x width: uint8 train ids, and float16 in 0-1.

    Confidence costs about as much again as the mask, so it is None unless asked for.

    The logits are brought up bilinearly and then decided, in strips of rows, so that no K x height x width tensor is held.
    """
    if width > WIDEST:  # a strip is at least a row, and a row may be millions of pixels
        mask, confidence = to_mask(logits, height, WIDEST, with_confidence)
        columns = np.arange(width) * WIDEST // width
        return mask[:, columns], None if confidence is None else confidence[:, columns]
    logits = logits.float()
    classes, low, _ = logits.shape
    rows = max(1, _STRIP // (classes * width))
    mask = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.float16) if with_confidence else None
    # the centre of an output row, in input rows (align_corners=False)
    centres = ((torch.arange(height, device=logits.device) + 0.5) * low / height - 0.5).clamp(0, low - 1)
    above = centres.floor().long()
    below = (above + 1).clamp(max=low - 1)
    share = (centres - above)[None, :, None]
    for top in range(0, height, rows):
        part = slice(top, top + rows)
        strip = torch.lerp(logits[:, above[part]], logits[:, below[part]], share[:, part])
        strip = F.interpolate(strip[None], size=(strip.shape[1], width), mode="bilinear", align_corners=False)[0]
        highest, winner = strip.max(0)
        mask[part] = winner.to(torch.uint8).cpu().numpy()
        if confidence is not None:
            confidence[part] = (1 / (strip - highest).exp_().sum(0)).half().cpu().numpy()
    return mask, confidence


def certainty(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """K x h x w logits -> (how sure, runner-up) at their own size: h x w uint8, 255 times the confidence, and train ids."""
    logits = logits.float()
    highest, order = logits.topk(2, dim=0)
    sure = torch.exp(highest[0] - logits.logsumexp(0))
    return (255 * sure).round().byte().cpu().numpy(), order[1].byte().cpu().numpy()
