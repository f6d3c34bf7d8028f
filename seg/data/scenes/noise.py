"""Noise for surfaces, and operations on colors."""

from functools import lru_cache

import numpy as np
from PIL import Image

from seg.data.scenes.options import RGB


@lru_cache(maxsize=2)
def noise_tile(fade: float) -> np.ndarray:
    """Return 512 x 512 float32 fractal noise in about -1..1 that tiles, the same for every scene.

    Args:
        fade: decrease of the amplitude with frequency; smaller values give finer noise.
    """
    rng = np.random.default_rng(1)
    total = np.zeros((512, 512), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256):
        coarse = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 1, mode="wrap")
        step = 512 // cells
        big = Image.fromarray(coarse).resize((512 + 2 * step, 512 + 2 * step), Image.Resampling.BICUBIC)
        total += np.asarray(big)[step:-step, step:-step] * cells**-fade
    return total / (2.2 * total.std())


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, zoom: float = 1.0, fade: float = 0.55
) -> np.ndarray:
    """Return height x width fractal noise: the tile from a random corner.

    Args:
        rng: source of randomness.
        height: rows.
        width: columns.
        zoom: pixels per pixel of the tile.
        fade: as for `noise_tile`.
    """
    rows = (np.arange(height) / zoom + rng.integers(512)).astype(np.int32) & 511
    columns = (np.arange(width) / zoom + rng.integers(512)).astype(np.int32) & 511
    return noise_tile(fade)[rows[:, None], columns]


def vary_color(rng: np.random.Generator, color: RGB, amount: float = 12) -> RGB:
    """Vary the brightness of a color, and its tone less; `amount` is the standard deviation, of 255."""
    return tuple(
        np.clip(np.add(color, rng.normal(0, amount) + rng.normal(0, amount / 4, 3)), 0, 255).tolist()
    )


def scale_color(color: RGB, factor: float) -> RGB:
    """Multiply a color by a factor."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def to_ints(color: RGB | np.ndarray) -> tuple[int, int, int]:
    """Clip a color to 0-255 and truncate it to integers."""
    red, green, blue = (int(min(max(c, 0), 255)) for c in color)
    return red, green, blue
