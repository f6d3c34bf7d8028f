"""Effects on the painted photo: reflections of a wet road, the car's hood, lens and sensor."""

import numpy as np
from PIL import Image, ImageFilter

from seg.data.cityscapes import IGNORE
from seg.data.scenes.noise import fractal_noise
from seg.data.scenes.options import ID

GRAIN = np.full(256, 0.05, np.float32)  # strength of the surface texture by train id
GRAIN[[ID["sky"], IGNORE]] = 0.006
GRAIN[[ID["car"], ID["bus"], ID["truck"], ID["train"], ID["building"]]] = 0.09


def reflect_in_road(photo: np.ndarray, label: np.ndarray, horizon: int) -> np.ndarray:
    """Reflect the part above the horizon faintly in the road.

    Args:
        photo: H x W x 3 uint8 RGB.
        label: H x W uint8 train ids.
        horizon: its row.

    Returns:
        H x W x 3 uint8 RGB.
    """
    height = len(photo)
    rows = np.clip(2 * horizon - np.arange(horizon, height), 0, height - 1)
    small = Image.fromarray(photo[rows]).resize(
        (photo.shape[1], max(1, (height - horizon) // 6)), Image.Resampling.BOX
    )
    mirror = np.asarray(
        small.resize((photo.shape[1], height - horizon), Image.Resampling.BILINEAR), np.float32
    )
    reflected = photo.astype(np.float32)
    strength = (label[horizon:] == ID["road"])[..., None] * 0.25
    reflected[horizon:] = reflected[horizon:] * (1 - strength * 1.25) + mirror * strength
    return reflected.clip(0, 255).astype(np.uint8)


def paint_bonnet(photo: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """Paint the hood of the recording car along the lower edge, in place; its label is ``IGNORE``.

    Args:
        photo: H x W x 3 uint8 RGB.
        label: H x W uint8 train ids.
        rng: source of randomness.
    """
    height, width = label.shape
    x = np.linspace(-1, 1, width)
    edge = height * (1 - rng.uniform(0.05, 0.1) * (1 - 0.75 * x**2))
    down = (np.arange(height)[:, None] - edge) / height
    inside = down >= 0
    shine = (
        np.clip(1.6 - 18 * down, 0.5, 1.6)[..., None]
        * np.array((46, 50, 52))
        * (photo[: height // 2].mean() / 128)
    )
    shine = shine * (1 + 0.2 * fractal_noise(rng, height, width, 3))[..., None]
    photo[inside] = np.clip(shine, 0, 255)[inside]
    label[inside] = IGNORE


def apply_camera_effects(photo: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply blur, vignetting, exposure, white balance, tone curve and noise.

    Args:
        photo: H x W x 3 uint8 RGB.
        label: H x W uint8 train ids, for the surface texture of each class.
        rng: source of randomness.

    Returns:
        H x W x 3 uint8 RGB.
    """
    height, width = label.shape
    image = Image.fromarray(photo)
    blur = float(rng.uniform(0.2, 0.7)) * height / 512
    photo = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255
    surface = fractal_noise(rng, height, width, height / 512 * 1.3, 0.25)
    photo = photo * (1 + GRAIN[label] * surface)[..., None]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    vignette = 1 - rng.uniform(0.05, 0.25) * (x * x + y * y) / 2
    balance = np.array((0.93, 1.02, 0.92)) * rng.uniform(0.96, 1.04, 3)
    photo = photo * (vignette[..., None] * balance * rng.uniform(0.72, 1.2))
    gray = photo @ np.array((0.3, 0.59, 0.11), np.float32)
    photo = photo + (gray[..., None] - photo) * rng.uniform(0.1, 0.35)
    photo = rng.uniform(0.01, 0.05) + np.clip(photo, 0, 1) ** rng.uniform(0.85, 1.1)
    photo = photo + rng.normal(0, 1, (height, width, 1)).astype(np.float32) * rng.uniform(0.004, 0.014)
    return np.clip(photo * 255 + 0.5, 0, 255).astype(np.uint8)
