"""Random corruptions of training crops: fog, darkness, blur and JPEG compression.

They are those of `seg.evaluation.corruptions` in kind, on the training device and with random strengths.
Lengths are shares of the height of the photo, so a strength means the same for every crop.
"""

import io
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from seg.data import fog
from seg.data.draws import Uniform, to_device

_TO_YCC = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))


def corrupt_crops(rgb: Tensor, affine: Tensor, uniform: Uniform, probability: float) -> None:
    """Corrupt some crops, in place, each by one corruption of a random strength.

    Args:
        rgb: N x 3 x H x W from 0 to 1; H and W are multiples of 16.
        affine: N x 2 x 3 affine transforms that placed the crops in their photos, in host memory.
        uniform: draws N numbers between two limits.
        probability: that of a crop to be corrupted.
    """
    chances, kinds, strengths = uniform(0, 1), uniform(0, len(_KINDS)), uniform(0, 1)
    vertical = affine[:, 1, 1:]
    draws = torch.cat((torch.stack((chances, kinds, strengths), 1), vertical), 1).tolist()
    for row, (chance, kind, strength, scale, shift) in zip(rgb, draws, strict=True):
        if chance < probability:  # the others stay unchanged
            corruption, weakest, strongest = _KINDS[min(int(kind), len(_KINDS) - 1)]
            row.copy_(corruption(row, scale, shift, weakest * (strongest / weakest) ** strength))


def _fog(crop: Tensor, scale: float, shift: float, density: float) -> Tensor:
    out = (2 * np.arange(crop.shape[1]) + 1) / crop.shape[1] - 1
    share = fog.transmission((scale * out + shift + 1) / 2, density)
    passed = to_device(torch.from_numpy(share).float().view(-1, 1), crop.device)
    return torch.lerp(torch.full_like(crop, fog.AIR_LIGHT / 255), crop, passed)


def _darkness(crop: Tensor, scale: float, shift: float, stops: float) -> Tensor:
    """Divide the light by 2 to the power of `stops`, with sRGB values as IEC 61966-2-1 defines them."""
    light = torch.where(crop <= 0.04045, crop / 12.92, ((crop + 0.055) / 1.055) ** 2.4) * 2.0**-stops
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _blur(crop: Tensor, scale: float, shift: float, radius: float) -> Tensor:
    """Blur as a lens that is out of focus: by a Gaussian with the deviation of a disk of this radius."""
    sigma = radius / 2 * crop.shape[1] / scale
    rows, columns = (_gaussian_weights(side, sigma, crop.device) for side in crop.shape[1:])
    return rows @ crop @ columns.T


def _gaussian_weights(side: int, sigma: float, device: torch.device) -> Tensor:
    """Return the weight of each pixel of a line in each blurred one, side x side; both ends continue outside.

    On a GPU a convolution would choose its kernel again for each width of the blur.
    """
    pixels = torch.arange(side, device=device)
    ends = (pixels[:-1] + 0.5 - pixels[:, None]) / sigma
    up_to_ends = F.pad(F.pad(torch.special.ndtr(ends), (0, 1), value=1.0), (1, 0))
    return up_to_ends.diff(dim=1)


def _jpeg(crop: Tensor, scale: float, shift: float, quality: float) -> Tensor:
    """Compress the crop with 4:2:0 chroma, but without rounding to integers."""
    constants = _jpeg_constants(round(quality))
    to_ycc, to_rgb, dct, tables = (to_device(part, crop.device) for part in constants)
    luma, *chroma = (255 * torch.einsum("yc,chw->yhw", to_ycc, crop)).unsqueeze(1)
    luma = _quantized(luma - 128, dct, tables[0]) + 128
    halves = F.avg_pool2d(torch.stack(chroma), 2)
    coarse = torch.cat([_quantized(plane[None, 0], dct, tables[1]) for plane in halves])
    full = F.interpolate(coarse[:, None], scale_factor=2, mode="bilinear")[:, 0]
    return torch.einsum("cy,yhw->chw", to_rgb, torch.cat((luma, full)) / 255)


def _quantized(plane: Tensor, dct: Tensor, table: Tensor) -> Tensor:
    """Quantize the cosine transform of the 8 x 8 blocks of a 1 x H x W plane."""
    _, height, width = plane.shape
    blocks = plane.view(height // 8, 8, width // 8, 8).transpose(1, 2)
    frequencies = dct @ blocks @ dct.T
    blocks = dct.T @ (torch.round(frequencies / table) * table) @ dct
    return blocks.transpose(1, 2).reshape(1, height, width)


@cache
def _jpeg_constants(quality: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the matrices to YCbCr, back, and of the cosine transform, and the tables, 2 x 8 x 8."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        tables = picture.quantization  # type: ignore[attr-defined]  # of JPEG files only
    frequency, place = torch.arange(8.0)[:, None], torch.arange(8.0)
    dct = torch.cos((2 * place + 1) * frequency * torch.pi / 16) / 2
    dct[0] /= 2**0.5
    to_ycc = torch.tensor(_TO_YCC)
    both_tables = torch.tensor([tables[0], tables[1]]).float().view(2, 8, 8)
    return to_ycc, torch.linalg.inv(to_ycc), dct, both_tables


_KINDS: tuple[tuple[Callable[[Tensor, float, float, float], Tensor], float, float], ...] = (
    (_fog, 0.003, 0.025),  # density per meter
    (_darkness, 1.0, 4.5),  # stops of exposure
    (_blur, 0.005, 0.04),  # radius, as a share of the height of the photo
    (_jpeg, 40, 5),  # quality
)
"""The corruptions with their least and greatest amount."""
