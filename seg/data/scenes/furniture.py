"""Poles, lamps, traffic lights and signs."""

import numpy as np

from seg.data.scenes.canvas import Canvas, Sprite
from seg.data.scenes.noise import scale_color, vary_color
from seg.data.scenes.options import ID, RGB


def paint_pole(
    canvas: Canvas, t: float, s: float, height: float, radius: float, color: RGB, light: np.ndarray
) -> None:
    """Paint a vertical pole; lengths in meters, `light` as RGB factors."""
    for a, b, tone in ((-1, -0.3, 0.8), (-0.3, 0.35, 1.15), (0.35, 1, 0.6)):
        strip = [
            (t + a * radius, 0, s),
            (t + b * radius, 0, s),
            (t + b * radius * 0.8, height, s),
            (t + a * radius * 0.8, height, s),
        ]
        canvas.polygon(strip, scale_color(color, tone), ID["pole"], light)


def paint_lamp(
    canvas: Canvas, rng: np.random.Generator, t: float, s: float, inward: int, light: np.ndarray
) -> None:
    """Paint a street lamp at (t, s); `inward` is the direction of the road, -1 or 1."""
    color, height = vary_color(rng, (96, 102, 100), 14), float(rng.uniform(5.5, 8.5))
    paint_pole(canvas, t, s, height, 0.09, color, light)
    arm = [
        (t, height - 0.12, s),
        (t + inward * 1.6, height + 0.25, s),
        (t + inward * 1.6, height + 0.33, s),
        (t, height, s),
    ]
    canvas.polygon(arm, color, ID["pole"], light)
    head = [(t + inward * x, height + y, s) for x, y in ((1.2, 0.18), (2.1, 0.3), (2.1, 0.42), (1.2, 0.36))]
    canvas.polygon(head, (176, 178, 174), ID["pole"], light)


def _signal(rng: np.random.Generator) -> Sprite:
    """Return the housing of a traffic light with its three lamps, one of them lit."""
    sprite, cls = Sprite(0.44, 1.15, 150), ID["traffic light"]
    sprite.rect(-0.18, 0.05, 0.18, 1.1, vary_color(rng, (34, 36, 36), 6), cls)
    lit = int(rng.integers(3))
    for i, (on, off) in enumerate(
        (((60, 255, 150), (16, 52, 36)), ((255, 190, 50), (66, 50, 18)), ((255, 60, 40), (70, 22, 18)))
    ):
        y = 0.24 + 0.33 * i
        sprite.disc(0, y, 0.135, 0.135, (18, 18, 18), cls)
        sprite.disc(0, y, 0.11, 0.11, on if i == lit else off, cls)
        if i == lit:
            sprite.disc(0, y, 0.05, 0.05, (255, 250, 225), cls)
        sprite.polygon(
            [(-0.15, y + 0.1), (0.15, y + 0.1), (0.12, y + 0.16), (-0.12, y + 0.16)], (12, 12, 12), cls
        )
    return sprite


def paint_signal(
    canvas: Canvas, rng: np.random.Generator, t: float, s: float, inward: int, light: np.ndarray
) -> None:
    """Paint a traffic light at (t, s); `inward` is the direction of the road, -1 or 1."""
    color, lamps = vary_color(rng, (92, 98, 96), 12), np.maximum(light, 0.75)
    if rng.random() < 0.5:
        height, reach = 5.6, float(rng.uniform(2.5, 5.0))
        paint_pole(canvas, t, s, height, 0.1, color, light)
        arm = [
            (t, height - 0.16, s),
            (t + inward * reach, height - 0.12, s),
            (t + inward * reach, height, s),
            (t, height, s),
        ]
        canvas.polygon(arm, color, ID["pole"], light)
        canvas.draw_upright(_signal(rng), t + inward * (reach - 0.3), s - 0.1, lamps, height - 0.9)
    else:
        paint_pole(canvas, t, s, 3.4, 0.08, color, light)
    canvas.draw_upright(_signal(rng), t, s - 0.1, lamps, 2.3)


def sign_sprite(rng: np.random.Generator) -> Sprite:
    """Return a traffic sign of a common shape, about 0.7 m high."""
    sprite, cls = Sprite(1.5, 1.0, 130), ID["traffic sign"]
    kind, r = int(rng.integers(7)), 0.36
    red, blue, white = (190, 34, 36), (32, 76, 156), (228, 228, 224)
    corners = [(r * 1.1 * np.sin(a), 0.45 + r * 1.1 * np.cos(a)) for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    if kind == 0:
        sprite.disc(0, 0.5, r, r, red, cls)
        sprite.disc(0, 0.5, r * 0.76, r * 0.76, white)
        for x in (-0.1, 0.1):
            sprite.rect(x - 0.06, 0.36, x + 0.06, 0.64, (30, 30, 30))
    elif kind == 1:
        sprite.disc(0, 0.5, r, r, red, cls)
        sprite.rect(-0.26, 0.43, 0.26, 0.57, white)
    elif kind == 2:
        sprite.polygon(corners, red, cls)
        sprite.polygon([(x * 0.68, 0.45 + (y - 0.45) * 0.68) for x, y in corners], white)
        sprite.rect(-0.03, 0.36, 0.03, 0.6, (30, 30, 30))
    elif kind == 3:
        sprite.polygon([(x, 0.9 - y) for x, y in corners], red, cls)
        sprite.polygon([(x * 0.66, 0.9 - (0.45 + (y - 0.45) * 0.66)) for x, y in corners], white)
    elif kind == 4:
        sprite.rect(-r, 0.5 - r, r, 0.5 + r, blue, cls)
        sprite.polygon([(-0.2, 0.28), (0.2, 0.28), (0, 0.74)], white)
    elif kind == 5:
        sprite.polygon([(0, 0.05), (0.42, 0.5), (0, 0.95), (-0.42, 0.5)], white, cls)
        sprite.polygon([(0, 0.16), (0.31, 0.5), (0, 0.84), (-0.31, 0.5)], (226, 178, 36))
    else:
        board = ((226, 190, 44), (32, 76, 156), (228, 228, 224))[rng.integers(3)]
        sprite.rect(-0.72, 0.1, 0.72, 0.9, board, cls)
        ink = (30, 30, 30) if sum(board) > 400 else white
        for y in (0.3, 0.6):
            for x in np.arange(-0.6, rng.uniform(0.1, 0.5), 0.13):
                sprite.rect(x, y, x + 0.09, y + 0.14, ink)
    return sprite
