"""People, bicycles and motorcycles."""

import numpy as np

from seg.data.scenes.canvas import Sprite
from seg.data.scenes.noise import fractal_noise, scale_color, vary_color
from seg.data.scenes.options import ID, RGB
from seg.data.scenes.vehicles import PAINTS

CLOTHES = (
    (40, 42, 50),
    (62, 70, 92),
    (128, 36, 38),
    (166, 160, 150),
    (84, 78, 66),
    (36, 52, 80),
    (190, 188, 184),
    (54, 74, 58),
    (110, 96, 84),
    (150, 110, 60),
    (24, 24, 26),
)

HAIR = ((50, 38, 28), (28, 24, 22), (140, 110, 70), (120, 118, 116))

SKIN = ((206, 160, 132), (186, 138, 110), (140, 98, 74), (98, 66, 50))


def _clothes(rng: np.random.Generator) -> RGB:
    """Draw a color of clothes."""
    return vary_color(rng, CLOTHES[rng.integers(len(CLOTHES))], 8)


def _rounded(sprite: Sprite, rng: np.random.Generator) -> None:
    """Shade a sprite so that a body looks round and the cloth has folds."""
    across = np.linspace(-1, 1, sprite.image.width)
    light = 1.08 - 0.22 * across * rng.choice((-1, 1)) + np.zeros((sprite.image.height, 1))
    sprite.texture(light + 0.26 * fractal_noise(rng, sprite.image.height, sprite.image.width, 1.4))


def _head(
    sprite: Sprite, rng: np.random.Generator, x: float, y: float, cls: int, helmet: bool = False
) -> None:
    """Draw a head around (x, y)."""
    skin, hair = SKIN[rng.choice(4, p=[0.5, 0.3, 0.12, 0.08])], vary_color(rng, HAIR[rng.integers(4)], 8)
    sprite.rect(x - 0.05, y - 0.17, x + 0.05, y, scale_color(skin, 0.85), cls)
    sprite.disc(x, y, 0.092, 0.125, skin, cls)
    cap = _clothes(rng) if helmet or rng.random() < 0.15 else hair
    back = rng.random() < 0.45
    sprite.disc(x, y + 0.05, 0.1, 0.1 if not helmet else 0.12, cap, cls)
    if back:
        sprite.disc(x, y - 0.01, 0.098, 0.12 if rng.random() < 0.6 else 0.2, cap, cls)
    else:
        sprite.rect(x - 0.07, y - 0.05, x + 0.07, y + 0.03, skin)


def person_sprite(rng: np.random.Generator) -> Sprite:
    """Return a standing or walking person, sometimes a child."""
    cls = ID["person"]
    size = float(rng.choice([1.0, 0.95, 0.72], p=[0.5, 0.4, 0.1]) * rng.uniform(0.96, 1.04))
    sprite = Sprite(1.1 * size, 1.82 * size, 110 / size)
    sprite.width, sprite.height, sprite.scale = 1.1, 1.82, 110.0  # an adult is drawn and scaled at the end
    top, trousers, stride = _clothes(rng), _clothes(rng), float(rng.uniform(0, 0.32))
    shoes, wide = vary_color(rng, (34, 30, 28), 8), float(rng.uniform(0.17, 0.23))
    sway = float(rng.uniform(-0.04, 0.04))
    for sign, tone in ((-1, 0.75), (1, 1.0)):
        knee, foot = sign * stride * 0.55 + 0.03, sign * stride
        sprite.limb(
            [(sign * 0.08, 0.88), (sign * 0.07 + knee * 0.6, 0.48), (sign * 0.06 + foot, 0.08)],
            0.155,
            scale_color(trousers, tone),
            cls,
        )
        sprite.limb([(sign * 0.06 + foot - 0.03, 0.05), (sign * 0.06 + foot + 0.09, 0.05)], 0.09, shoes, cls)
    hem = float(rng.choice([0.82, 0.82, 0.62, 0.45]))
    shoulders = [(-wide, 1.42), (wide, 1.42), (wide * 0.92, hem), (-wide * 0.92, hem)]
    far, near = (-1, 1) if rng.random() < 0.5 else (1, -1)
    swing = float(rng.uniform(-0.22, 0.22))
    sprite.limb(
        [(far * wide * 0.95, 1.38), (far * (wide + 0.05), 1.12), (far * (wide + 0.03) - swing, 0.88)],
        0.1,
        scale_color(top, 0.7),
        cls,
    )
    sprite.polygon(shoulders, top, cls)
    sprite.disc(0, 1.42, wide, 0.075, top, cls)
    if rng.random() < 0.3:
        sprite.polygon([(-0.06, 1.46), (0.06, 1.46), (0.03, hem), (-0.03, hem)], _clothes(rng))
    sprite.limb(
        [(near * wide, 1.38), (near * (wide + 0.05), 1.1), (near * (wide - 0.02) + swing, 0.86)],
        0.105,
        scale_color(top, 0.88),
        cls,
    )
    sprite.disc(near * (wide - 0.02) + swing, 0.82, 0.05, 0.06, SKIN[0], cls)
    if rng.random() < 0.35:
        sprite.disc(near * (wide + 0.08), 0.75, 0.13, 0.17, _clothes(rng), cls)
    _head(sprite, rng, sway, 1.645, cls)
    _rounded(sprite, rng)
    sprite.width, sprite.height, sprite.scale = 1.1 * size, 1.82 * size, 110 / size
    return sprite


