"""Trees, walls and fences."""

import numpy as np
from PIL import Image

from seg.data.scenes.canvas import Canvas, Sprite
from seg.data.scenes.noise import fractal_noise, noise_tile, scale_color, vary_color
from seg.data.scenes.options import ID, RGB

GREENS = ((84, 104, 52), (70, 92, 48), (98, 110, 56), (62, 80, 50), (110, 108, 52))


def crown_sprite(
    rng: np.random.Generator, width: float, height: float, color: RGB, hedge: bool = False
) -> Sprite:
    """Return foliage: an uneven outline, clumps lit from above, dark gaps between them.

    Args:
        rng: source of randomness.
        width: in meters.
        height: in meters.
        color: mean color.
        hedge: fill the width, with an uneven upper edge only.
    """
    sprite = Sprite(width, height, min(40.0, 240 / max(width, height)), color)
    rows, columns = sprite.image.height, sprite.image.width
    y = np.linspace(1, -1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)
    outline = fractal_noise(rng, rows, columns, 1.2)
    clump, leaf = fractal_noise(rng, rows, columns, 2.2), fractal_noise(rng, rows, columns, 1.0, 0.2)
    if hedge:
        inside = (1 - y) * rows / sprite.scale * 0.5 + 0.10 * outline > 0.1
    else:
        body = np.full((rows, columns), -9.0, np.float32)
        for _ in range(int(rng.integers(5, 10))):
            cx, cy, r = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.35, 0.6)
            body = np.maximum(body, 1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2)
        inside = body + 0.5 * outline + 0.4 * leaf * (body < 0.35) > 0.05
    # clumps are lit from above
    relief = clump - np.roll(clump, -4, 0)
    tone = 0.74 + 0.16 * y + 1.1 * relief + 0.28 * clump + 0.42 * leaf
    warm = 1 + 0.12 * np.stack([clump, clump * 0.3, -clump], -1)
    sprite.texture(np.clip(tone, 0.12, 1.7)[..., None] * warm)
    pixels = np.array(sprite.image)
    pixels[..., 3] = np.where(inside, 255, 0)
    sprite.image = Image.fromarray(pixels)
    sprite.label = Image.fromarray(np.where(inside, ID["vegetation"] + 1, 0).astype(np.uint8))
    return sprite


def paint_tree(
    canvas: Canvas,
    rng: np.random.Generator,
    crown: Sprite,
    t: float,
    s: float,
    trunk: float,
    light: np.ndarray,
) -> None:
    """Paint a tree and its shadow.

    Args:
        canvas: where it is painted.
        rng: source of randomness.
        crown: its crown, from `crown_sprite`.
        t: of its trunk, in meters.
        s: of its trunk, in meters.
        trunk: height of the crown's base in meters.
        light: RGB factors.
    """
    bark, lean = vary_color(rng, (84, 74, 62), 8), float(rng.uniform(-0.15, 0.15))
    thick, top = crown.width * 0.03 + 0.05, trunk + crown.height * 0.6
    stem = Sprite(1.2, top, 60)
    stem.polygon(
        [(-thick, 0), (thick, 0), (lean + thick * 0.6, top), (lean - thick * 0.6, top)],
        bark,
        ID["vegetation"],
    )
    stem.polygon(
        [(thick * 0.2, 0), (thick, 0), (lean + thick * 0.6, top), (lean + thick * 0.1, top)],
        scale_color(bark, 0.65),
    )
    stem.grain(rng, 0.3, 0.7)
    cast_shadow(canvas, t, s, crown.width * 0.5, trunk + crown.height * 0.5)
    canvas.draw_upright(stem, t, s, light)
    canvas.draw_upright(crown, t, s, light, trunk)


def cast_shadow(canvas: Canvas, t: float, s: float, radius: float, height: float) -> None:
    """Paint the round shadow of an object at (t, s); without sun it is straight below."""
    weather = canvas.weather
    sunny = weather.direct.max() > 0.2
    t -= weather.sun[0] / weather.sun[1] * height * sunny
    s -= weather.sun[2] / weather.sun[1] * height * sunny
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = [(t + radius * np.cos(a), 0, s + radius * np.sin(a)) for a in angles]
    canvas.shade(ring, 0.55 if sunny else 0.85)


def barrier_sprite(rng: np.random.Generator, kind: str, length: float) -> Sprite:
    """Return a piece of wall, fence or hedge; the gaps of a fence belong to the fence, as in Cityscapes.

    Args:
        rng: source of randomness.
        kind: ``wall``, ``fence`` or ``hedge``.
        length: in meters.
    """
    if kind == "hedge":
        return crown_sprite(
            rng,
            length,
            float(rng.uniform(1.0, 2.0)),
            vary_color(rng, GREENS[rng.integers(len(GREENS))], 8),
            hedge=True,
        )
    half = length / 2
    if kind == "wall":
        height = float(rng.uniform(1.2, 2.8))
        base = vary_color(rng, ((142, 132, 118), (128, 92, 76), (150, 150, 146))[rng.integers(3)], 12)
        sprite = Sprite(length, height, 36, base, ID["wall"])
        rows, columns = np.arange(sprite.image.height)[:, None], np.arange(sprite.image.width)
        course = int(rng.integers(6, 13))
        joint = (rows % course == 0) | ((columns + rows // course % 2 * course) % (2 * course) == 0)
        block = noise_tile(0.55)[
            (rows // course * 31) & 511, ((columns + rows // course % 2 * course) // (2 * course) * 57) & 511
        ]
        sprite.texture(
            1
            - 0.3 * joint
            + 0.12 * block
            + 0.2 * fractal_noise(rng, sprite.image.height, sprite.image.width, 2)
        )
        sprite.rect(-half, height - 0.14, half, height, scale_color(base, 1.15))
        return sprite
    height = float(rng.uniform(1.0, 1.8))
    color = vary_color(rng, ((66, 70, 66), (112, 88, 62), (150, 152, 152), (52, 66, 56))[rng.integers(4)], 10)
    sprite = Sprite(length, height, 50)
    sprite.rect(-half, 0, half, height, None, ID["fence"])
    wide, gap = ((0.09, 0.13), (0.025, 0.12), (0.02, 0.09))[rng.integers(3)]
    for x in np.arange(-half, half, gap):
        sprite.rect(x, 0.06, x + wide, height - 0.03, vary_color(rng, color, 5))
    for y in (0.15, height - 0.18):
        sprite.rect(-half, y, half, y + 0.06, scale_color(color, 0.85))
    for x in np.arange(-half, half, 2.0):
        sprite.rect(x, 0, x + 0.1, height, scale_color(color, 0.75))
    return sprite
