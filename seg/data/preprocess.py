"""Preprocessing for training and prediction: working size, resizing and normalization of photos."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seg.data.pairs import PAIR_ASPECT

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet in RGB from 0 to 1 (torchvision's documentation)."""

MAX_SIDE = 4096
"""Maximum side of a working image in pixels; panoramas are reduced to it."""

MAX_AREA_RATIO = 4
"""Maximum area of a working image, as a multiple of a 2:1 image of the working height."""

ResizeMode = Literal["fit_height", "cover"]
"""How a working height h applies to photos that are not 2:1: resize to h pixels high, or to cover 2h x h."""


def working_size(
    width: int, height: int, working_height: int, resize_mode: ResizeMode = "cover"
) -> tuple[int, int]:
    """Compute the size at which a photo goes through the network; its aspect is preserved.

    Cameras have similar horizontal but different vertical views: a 4:3 photo resized to the height of a 2:1
    photo shows the same car smaller. Covering the 2:1 box shows it at about the same size
    (`seg.evaluation.resolution_study` measures both modes).

    Args:
        width: width of the photo in pixels.
        height: height of the photo in pixels.
        working_height: height in pixels at which a 2:1 photo goes through the network.
        resize_mode: how other shapes are resized.

    Returns:
        Height and width in pixels.
    """
    scale = working_height / height
    if resize_mode == "cover":
        scale = max(scale, PAIR_ASPECT * working_height / width)
    max_scale = math.sqrt(MAX_AREA_RATIO * PAIR_ASPECT * working_height**2 / (width * height))
    scale = min(scale, max_scale, MAX_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_pixels(photo: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resize an RGB photo with antialiasing.

    Args:
        photo: an RGB photo.
        size: height and width in pixels.

    Returns:
        H x W x 3 uint8.
    """
    resized = photo.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.array(resized, dtype=np.uint8)


def to_image(photo: Image.Image, size: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Resize and normalize an RGB photo.

    Args:
        photo: an RGB photo.
        size: height and width in pixels.
        device: the device of the result; by default the CPU.

    Returns:
        1 x 3 x H x W float32, in channels_last.
    """
    return _from_pixels(to_pixels(photo, size)[None], device)


def to_images(
    photos: Sequence[Image.Image], size: tuple[int, int], device: torch.device | None = None
) -> Tensor:
    """Resize and normalize RGB photos as `to_image`, in several threads.

    Returns:
        N x 3 x H x W float32, in channels_last.
    """
    with ThreadPoolExecutor(min(len(photos), os.cpu_count() or 1)) as threads:
        pixels = np.stack(list(threads.map(lambda photo: to_pixels(photo, size), photos)))
    return _from_pixels(pixels, device)


def _from_pixels(pixels: np.ndarray, device: torch.device | None) -> Tensor:
    """Normalize N x H x W x 3 uint8 on the device: pixels are a quarter of the bytes to copy."""
    rgb = torch.from_numpy(pixels)
    if device is not None and device.type == "cuda":
        rgb = rgb.pin_memory()  # copied several times as fast
    rgb = rgb.to(device or "cpu").permute(0, 3, 1, 2)
    return normalize(rgb.float() / 255).contiguous(memory_format=torch.channels_last)


def normalize(rgb: Tensor) -> Tensor:
    """Normalize N x 3 x H x W RGB values from 0-1 with ImageNet's mean and standard deviation."""
    mean, std = _statistics(rgb.device)
    return (rgb - mean).div_(std)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation; cached, because a copy to a GPU waits for its queued work."""
    with torch.inference_mode(False):
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
        return mean, std