def two_wheeler_sprite(rng: np.random.Generator, kind: str, ridden: bool, side_on: bool) -> Sprite:
    """Return a bicycle or motorcycle.

    Args:
        rng: source of randomness.
        kind: ``bicycle`` or ``motorcycle``.
        ridden: with a rider.
        side_on: seen from its side, with its front to the right; else from its end.
    """
    cls, motor = ID[kind], kind == "motorcycle"
    sprite = Sprite(2.3 if side_on else 1.0, 1.9, 100)
    frame = vary_color(rng, PAINTS[rng.integers(len(PAINTS))], 10)
    if side_on:
        if motor:
            _draw_motorcycle(sprite, cls, frame)
        else:
            _draw_bicycle(sprite, rng, cls, frame)
        if ridden:
            _draw_rider(sprite, rng, motor)
    else:
        _draw_end_view(sprite, rng, cls, motor, ridden, frame)
    _rounded(sprite, rng)
    return sprite


def _draw_motorcycle(sprite: Sprite, cls: int, frame: RGB) -> None:
    """Draw a motorcycle from its side."""
    radius = 0.31
    for x in (-0.7, 0.7):
        sprite.disc(x, radius, radius, radius, (26, 26, 27), cls)
        sprite.disc(x, radius, radius * 0.6, radius * 0.6, (108, 110, 112))
        sprite.disc(x, radius, radius * 0.3, radius * 0.3, (40, 40, 42))
    sprite.polygon([(-0.55, 0.35), (0.45, 0.3), (0.55, 0.6), (-0.5, 0.62)], (48, 48, 50), cls)
    sprite.polygon(
        [(-0.95, 0.75), (-0.2, 0.62), (0.4, 0.62), (0.62, 0.9), (0.3, 1.0), (-0.05, 0.8), (-0.9, 0.85)],
        frame,
        cls,
    )
    sprite.limb([(-0.75, 0.84), (-0.1, 0.82)], 0.1, (24, 24, 25), cls)
    sprite.limb([(0.7, 0.31), (0.48, 0.95), (0.34, 1.06)], 0.07, (120, 122, 122), cls)
    sprite.disc(0.62, 0.86, 0.1, 0.1, (190, 190, 180), cls)
    sprite.limb([(-0.8, 0.3), (0.1, 0.26)], 0.08, (140, 142, 142), cls)


