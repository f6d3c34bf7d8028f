"""Houses and their facades."""

from copy import copy
from typing import NamedTuple

import numpy as np

from seg.data.scenes.canvas import Canvas, Sprite, Weather
from seg.data.scenes.noise import fractal_noise, scale_color, vary_color
from seg.data.scenes.options import FAR, ID, RGB
from seg.data.scenes.street import Street

PLASTER = (
    (186, 172, 140),
    (166, 150, 128),
    (196, 188, 172),
    (172, 134, 104),
    (150, 148, 144),
    (190, 164, 120),
    (142, 112, 96),
    (120, 116, 110),
    (206, 200, 190),
)

BOARDS = ((150, 40, 36), (40, 66, 120), (196, 190, 178), (46, 92, 62), (60, 58, 56), (204, 160, 50))

BRICK = ((134, 84, 66), (118, 80, 66), (150, 104, 80))


def facade_sprite(rng: np.random.Generator, width: float, floors: int, plain: bool = False) -> Sprite:
    """Return the front of a house: rows of windows above a ground floor of shops or with a door.

    Args:
        rng: source of randomness.
        width: in meters.
        floors: number of storeys.
        plain: return a side wall with few windows.
    """
    storey = float(rng.uniform(2.9, 3.5))
    height, wall = storey * floors + 0.8, int(ID["building"])
    brick = rng.random() < 0.25
    base = vary_color(rng, BRICK[rng.integers(len(BRICK))] if brick else PLASTER[rng.integers(len(PLASTER))])
    sprite = Sprite(width, height, 22, base, wall)
    sprite.grain(rng, 0.09, 1.5)
    if brick:
        rows, columns = np.arange(sprite.image.height)[:, None], np.arange(sprite.image.width)
        mortar = (rows % 4 == 0) | ((columns + rows // 4 % 2 * 5) % 10 == 0)
        sprite.texture(1 + 0.16 * mortar + 0.08 * fractal_noise(rng, *mortar.shape))
    half, trim = width / 2, scale_color(base, 1.22)
    frame = vary_color(rng, (200, 200, 196), 15) if rng.random() < 0.75 else vary_color(rng, (84, 66, 54), 10)
    bays = max(1, int(width / rng.uniform(2.1, 3.2))) if not plain else int(rng.integers(0, 3))
    wide, tall = float(rng.uniform(0.95, 1.35)), float(rng.uniform(1.35, 1.9))
    shops = not plain and rng.random() < 0.5
    balcony = not plain and rng.random() < 0.35
    sprite.rect(-half, 0, half, 0.6, scale_color(base, 0.62))
    for floor in range(floors):
        y = floor * storey + 0.95
        if floor == 0 and shops:
            _shop(sprite, rng, half, storey)
            continue
        if floor and not plain and floor % 2:
            sprite.rect(-half, y - 1.05, half, y - 0.92, scale_color(base, 0.8))
        for bay in range(bays):
            x = -half + (bay + 0.5) * width / bays
            if floor == 0 and not plain and bay == bays // 2:
                sprite.rect(x - 0.62, 0, x + 0.62, 2.35, scale_color(frame, 0.8))
                sprite.rect(x - 0.5, 0, x + 0.5, 2.2, vary_color(rng, (72, 52, 42), 18))
                sprite.rect(x - 0.36, 1.3, x + 0.36, 2.0, (46, 52, 56))
                continue
            _window(sprite, rng, x, y, wide, tall, frame, trim)
            if balcony and floor and bay % 2:
                sprite.rect(x - wide * 0.85, y - 0.15, x + wide * 0.85, y, scale_color(base, 0.6))
                for post in np.arange(-0.85, 0.86, 0.14):
                    sprite.rect(x + wide * post - 0.02, y, x + wide * post + 0.02, y + 0.95, (58, 58, 60))
                sprite.rect(x - wide * 0.87, y + 0.9, x + wide * 0.87, y + 0.98, (58, 58, 60))
    sprite.rect(-half, height - 0.4, half, height, trim)
    sprite.rect(-half, height - 0.5, half, height - 0.4, scale_color(base, 0.5))
    sprite.rect(half - 0.12, 0, half, height, scale_color(base, 0.72))
    shade = np.linspace(1.06, 0.9, sprite.image.height)[:, None] + 0.06 * fractal_noise(
        rng, sprite.image.height, sprite.image.width, 4
    )
    sprite.texture(shade)
    return sprite


def _window(
    sprite: Sprite,
    rng: np.random.Generator,
    x: float,
    y: float,
    wide: float,
    tall: float,
    frame: RGB,
    trim: RGB,
) -> None:
    """Draw a window with its frame; (x, y) is the middle of its lower edge."""
    sprite.rect(x - wide / 2 - 0.12, y - 0.1, x + wide / 2 + 0.12, y + tall + 0.12, trim)
    sprite.rect(x - wide / 2, y, x + wide / 2, y + tall, scale_color(frame, 0.9))
    glass = vary_color(rng, (54, 60, 66), 13)
    sprite.rect(x - wide / 2 + 0.07, y + 0.07, x + wide / 2 - 0.07, y + tall - 0.07, glass)
    appearance = rng.random()
    if appearance < 0.35:  # curtains
        sprite.rect(
            x - wide / 2 + 0.07,
            y + tall * rng.uniform(0.1, 0.6),
            x + wide / 2 - 0.07,
            y + tall - 0.07,
            vary_color(rng, (142, 142, 136), 20),
        )
    elif appearance < 0.7:  # a reflection of the sky
        sprite.polygon(
            [
                (x - wide / 2 + 0.07, y + tall * 0.5),
                (x + wide / 2 - 0.07, y + tall * 0.75),
                (x + wide / 2 - 0.07, y + tall - 0.07),
                (x - wide / 2 + 0.07, y + tall - 0.07),
            ],
            vary_color(rng, (122, 134, 144), 14),
        )
    sprite.rect(x - 0.035, y, x + 0.035, y + tall, frame)
    sprite.rect(x - wide / 2, y + tall * 0.66, x + wide / 2, y + tall * 0.7, frame)
    sprite.rect(x - wide / 2 - 0.15, y - 0.16, x + wide / 2 + 0.15, y - 0.06, scale_color(trim, 0.8))


def _shop(sprite: Sprite, rng: np.random.Generator, half: float, storey: float) -> None:
    """Draw shop windows with goods behind them, and a sign above."""
    sprite.rect(-half, 0, half, storey - 0.25, vary_color(rng, (72, 70, 68), 16))
    x = -half + 0.3
    while x < half - 1.2:
        wide = min(float(rng.uniform(1.2, 3.2)), half - 0.2 - x)
        sprite.rect(x, 0.35, x + wide, storey - 0.95, vary_color(rng, (62, 68, 70), 14))
        for _ in range(int(wide * 4)):
            gx, gy = rng.uniform(x, x + wide - 0.3), rng.uniform(0.4, 1.7)
            sprite.rect(
                gx,
                gy,
                gx + rng.uniform(0.1, 0.3),
                gy + rng.uniform(0.1, 0.45),
                tuple(rng.uniform(50, 175, 3)),
            )
        sprite.polygon([(x, storey - 0.95), (x + wide * 0.5, storey - 0.95), (x, 1.1)], (112, 122, 126))
        x += wide + float(rng.uniform(0.15, 0.6))
    board = vary_color(rng, BOARDS[rng.integers(len(BOARDS))], 12)
    sprite.rect(-half + 0.2, storey - 0.85, half - 0.2, storey - 0.3, board)
    for gx in np.arange(-half * 0.6, half * 0.5, 0.34):
        if rng.random() < 0.8:
            sprite.rect(
                gx,
                storey - 0.72,
                gx + 0.22,
                storey - 0.46,
                (232, 230, 222) if sum(board) < 420 else (50, 48, 48),
            )
    if rng.random() < 0.4:
        awning = tuple(rng.uniform(70, 200, 3))
        sprite.rect(-half + 0.3, storey - 1.35, half - 0.3, storey - 0.85, awning)


class House(NamedTuple):
    """Position and appearance of a house; lengths in meters."""

    side: int
    """-1 left, 1 right."""
    s0: float
    """Its near end."""
    s1: float
    """Its far end."""
    front: float
    """The t of its facade."""
    facade: Sprite
    gable: Sprite
    roof: float
    """Height of the roof above the facade; 0 for a flat one."""
    tiles: RGB
    """Color of the roof."""


def place_houses(rng: np.random.Generator, street: Street) -> list[House]:
    """Draw the houses along both sides of a street, except along parks."""
    houses, gables = [], [facade_sprite(rng, 11.0, 3, plain=True) for _ in range(3)]
    for side, kind, front in zip((-1, 1), street.kinds, street.fronts, strict=True):
        if kind == "park":
            continue
        s = float(rng.uniform(-8, 4))
        usual_floors = int(rng.integers(2, 6))
        while s < FAR - 20:
            width = float(rng.uniform(9, 19))
            if street.open(s, s + width):
                floors = (
                    max(1, usual_floors + int(rng.integers(-1, 2)))
                    if kind == "facades"
                    else int(rng.integers(1, 4))
                )
                back = front + side * (float(rng.uniform(4, 9)) if kind == "gardens" else 0.0)
                facade, gable = facade_sprite(rng, width, floors), copy(gables[rng.integers(3)])
                gable.height = facade.height
                pitch = float(rng.uniform(2, 4)) if rng.random() < 0.7 else 0.0
                tiles = vary_color(rng, ((126, 66, 48), (78, 74, 74), (104, 72, 58))[rng.integers(3)], 10)
                houses.append(House(side, s, s + width, back, facade, gable, pitch, tiles))
            gap = (
                rng.uniform(4, 12)
                if kind == "gardens"
                else (0.0 if rng.random() < 0.85 else rng.uniform(2, 6))
            )
            s += width + float(gap) if street.open(s, s + width) else 3.0
    return houses


def paint_house(canvas: Canvas, house: House) -> None:
    """Paint a house with its roof, gable and facade."""
    weather, side, top = canvas.weather, house.side, house.facade.height
    rear = house.front + side * 11.0
    light, facing = weather.light((-side, 0, 0)), weather.light((0, 0, -1))
    if house.roof:
        ridge = house.front + side * 5.5
        if house.s0 > 3:
            gable = [(house.front, top, house.s0), (rear, top, house.s0), (ridge, top + house.roof, house.s0)]
            canvas.polygon(
                gable, np.asarray(house.gable.image)[0:3, :, :3].mean((0, 1)), ID["building"], facing
            )
        s0 = max(house.s0, 3.0)
        for i in range(6):  # rows of tiles
            p, q = i / 6, (i + 1) / 6
            row = [
                (house.front - side * 0.4 * (1 - x) + side * 5.5 * x, top + house.roof * x, s)
                for x, s in ((p, s0), (p, house.s1), (q, house.s1), (q, s0))
            ]
            canvas.polygon(
                row,
                scale_color(house.tiles, 1.0 - 0.1 * (i % 2)),
                ID["building"],
                weather.light((-side * 0.5, 0.85, 0)),
            )
    if house.s0 > 1:
        canvas.draw_panel(house.gable, (house.front, house.s0), (rear, house.s0), 0, facing)
    canvas.draw_panel(house.facade, (house.front, house.s0), (house.front, house.s1), 0, light)


def building_shadow(houses: list[House], weather: Weather) -> np.ndarray:
    """Return N x 2 float32: for each meter of s, the t between which buildings shade the street.

    Without a shadow they are 1 and 0.
    """
    shaded = np.tile(np.array((1.0, 0.0), np.float32), (400, 1))
    if weather.direct.max() < 0.2:
        return shaded
    slope = weather.sun[:2][0] / weather.sun[1], weather.sun[2] / weather.sun[1]
    for house in houses:
        if house.side * weather.sun[0] <= 0.05:
            continue
        length = house.facade.height + house.roof * 0.5
        shift = -slope[1] * length * 0.5
        rows = slice(int(max(0, house.s0 + shift)), int(max(0, house.s1 + shift)))
        end = house.front - slope[0] * length
        shaded[rows] = (house.front - 30, end) if house.side < 0 else (end, house.front + 30)
    return shaded
