"""Cars, trucks, buses and trams."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from seg.data.scenes.canvas import Canvas, Sprite
from seg.data.scenes.noise import scale_color, vary_color
from seg.data.scenes.options import BELT, CLEAR, ID, RGB, Point


class Pose(NamedTuple):
    """Position and heading of an object, whose own axes are x to its right, y up and z forward."""

    t: float
    s: float
    heading: float  # 0 = driving away from the camera

    def place(self, points: ArrayLike) -> np.ndarray:
        """Transform N x 3 (x, y, z) of the object to N x 3 (t, y, s)."""
        x, y, z = np.asarray(points, np.float64).T
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return np.stack([self.t + x * cos + z * sin, y, self.s - x * sin + z * cos], 1)

    def normal(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Transform a direction (x, y, z) of the object to (t, y, s)."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return x * cos + z * sin, y, -x * sin + z * cos


class CarShape(NamedTuple):
    """Dimensions in meters and side outline of a car."""

    length: float
    width: float
    height: float
    profile: tuple[Point, ...]
    """(z / length, y / height) from the lower rear edge over the roof to the front."""


CARS = (
    CarShape(
        4.1,
        1.75,
        1.48,
        (
            (-0.5, 0.18),
            (-0.5, 0.5),
            (-0.48, 0.62),
            (-0.37, 0.95),
            (-0.25, 1.0),
            (0.06, 0.99),
            (0.27, 0.62),
            (0.45, 0.52),
            (0.5, 0.42),
            (0.5, 0.18),
        ),
    ),
    CarShape(
        4.6,
        1.8,
        1.43,
        (
            (-0.5, 0.18),
            (-0.5, 0.55),
            (-0.47, 0.63),
            (-0.37, 0.64),
            (-0.22, 0.97),
            (-0.12, 1.0),
            (0.06, 0.99),
            (0.25, 0.62),
            (0.46, 0.53),
            (0.5, 0.43),
            (0.5, 0.18),
        ),
    ),
    CarShape(
        4.7,
        1.82,
        1.5,
        (
            (-0.5, 0.18),
            (-0.5, 0.5),
            (-0.49, 0.62),
            (-0.42, 0.97),
            (-0.3, 1.0),
            (0.08, 0.99),
            (0.27, 0.62),
            (0.46, 0.53),
            (0.5, 0.43),
            (0.5, 0.18),
        ),
    ),
    CarShape(
        4.6,
        1.9,
        1.72,
        (
            (-0.5, 0.22),
            (-0.5, 0.55),
            (-0.49, 0.62),
            (-0.44, 0.95),
            (-0.36, 1.0),
            (0.1, 0.99),
            (0.25, 0.64),
            (0.46, 0.58),
            (0.5, 0.46),
            (0.5, 0.22),
        ),
    ),
    CarShape(
        5.0,
        1.95,
        1.98,
        (
            (-0.5, 0.16),
            (-0.5, 0.5),
            (-0.5, 0.62),
            (-0.49, 0.97),
            (-0.46, 1.0),
            (0.2, 0.99),
            (0.36, 0.62),
            (0.48, 0.5),
            (0.5, 0.4),
            (0.5, 0.16),
        ),
    ),
)

PAINTS = (
    (38, 40, 44),
    (62, 66, 70),
    (146, 150, 152),
    (186, 188, 188),
    (208, 208, 204),
    (28, 36, 66),
    (118, 26, 28),
    (46, 70, 104),
    (96, 88, 76),
    (36, 60, 48),
    (166, 34, 30),
)

WHEEL = (
    (1.18, (14, 14, 15)),
    (1.0, (26, 26, 27)),
    (0.66, (136, 138, 140)),
    (0.5, (70, 72, 74)),
    (0.2, (140, 142, 144)),
)
"""Radius relative to the tire, and color, of the rings of a wheel, from the wheel arch to the hub."""


class Car:
    """A car: an extruded side outline, narrower towards the roof, with glass, lights, wheels and a plate.

    Args:
        canvas: where it is painted.
        rng: source of randomness.
        pose: its position and heading.
    """

    def __init__(self, canvas: Canvas, rng: np.random.Generator, pose: Pose):
        self.canvas, self.pose = canvas, pose
        self.shape = CARS[rng.choice(5, p=[0.32, 0.24, 0.22, 0.14, 0.08])]
        self.paint = vary_color(rng, PAINTS[rng.integers(len(PAINTS))], 6)
        self.glass = vary_color(rng, (40, 46, 50), 6)
        self.lit = rng.random() < (0.9 if canvas.weather.sky == "night" else 0.25)
        if rng.random() < 0.04:
            self.paint = (206, 192, 146)  # a taxi

    def half(self, z: float, y: float) -> float:
        """Return half the width in meters at a point of the outline, (z / length, y / height)."""
        width = self.shape.width / 2 * (1 - 0.16 * max(0.0, abs(z) - 0.4) / 0.1 * 0.6)
        return width * (1 - 0.24 * max(0.0, y - BELT) / (1 - BELT)) * (0.95 if y < 0.3 else 1.0)

    def point(self, side: int, z: float, y: float, out: float = 1.0) -> tuple[float, float, float]:
        """Return (x, y, z) in meters of a point of the outline on a side, -1 or 1; `out` scales x."""
        return side * self.half(z, y) * out, y * self.shape.height, z * self.shape.length

    def face(
        self, points: ArrayLike, color: RGB, normal: tuple[float, float, float], cull: bool = False
    ) -> bool:
        """Paint a polygon of (x, y, z) points, as `Canvas.polygon`."""
        light = self.canvas.weather.light(self.pose.normal(*normal))
        return self.canvas.polygon(self.pose.place(points), color, ID["car"], light, cull)

    def draw(self) -> None:
        """Paint the car and its shadow."""
        shape, profile = self.shape, self.shape.profile
        half_width, half_length = shape.width / 2, shape.length / 2
        base = [(x * half_width, 0, z * half_length) for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        self.canvas.shade(self.pose.place(np.array(base) * (1.06, 1, 1.02)), 0.3)
        strips = []
        for (z0, y0), (z1, y1) in pairwise(profile):
            quad = [
                self.point(-1, z0, y0),
                self.point(-1, z1, y1),
                self.point(1, z1, y1),
                self.point(1, z0, y0),
            ]
            run, rise = (z1 - z0) * shape.length, (y1 - y0) * shape.height
            normal = np.array((0, run, -rise)) / np.hypot(run, rise)
            strips.append(
                (
                    self.canvas.camera.view(self.pose.place(quad))[:, 2].mean(),
                    quad,
                    normal,
                    (y0 + y1) / 2,
                    abs(rise),
                )
            )
        for _, quad, normal, y, rise in sorted(strips, key=lambda strip: -strip[0]):
            glass = BELT + 0.05 < y < 0.97 and rise > 0.2
            # upward faces reflect the sky, low ones the road
            shine = 1 + 0.35 * max(0.0, normal[1]) - 0.3 * (y < 0.35)
            if not self.face(quad, scale_color(self.paint, shine), tuple(normal), cull=True) or not glass:
                continue
            q = np.array(quad)[[0, 1, 2, 3] if quad[0][1] < quad[1][1] else [1, 0, 3, 2]] * (0.9, 1, 1)

            def at(left: float, right: float, q: np.ndarray = q) -> list[np.ndarray]:
                """Return points of the two edges of the pane, at these shares of their length."""
                return [q[0] + left * (q[1] - q[0]), q[3] + right * (q[2] - q[3])]

            self.face([*at(0.06, 0.06), *at(0.92, 0.92)[::-1]], self.glass, tuple(normal))
            self.face([*at(0.45, 0.7), *at(0.92, 0.92)[::-1]], scale_color(self.glass, 1.7), tuple(normal))
        for side in (-1, 1):
            self._side(side)
        for end in (-1, 1):
            self._end(end)

    def _side(self, side: int) -> None:
        profile, shape = self.shape.profile, self.shape
        outline = [(z, min(y, BELT)) for z, y in profile]
        body = [self.point(side, z, y) for z, y in outline]
        if not self.face(body[::side], scale_color(self.paint, 0.92), (side, 0.1, 0), cull=True):
            return
        cabin = [(z, y) for z, y in profile if y >= BELT - 0.005]
        roof = [(cabin[0][0], BELT - 0.03), *cabin, (cabin[-1][0], BELT - 0.03)]
        self.face([self.point(side, z, y) for z, y in roof], scale_color(self.paint, 1.05), (side, 0.35, 0))
        middle = float(np.mean([z for z, _ in cabin])), BELT + 0.17
        glass = [(middle[0] + (z - middle[0]) * 0.86, middle[1] + (y - middle[1]) * 0.74) for z, y in cabin]
        self.face([self.point(side, z, y, 1.01) for z, y in glass], self.glass, (side, 0.35, 0))
        for z in (middle[0] - 0.08, middle[0] + 0.07):
            pillar = [(z, BELT), (z + 0.018, BELT), (z + 0.018, 0.96), (z, 0.96)]
            self.face(
                [self.point(side, *p, 1.01) for p in pillar], scale_color(self.paint, 0.5), (side, 0.35, 0)
            )
        sill = [(-0.49, 0.18), (0.49, 0.18), (0.49, 0.3), (-0.49, 0.3)]
        self.face([self.point(side, *p, 1.005) for p in sill], scale_color(self.paint, 0.55), (side, -0.3, 0))
        gleam = [(-0.48, 0.53), (0.44, 0.5), (0.44, 0.535), (-0.48, 0.57)]
        self.face([self.point(side, *p, 1.005) for p in gleam], scale_color(self.paint, 1.3), (side, 0.5, 0))
        for z in (-0.3, 0.31):
            radius = 0.32 if shape.height < 1.6 else 0.36
            for r, color in WHEEL:
                angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
                x = side * shape.width / 2 * 0.96
                ring = [(np.cos(a), np.sin(a)) for a in angles if r < 1.1 or np.sin(a) > -0.8]
                self.face(
                    [(x, radius + r * radius * b, z * shape.length + r * radius * a) for a, b in ring],
                    color,
                    (side, 0, 0),
                )

    def _end(self, end: int) -> None:
        shape, z = self.shape, end * self.shape.length * 0.502
        half, height = self.half(0.5, 0.4), shape.height

        def corners(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float, float]]:
            return [(x * half, y * height, z) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]

        def box(x0: float, y0: float, x1: float, y1: float, color: RGB) -> None:
            self.face(corners(x0, y0, x1, y1), color, (0, 0.4, end))

        def lamp(x0: float, y0: float, x1: float, y1: float, on: RGB, off: RGB) -> None:
            box(x0, y0, x1, y1, off)
            if self.lit:  # not dimmed at night
                self.canvas.polygon(self.pose.place(corners(x0, y0, x1, y1)), on, ID["car"], np.ones(3))

        if not self.face(corners(-end, 0.2, end, 0.42), self.paint, (0, 0, end), cull=True):
            return
        box(-0.98, 0.18, 0.98, 0.27, (34, 35, 36))
        for side in (-1, 1):  # tires below the bumper
            x0, x1 = (-0.92, -0.7) if side < 0 else (0.7, 0.92)
            box(x0, 0.0, x1, 0.18, (22, 22, 23))
        box(-0.75, 0.1, 0.75, 0.19, (16, 16, 17))
        if end < 0:
            for x0, x1 in ((-0.98, -0.66), (0.66, 0.98)):
                lamp(x0, 0.42, x1, 0.54, (226, 40, 34), (132, 20, 22))
                box(x0 * 0.5 + x1 * 0.5, 0.43, x1 if x1 > 0 else x0, 0.47, (190, 130, 110))
            box(-0.3, 0.36, 0.3, 0.44, (214, 214, 208))
            box(-0.25, 0.38, 0.25, 0.42, (120, 120, 120))
        else:
            box(-0.55, 0.3, 0.55, 0.42, (24, 25, 26))
            for x0, x1 in ((-0.96, -0.58), (0.58, 0.96)):
                lamp(x0, 0.38, x1, 0.47, (255, 252, 236), (176, 180, 180))
            box(-0.3, 0.24, 0.3, 0.31, (214, 214, 208))
            box(-0.25, 0.26, 0.25, 0.29, (120, 120, 120))


def _wheels(sprite: Sprite, centers: tuple[float, ...], radius: float, cls: int) -> None:
    for x in centers:
        sprite.disc(x, radius, radius, radius, (22, 22, 23), cls)
        sprite.disc(x, radius, radius * 0.58, radius * 0.58, (112, 114, 114))
        sprite.disc(x, radius, radius * 0.3, radius * 0.3, (60, 60, 60))


class _BigVehicle(NamedTuple):
    """What the views of a bus, truck or tram share."""

    kind: str
    length: float
    width: float
    height: float
    paint: RGB
    glass: RGB


_BIG_SIZES = {"bus": (11.5, 2.5, 3.05), "truck": (8.2, 2.45, 3.35), "train": (24.0, 2.4, 3.5)}
"""Length, width and height in meters."""

_BIG_PAINTS = {
    "bus": ((190, 186, 176), (196, 160, 40), (150, 30, 32), (40, 84, 136), (210, 210, 206)),
    "truck": ((200, 200, 196), (44, 84, 140), (180, 50, 36), (206, 150, 44), (84, 110, 84)),
    "train": ((200, 176, 44), (186, 40, 36), (206, 206, 200), (52, 104, 92)),
}


def _big_vehicle_sprites(rng: np.random.Generator, kind: str) -> tuple[Sprite, Sprite, Sprite]:
    """Return the side (its front to the right), the front and the rear of a bus, truck or tram."""
    paints = _BIG_PAINTS[kind]
    paint, glass = vary_color(rng, paints[rng.integers(len(paints))], 8), vary_color(rng, (44, 52, 58), 5)
    vehicle = _BigVehicle(kind, *_BIG_SIZES[kind], paint, glass)
    side, half = Sprite(vehicle.length, vehicle.height, 40), vehicle.length / 2
    side.rect(-half, 0.32, half, vehicle.height, paint, ID[kind])
    side.rect(-half, vehicle.height - 0.18, half, vehicle.height, scale_color(paint, 1.15))
    cab = paint
    if kind == "truck":
        cab = _draw_truck_side(side, rng, vehicle)
    else:
        _draw_bus_side(side, rng, vehicle)
    side.grain(rng, 0.06, 2)
    return side, _end_sprite(rng, vehicle, cab, front=True), _end_sprite(rng, vehicle, paint, front=False)


def _draw_truck_side(side: Sprite, rng: np.random.Generator, truck: _BigVehicle) -> RGB:
    """Draw the side of a truck on its painted rectangle; returns the color of the cab."""
    cls, half, height, paints = ID[truck.kind], truck.length / 2, truck.height, _BIG_PAINTS[truck.kind]
    side.rect(half - 2.2, 0.3, half - 2.05, height, (18, 18, 19), cls)
    cab = vary_color(rng, paints[rng.integers(len(paints))], 8)
    side.rect(half - 2.05, 0.4, half, height - 0.5, cab, cls)
    side.rect(half - 2.05, height - 0.5, half, height, None, CLEAR)
    window = [(half - 1.6, 1.6), (half - 0.15, 1.6), (half - 0.35, 2.5), (half - 1.6, 2.5)]
    side.polygon(window, truck.glass)
    side.rect(-half, 0.32, half - 2.1, 0.95, (42, 43, 44))
    for x in np.arange(-half, half - 2.3, 0.8):
        side.rect(x, 0.95, x + 0.05, height, scale_color(truck.paint, 0.85))
    side.rect(-half * 0.7, 1.7, half * 0.2, 2.6, scale_color(tuple(rng.uniform(60, 200, 3)), 0.9))
    _wheels(side, (-half + 1.3, -half + 2.5, half - 1.1), 0.5, cls)
    return cab


def _draw_bus_side(side: Sprite, rng: np.random.Generator, bus: _BigVehicle) -> None:
    """Draw the side of a bus or tram on its painted rectangle."""
    cls, length, half, height = ID[bus.kind], bus.length, bus.length / 2, bus.height
    side.rect(-half, 1.25, half, height - 0.55, scale_color(bus.paint, 0.45))
    bays = round(length / 1.5)
    for i in range(bays):
        x = -half + (i + 0.5) * length / bays
        door = i % 4 == 3
        side.rect(x - 0.68, 0.45 if door else 1.3, x + 0.68, height - 0.62, vary_color(rng, bus.glass, 8))
        shine = vary_color(rng, (84, 94, 100), 8)
        side.polygon([(x - 0.68, height - 0.62), (x + 0.3, height - 0.62), (x - 0.68, 1.7)], shine)
        if door:
            side.rect(x - 0.04, 0.45, x + 0.04, height - 0.62, bus.paint)
    side.rect(-half, 0.32, half, 0.5, (40, 41, 42))
    stripe = tuple(rng.uniform(40, 210, 3))
    side.rect(-half, 0.98, half, 1.12, stripe)
    if bus.kind == "bus":
        _wheels(side, (-half + 3.0, half - 2.6), 0.48, cls)
        return
    side.rect(-half, 0.05, half, 0.4, (32, 32, 33), cls)
    for x in (-8.0, 0.0, 8.0):
        side.rect(x - 0.25, 0.3, x + 0.25, height, (38, 38, 39))


def _end_sprite(rng: np.random.Generator, vehicle: _BigVehicle, color: RGB, front: bool) -> Sprite:
    """Return the front or the rear of a bus, truck or tram."""
    cls, height, glass, truck = ID[vehicle.kind], vehicle.height, vehicle.glass, vehicle.kind == "truck"
    end, half = Sprite(vehicle.width, height, 70), vehicle.width / 2
    for x in (-half + 0.3, half - 0.3):
        end.rect(x - 0.18, 0, x + 0.18, 0.5, (20, 20, 21), cls)
    end.rect(-half, 0.3, half, height - (0.5 if truck and front else 0), color, cls)
    end.rect(-half, 0.3, half, 0.55, (44, 45, 46))
    if truck and not front:
        end.rect(-0.03, 0.95, 0.03, height, scale_color(color, 0.6))
        end.rect(-half, 0.55, half, 0.95, (52, 53, 54))
    else:
        low = 1.25 if front else 1.7
        end.rect(-half + 0.12, low, half - 0.12, height - (0.75 if truck else 0.55), glass)
        shine = [(-half + 0.12, height - 0.75), (0, height - 0.75), (-half + 0.12, low)]
        end.polygon(shine, scale_color(glass, 1.7))
        if not truck:
            end.rect(-0.8, height - 0.48, 0.8, height - 0.16, (22, 22, 22))
            for x in np.arange(-0.6, 0.5, 0.2):
                end.rect(x, height - 0.4, x + 0.12, height - 0.24, (240, 170, 50))
    lamp = ((240, 240, 226) if rng.random() < 0.5 else (170, 172, 170)) if front else (150, 24, 24)
    for x in (-half + 0.28, half - 0.28):
        end.rect(x - 0.17, 0.62, x + 0.17, 0.84, lamp)
    end.rect(-0.27, 0.36, 0.27, 0.5, (212, 212, 206))
    end.texture(np.linspace(1.12, 0.84, end.image.height)[:, None] + np.zeros((1, end.image.width)))
    return end


def paint_big_vehicle(canvas: Canvas, rng: np.random.Generator, kind: str, pose: Pose) -> None:
    """Paint a bus, truck or tram and its shadow.

    Args:
        canvas: where it is painted.
        rng: source of randomness.
        kind: ``bus``, ``truck`` or ``train``.
        pose: its position and heading.
    """
    side, front, rear = _big_vehicle_sprites(rng, kind)
    half_width, half_length = front.width / 2, side.width / 2
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    base = pose.place([(x * half_width, 0, z * half_length) for x, z in corners])
    canvas.shade((base - (pose.t, 0, pose.s)) * (1.1, 1, 1.03) + (pose.t, 0, pose.s), 0.22)
    eye = canvas.camera.t - pose.t - canvas.camera.curve * pose.s**2, -pose.s
    cos, sin = np.cos(pose.heading), np.sin(pose.heading)
    x, z = eye[0] * cos - eye[1] * sin, eye[0] * sin + eye[1] * cos

    def panel(sprite: Sprite, a: Point, b: Point, normal: Point) -> None:
        (ta, _, sa), (tb, _, sb) = pose.place([(a[0], 0, a[1]), (b[0], 0, b[1])]).tolist()
        canvas.draw_panel(
            sprite, (ta, sa), (tb, sb), 0, canvas.weather.light(pose.normal(normal[0], 0, normal[1]))
        )

    if abs(x) > half_width:
        edge = half_width if x > 0 else -half_width
        panel(side, (edge, -half_length), (edge, half_length), (np.sign(x), 0))
    if abs(z) > half_length:
        edge = half_length if z > 0 else -half_length
        panel(front if z > 0 else rear, (-half_width, edge), (half_width, edge), (0, np.sign(z)))