def _draw_bicycle(sprite: Sprite, rng: np.random.Generator, cls: int, frame: RGB) -> None:
    """Draw a bicycle from its side, the area of the wheels included in its label."""
    r = 0.34
    for x in (-0.53, 0.53):
        sprite.disc(x, r, r, r, None, cls)
        ring = [(x + r * 0.95 * np.cos(a), r + r * 0.95 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 30)]
        sprite.limb(ring, 0.045, (30, 30, 31), cls)
        for a in np.arange(0, np.pi, np.pi / 5):
            dx, dy = r * np.cos(a), r * np.sin(a)
            sprite.limb([(x - dx, r - dy), (x + dx, r + dy)], 0.01, (120, 122, 122), cls)
    for start, end in (
        ((-0.53, 0.34), (-0.05, 0.3)),
        ((-0.05, 0.3), (-0.17, 0.86)),
        ((-0.05, 0.3), (0.38, 0.72)),
        ((-0.14, 0.74), (0.36, 0.8)),
        ((-0.53, 0.34), (-0.15, 0.76)),
        ((0.53, 0.34), (0.34, 0.98)),
        ((0.34, 0.98), (0.5, 1.03)),
    ):
        sprite.limb([start, end], 0.04, frame, cls)
    sprite.limb([(-0.28, 0.9), (-0.08, 0.9)], 0.06, (24, 24, 24), cls)
    if rng.random() < 0.4:
        sprite.rect(0.45, 0.75, 0.75, 0.98, (70, 62, 50), cls)


def _draw_rider(sprite: Sprite, rng: np.random.Generator, motor: bool) -> None:
    """Draw the rider of a bicycle or motorcycle from the side."""
    rider, top, trousers, lean = ID["rider"], _clothes(rng), _clothes(rng), 0.16 if motor else 0.12
    hip, neck = (-0.2, 0.95), (-0.2 + lean * 1.3, 1.48)
    for knee, foot, tone in (((0.12, 0.62), (0.0, 0.2), 0.7), ((0.2, 0.82), (-0.02, 0.42), 1.0)):
        sprite.limb([hip, knee, foot], 0.15, scale_color(trousers, tone), rider)
        sprite.limb([foot, (foot[0] + 0.14, foot[1] - 0.02)], 0.08, (30, 28, 28), rider)
    back = [hip, (hip[0] * 0.5 + neck[0] * 0.5 - 0.05, 1.22), (neck[0], neck[1] - 0.12)]
    sprite.limb(back, 0.29, top, rider)
    sprite.limb([(neck[0], 1.36), (0.16, 1.12), (0.42, 1.05)], 0.1, scale_color(top, 0.85), rider)
    _head(sprite, rng, neck[0] + 0.06, 1.64, rider, helmet=motor or rng.random() < 0.4)


def _draw_end_view(
    sprite: Sprite, rng: np.random.Generator, cls: int, motor: bool, ridden: bool, frame: RGB
) -> None:
    """Draw a bicycle or motorcycle from its end, with or without its rider."""
    wide = 0.09 if motor else 0.035
    sprite.rect(-wide, 0, wide, 0.66, (26, 26, 27), cls)
    if motor:
        sprite.polygon([(-0.2, 0.45), (0.2, 0.45), (0.16, 0.95), (-0.16, 0.95)], frame, cls)
        sprite.disc(0, 0.78, 0.09, 0.08, (170, 40, 36) if rng.random() < 0.5 else (225, 225, 210), cls)
        sprite.rect(-0.1, 0.5, 0.1, 0.62, (210, 210, 206))
    else:
        sprite.rect(-0.04, 0.4, 0.04, 0.9, frame, cls)
        sprite.disc(0, 0.5, 0.04, 0.04, (190, 40, 36), cls)
    sprite.limb([(-0.32, 1.04), (0.32, 1.04)], 0.045, (40, 40, 42), cls)
    if not ridden:
        sprite.disc(0, 0.92, 0.11, 0.06, (26, 26, 26), cls)
        return
    rider, top, trousers = ID["rider"], _clothes(rng), _clothes(rng)
    for sign, foot in ((-1, 0.22), (1, 0.4)):
        sprite.limb([(sign * 0.11, 0.92), (sign * 0.17, 0.62), (sign * 0.14, foot)], 0.145, trousers, rider)
        sprite.limb([(sign * 0.14, foot), (sign * 0.14, foot - 0.06)], 0.1, (30, 28, 28), rider)
        sprite.limb(
            [(sign * 0.19, 1.4), (sign * 0.3, 1.2), (sign * 0.3, 1.06)], 0.1, scale_color(top, 0.85), rider
        )
    sprite.polygon([(-0.22, 1.42), (0.22, 1.42), (0.18, 0.86), (-0.18, 0.86)], top, rider)
    sprite.disc(0, 1.42, 0.22, 0.07, top, rider)
    _head(sprite, rng, 0, 1.64, rider, helmet=motor or rng.random() < 0.4)
