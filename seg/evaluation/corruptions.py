"""Corruptions of photos at three strengths, to measure how robust a network is: `corrupt`.

The choice follows Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", which Kamann and Rother 2020, "Benchmarking the Robustness of Semantic
Segmentation Models", applied to segmentation. Noise and JPEG quality are those of severities 1, 3 and 5 of
the first paper; darkness and low resolution are similar in kind; the other strengths are our own.

Lengths are shares of the height of the picture, so a strength means the same for every size. The photos of
pairs have square pictures of scenes that are twice as wide as high: their pixels are not square, and
`corrupt` blurs equally in both directions of the scene, not of the pixels.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.signal import fftconvolve

from seg.data import fog

STRENGTHS = (1, 2, 3)
"""The strengths of each corruption, the weakest first."""

REFERENCE_ROWS = 256
"""Rows of the picture in which noise has one grain per pixel and which JPEG compresses."""

_BOX, _BILINEAR = Image.Resampling.BOX, Image.Resampling.BILINEAR


@dataclass(frozen=True)
class _View:
    """A photo to corrupt.

    Attributes:
        photo: H x W x 3 uint8 RGB.
        aspect: width over height of the scene.
        rng: source of randomness; all strengths of a corruption get the same numbers.
    """

    photo: np.ndarray
    aspect: float
    rng: np.random.Generator

    def size_at(self, rows: int) -> tuple[int, int]:
        """Return width and height of the scene in square pixels."""
        return max(1, round(rows * self.aspect)), rows


def _fog(view: _View, density: float) -> np.ndarray:
    """Mix with the light of the air by distance; `density` is per meter."""
    rows = (np.arange(len(view.photo)) + 0.5) / len(view.photo)
    share = fog.transmission(rows, density)[:, None, None]
    return view.photo * share + fog.AIR_LIGHT * (1 - share)


def _exposure(view: _View, stops: float) -> np.ndarray:
    """Multiply the light by 2 to the power of `stops`, with sRGB values as IEC 61966-2-1 defines them."""
    value = view.photo / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) * 2.0**stops
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _noise(view: _View, deviation: float) -> np.ndarray:
    """Add Gaussian noise, independent in each channel; `deviation` is a share of white."""
    width, rows = view.size_at(REFERENCE_ROWS)
    noise = view.rng.standard_normal((rows, width, 3), np.float32)
    return view.photo + 255 * deviation * _resized(noise, view.photo.shape[:2], _BOX)


def _defocus(view: _View, radius: float) -> np.ndarray:
    """Average over a disk, the blur of a lens with a round aperture; `radius` is a share of the height."""
    y, x = (axis.ravel() for axis in np.mgrid[-1:1:65j, -1:1:65j])
    is_inside = x * x + y * y <= 1
    return _averaged(view, radius * x[is_inside], radius * y[is_inside])


def _motion_blur(view: _View, length: float) -> np.ndarray:
    """Average along a line within 45° of the horizontal; `length` is a share of the height."""
    angle, along = view.rng.uniform(-np.pi / 4, np.pi / 4), length * np.linspace(-0.5, 0.5, 257)
    return _averaged(view, along * np.cos(angle), along * np.sin(angle))


def _jpeg(view: _View, quality: float) -> np.ndarray:
    """Add the errors of a JPEG of `REFERENCE_ROWS` rows and this quality, with 4:2:0 chroma."""
    size = view.size_at(REFERENCE_ROWS)
    picture = Image.fromarray(view.photo).resize(size, _BILINEAR)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(file) as compressed:
        errors = np.asarray(compressed, np.float32) - np.asarray(picture, np.float32)
    return view.photo + _resized(errors, view.photo.shape[:2], _BILINEAR)


def _low_resolution(view: _View, rows: float) -> np.ndarray:
    """Reduce the scene to this number of rows, with as many columns as make its pixels square."""
    height, width = view.photo.shape[:2]
    reduced_width, reduced_rows = view.size_at(int(rows))
    picture = Image.fromarray(view.photo)
    reduced = picture.resize((min(reduced_width, width), min(reduced_rows, height)), _BOX)
    return np.asarray(reduced.resize((width, height), _BILINEAR))


def _averaged(view: _View, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Average each pixel over points around it, given in heights of the scene; the border is replicated."""
    height, width = view.photo.shape[:2]
    offsets = [y * height, x * width / view.aspect]
    pad = [int(np.ceil(np.abs(along).max())) + 1 for along in offsets]
    kernel = np.zeros([2 * margin + 1 for margin in pad])
    (top, down), (left, right) = (
        (np.floor(along).astype(int) + margin, along - np.floor(along))
        for along, margin in zip(offsets, pad, strict=True)
    )
    for row, in_row in ((top, 1 - down), (top + 1, down)):  # each point counts for the four pixels around it
        for column, in_column in ((left, 1 - right), (left + 1, right)):
            np.add.at(kernel, (row, column), in_row * in_column)
    padded = np.pad(view.photo, ((pad[0],) * 2, (pad[1],) * 2, (0, 0)), mode="edge").astype(np.float64)
    return fftconvolve(padded, kernel[..., None] / kernel.sum(), mode="valid", axes=(0, 1))


def _resized(channels: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    """Resize H x W x 3 float32 to this height and width."""
    planes = (Image.fromarray(plane).resize(size[::-1], method) for plane in np.moveaxis(channels, 2, 0))
    return np.stack([np.asarray(plane) for plane in planes], 2)


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption.

    Attributes:
        apply: called with the photo and an amount; returns H x W x 3, not yet rounded to 0 to 255.
        amounts: the amount at each of `STRENGTHS`.
        unit: text of the amounts.
    """

    apply: Callable[[_View, float], np.ndarray]
    amounts: tuple[float, float, float]
    unit: str


CORRUPTIONS = {
    "fog": Corruption(_fog, (0.005, 0.01, 0.02), "density per meter"),
    "darkness": Corruption(_exposure, (-2, -3, -4), "stops of exposure"),
    "overexposure": Corruption(_exposure, (1, 2, 3), "stops of exposure"),
    "noise": Corruption(_noise, (0.08, 0.18, 0.38), "standard deviation, as a share of white"),
    "defocus": Corruption(_defocus, (0.01, 0.02, 0.04), "radius, as a share of the height"),
    "motion blur": Corruption(_motion_blur, (0.03, 0.06, 0.1), "length, as a share of the height"),
    "JPEG compression": Corruption(_jpeg, (25, 15, 7), "quality"),
    "low resolution": Corruption(_low_resolution, (96, 64, 32), "rows"),
}
"""The corruptions by name."""


def corrupt(
    photo: np.ndarray, corruption: str, strength: int, seed: int, aspect: float | None = None
) -> np.ndarray:
    """Corrupt a photo. The same arguments give the same result.

    Args:
        photo: H x W x 3 uint8 RGB.
        corruption: a name of `CORRUPTIONS`.
        strength: one of `STRENGTHS`.
        seed: not negative; chooses the noise and the direction of motion, the same for all strengths.
        aspect: width over height of the scene, if the pixels of the photo are not square.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        KeyError: if there is no such corruption.
        ValueError: if there is no such strength.
    """
    kind = CORRUPTIONS[corruption]
    amount = kind.amounts[STRENGTHS.index(strength)]
    height, width = photo.shape[:2]
    view = _View(photo, aspect or width / height, np.random.default_rng(seed))
    return np.clip(np.rint(kind.apply(view, amount)), 0, 255).astype(np.uint8)
