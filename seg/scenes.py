"""Rendered street scenes with exact labels: samples, test data, and a data set for a machine without one.

A scene is a street in coordinates (t, y, s): metres to the right of the driving lane's middle, above the road, and along the
street. A pinhole camera projects it, far things are painted first, everything at twice the size asked for; the photo is then
averaged down and the label takes the majority, so no label pixel is ever a blend.
"""

import io
import os
import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from copy import copy, deepcopy
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageFilter

from seg.crew import helpers
from seg.labels import IGNORE, NAMES, PALETTE, TRAIN_ID, colorize

ID = TRAIN_ID
CLEAR = -1
"""A sprite's class where it shows nothing."""
TO_ID, SHOWN = [0, *range(255)], [0] + [255] * 255  # of a sprite's label: the class, and whether there is one
SUPER = 2
NEAR = 0.4
FAR = 150.0
BELT = 0.62  # where a car's windows begin, of its height

RGB = tuple[float, float, float]
Point = tuple[float, float]


class Scene(NamedTuple):
    """A rendered street."""

    photo: np.ndarray
    """HxWx3 uint8 RGB."""
    label: np.ndarray
    """HxW uint8 train ids, 255 = ignored."""


Sky = Literal["clear", "clouds", "white", "evening", "night"]
Sides = Literal["facades", "gardens", "park"]


@dataclass(frozen=True)
class Wishes:
    """What scenes shall be like, whatever their seeds say; what is None is left to the seed. Raises ValueError for odd ones."""

    sky: Sky | None = None
    """The sky: clear, clouds, white, evening or night."""
    fog: float | None = None
    """How thick the air is per metre, 0 to 0.1: 0.003 is a usual day, 0.02 fog."""
    wet: bool | None = None
    """Whether the road mirrors."""
    traffic: float | None = None
    """The share of the places on the lanes that vehicles take, 0 to 1: 0.84 as seeds have it; 0 means no tram either."""
    parked: float | None = None
    """Parking lanes on both sides, and the share of their places that is taken, 0 to 1."""
    people: float | None = None
    """How many people or pairs of people are on each pavement on average, 0 to 30: 4.5 as seeds have it."""
    sides: Sides | None = None
    """What is behind both pavements: facades, gardens or a park."""
    camera: float | None = None
    """How high the camera is above the road in metres, 0.5 to 6: seeds have it at 1.15 to 1.5, a car's."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"--{name} must be between {low} and {high}, not {value}.")

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))


LIMITS = {"fog": (0, 0.1), "traffic": (0, 1), "parked": (0, 1), "people": (0, 30), "camera": (0.5, 6)}
"""Least and most of the wishes that are numbers."""


# ---------------------------------------------------------------------------------------------------------------- noise


@lru_cache(maxsize=2)
def _noise_tile(fade: float) -> np.ndarray:
    """512x512 float32 fractal noise in about -1..1 that tiles; the smaller `fade`, the finer.

    It is the same for every scene; they look at it from random corners.
    """
    rng = np.random.default_rng(1)
    total = np.zeros((512, 512), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256):
        coarse = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 1, mode="wrap")
        step = 512 // cells
        big = Image.fromarray(coarse).resize((512 + 2 * step, 512 + 2 * step), Image.Resampling.BICUBIC)
        total += np.asarray(big)[step:-step, step:-step] * cells**-fade
    return total / (2.2 * total.std())


def _noise(rng: np.random.Generator, height: int, width: int, zoom: float = 1.0, fade: float = 0.55) -> np.ndarray:
    """height x width fractal noise; `zoom` pixels per pixel of the tile."""
    rows = (np.arange(height) / zoom + rng.integers(512)).astype(np.int32) & 511
    columns = (np.arange(width) / zoom + rng.integers(512)).astype(np.int32) & 511
    return _noise_tile(fade)[rows[:, None], columns]


def _vary(rng: np.random.Generator, color: RGB, amount: float = 12) -> RGB:
    """The colour, a little lighter or darker and a little off."""
    return tuple(np.clip(np.add(color, rng.normal(0, amount) + rng.normal(0, amount / 4, 3)), 0, 255).tolist())


def _times(color: RGB, factor: float) -> RGB:
    return color[0] * factor, color[1] * factor, color[2] * factor


def _ints(color: RGB | np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(min(max(c, 0), 255)) for c in color)
    return red, green, blue


# -------------------------------------------------------------------------------------------------- camera, light, canvas


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over a level street; the horizon is moved by shifting the picture, so what is upright stays upright."""

    focal: float
    center: float
    horizon: float
    height: float
    t: float
    yaw: float
    curve: float  # the street's middle lies at curve * s^2

    def view(self, points: np.ndarray) -> np.ndarray:
        """Nx3 (t, y, s) -> Nx3 (right, down, depth) seen from the camera."""
        t, y, s = np.asarray(points, np.float64).T
        x = t + self.curve * s * s - self.t
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.stack([x * cos - s * sin, self.height - y, x * sin + s * cos], 1)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nx3 (t, y, s) -> Nx2 pixels and N depths."""
        x, y, z = self.view(points).T
        scale = self.focal / np.where(np.abs(z) < 1e-6, 1e-6, z)
        return np.stack([self.center + x * scale, self.horizon + y * scale], 1), z

    def ground(self, first_row: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """t, s (rows x width) and depth (rows x 1) of the road seen at the pixels from first_row down."""
        v = np.arange(first_row, height, dtype=np.float32)[:, None] + 0.5
        u = np.arange(width, dtype=np.float32) + 0.5
        z = self.focal * self.height / (v - self.horizon)
        x = (u - self.center) * (z / self.focal)
        cos, sin = np.float32(np.cos(self.yaw)), np.float32(np.sin(self.yaw))
        s = z * cos - x * sin
        return x * cos + z * sin + np.float32(self.t) - np.float32(self.curve) * s * s, s, z


@dataclass(frozen=True)
class Weather:
    """Sky and light of a scene."""

    sky: Sky
    sun: np.ndarray  # unit vector towards it in (t, y, s)
    ambient: np.ndarray  # RGB factors
    direct: np.ndarray
    haze: np.ndarray  # RGB of infinitely thick air
    density: float  # per metre
    wet: bool

    def light(self, normal: tuple[float, float, float] = (0, 1, 0)) -> np.ndarray:
        """RGB factors by which a face of this normal shows its colour."""
        return self.ambient * (0.9 + 0.1 * normal[1]) + self.direct * max(0.0, float(np.dot(normal, self.sun)))


class Sprite:
    """An upright picture with a label, drawn in metres: x to the right from its middle, y up from its lower edge."""

    def __init__(self, width: float, height: float, scale: float, fill: RGB | None = None, cls: int = CLEAR):
        self.width, self.height, self.scale = width, height, scale
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.image = Image.new("RGBA", size, (*_ints(fill), 255) if fill else (90, 90, 90, 0))
        self.label = Image.new("L", size, cls + 1)  # 0 = clear
        self._draw, self._mark = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)

    def _pixels(self, points: list[Point]) -> list[Point]:
        return [((x + self.width / 2) * self.scale, (self.height - y) * self.scale) for x, y in points]

    def polygon(self, points: list[Point], color: RGB | None, cls: int | None = None) -> None:
        """A filled polygon; without a colour only its label, without a class only its colour."""
        pixels = self._pixels(points)
        if color is not None:
            self._draw.polygon(pixels, fill=(*_ints(color), 255))
        if cls is not None:
            self._mark.polygon(pixels, fill=cls + 1)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: RGB | None, cls: int | None = None) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, cls)

    def disc(self, x: float, y: float, rx: float, ry: float, color: RGB | None, cls: int | None = None) -> None:
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.polygon([(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles], color, cls)

    def limb(self, points: list[Point], thick: float, color: RGB, cls: int | None = None) -> None:
        """A line with round joints."""
        pixels, width = self._pixels(points), max(1, round(thick * self.scale))
        self._draw.line(pixels, (*_ints(color), 255), width, joint="curve")
        if cls is not None:
            self._mark.line(pixels, cls + 1, width, joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, thick / 2, thick / 2, color, cls)

    def texture(self, field: np.ndarray) -> None:
        """Multiply the colours by HxW or HxWx3 factors."""
        pixels = np.array(self.image)
        factors = np.minimum(np.asarray(field, np.float32) * 256, 1024).astype(np.uint32)
        lit = pixels[..., :3] * (factors[..., None] if field.ndim == 2 else factors) >> 8
        pixels[..., :3] = np.minimum(lit, 255)
        self.image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self.image)

    def grain(self, rng: np.random.Generator, amount: float, zoom: float = 1.0) -> None:
        self.texture(1 + amount * _noise(rng, self.image.height, self.image.width, zoom))


class Canvas:
    """The photo and the label being painted, at SUPER times the output size."""

    def __init__(self, width: int, height: int, camera: Camera, weather: Weather):
        self.width, self.height, self.camera, self.weather = width, height, camera, weather
        self.photo = Image.new("RGB", (width, height))
        self.label = Image.new("L", (width, height), ID["sky"])
        self._draw, self._mark = ImageDraw.Draw(self.photo), ImageDraw.Draw(self.label)

    def _hazy(self, depth: float) -> float:
        return 1 - float(np.exp(-self.weather.density * max(depth, 0)))

    def polygon(self, points, color: RGB, cls: int | None, light: np.ndarray, cull: bool = False) -> bool:
        """Paint a polygon of (t, y, s) points; False if it is behind the camera or, with `cull`, seen from its back."""
        pixels, depth = self.camera.project(points)
        if depth.min() < NEAR:
            return False
        if cull:
            x, y = pixels.T
            if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) <= 0:
                return False
        hazy = self._hazy(depth.mean())
        corners = [tuple(p) for p in pixels.tolist()]
        self._draw.polygon(corners, fill=_ints(np.asarray(color) * light * (1 - hazy) + self.weather.haze * hazy))
        if cls is not None:
            self._mark.polygon(corners, fill=cls)
        return True

    def shade(self, points, factor: float) -> None:
        """Darken the photo inside a polygon on the ground, softly; labels stay."""
        pixels, depth = self.camera.project(points)
        if depth.min() < NEAR:
            return
        soft = max(1.0, 0.1 * self.camera.focal / depth.mean())
        low, high = pixels.min(0) - 3 * soft, pixels.max(0) + 3 * soft
        x0, y0 = (int(max(0, c)) for c in low)
        x1, y1 = int(min(self.width, high[0])), int(min(self.height, high[1]))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0))
        ImageDraw.Draw(mask).polygon([tuple(p) for p in (pixels - (x0, y0)).tolist()], fill=round(255 * (1 - factor)))
        mask = mask.filter(ImageFilter.BoxBlur(float(min(soft, 12))))
        self.photo.paste((8, 9, 11), (x0, y0), mask)

    def panel(self, sprite: Sprite, a: Point, b: Point, bottom: float, light: np.ndarray) -> None:
        """Stand the sprite on the line from a to b (each (t, s)), its lower edge at height `bottom`."""
        (xa, _, za), (xb, _, zb) = self.camera.view(np.array([(a[0], 0, a[1]), (b[0], 0, b[1])]))
        if max(za, zb) < NEAR:
            return
        dx, dz, focal = xb - xa, zb - za, self.camera.focal
        across = dz * xa - za * dx  # 0 when the camera looks along the plane
        if abs(across) < 1e-3:
            return
        ends = [min(max((NEAR - za) / dz, 0.0), 1.0) if z < NEAR else p for p, z in ((0.0, za), (1.0, zb))]
        depths = np.array([za + p * dz for p in ends])
        columns = self.camera.center + focal * (xa + np.array(ends) * dx) / depths
        top = bottom + sprite.height
        rows = self.camera.horizon + focal * (self.camera.height - np.array([bottom, top])[:, None]) / depths
        x0, x1 = int(max(0, np.floor(columns.min()))), int(min(self.width, np.ceil(columns.max())))
        y0, y1 = int(max(0, np.floor(rows.min()))), int(min(self.height, np.ceil(rows.max())))
        if x1 <= x0 or y1 <= y0:
            return
        image, label = sprite.image, sprite.label
        # A sprite shown smaller than drawn is averaged first, or its details would flicker.
        shown = abs(columns[1] - columns[0]) / max(abs(ends[1] - ends[0]), 1e-3), np.ptp(rows, axis=0).max()
        shrink = int(max(1, image.width / max(shown[0], 1))), int(max(1, image.height / max(shown[1], 1)))
        hazy = self._hazy(depths.mean() if depths.min() > 5 else depths.min() + 5)
        table = [np.clip(np.arange(256) * light[c] * (1 - hazy) + self.weather.haze[c] * hazy, 0, 255) for c in range(3)]
        small = image.reduce(shrink) if max(shrink) > 1 else image
        small = small.point(np.concatenate([*table, np.arange(256)]).astype(np.uint8).tolist())

        def coefficients(width: float, height: float) -> np.ndarray:
            u, v = x0 - self.camera.center, y0 - self.camera.horizon
            under = u * dz - focal * dx
            up = height / sprite.height
            lift = top - self.camera.height
            column = -width * za, 0, width * (focal * xa - u * za)
            row = up * lift * dz, up * across, up * (lift * under + v * across)
            return np.array((*column, *row, dz, 0)) / under

        size = x1 - x0, y1 - y0
        warp, smooth, near = Image.Transform.PERSPECTIVE, Image.Resampling.BILINEAR, Image.Resampling.NEAREST
        exact = image.width / shrink[0], image.height / shrink[1]
        painted = small.transform(size, warp, coefficients(*exact).tolist(), smooth)
        self.photo.paste(painted, (x0, y0), painted)
        ids = label.transform(size, warp, coefficients(*label.size).tolist(), near)
        self.label.paste(ids.point(TO_ID), (x0, y0), ids.point(SHOWN))

    def stand(self, sprite: Sprite, t: float, s: float, light: np.ndarray, bottom: float = 0.0, turn: float = 0.0) -> None:
        """Stand the sprite at (t, s), facing back down the street, or turned by some radians."""
        half, slope = sprite.width / 2, 2 * self.camera.curve * s
        cos, sin = np.cos(turn), np.sin(turn)
        # The street's own curve skews (t, s); undo it so that an upright picture at turn 0 faces the camera.
        a, b = (t - half * cos, s - half * sin), (t + half * cos, s + half * sin)
        self.panel(sprite, (a[0] + slope * half * sin, a[1]), (b[0] - slope * half * sin, b[1]), bottom, light)


# --------------------------------------------------------------------------------------------------------- the street's plan


@dataclass(frozen=True)
class Street:
    """Where things run along the street; every number a t in metres unless said otherwise."""

    kerbs: Point  # of the road, left and right
    fronts: Point  # where buildings or gardens begin
    parking: tuple[float, float]  # width of the parking lane on each side, 0 for none
    verges: tuple[float, float]  # width of grass next to the kerb on each side
    kinds: tuple[str, str]  # facades, gardens or park
    junction: Point  # the s between which a side street crosses
    lanes: tuple[float, ...]  # dashed lines
    middle: float  # line between the directions
    rails: float | None  # middle of a tram track
    zebra: float | None  # s of a crossing
    cobbles: bool

    def open(self, s0: float, s1: float) -> bool:
        """Whether nothing of the side street lies between s0 and s1."""
        return s1 <= self.junction[0] or s0 >= self.junction[1]


def _plan(rng: np.random.Generator, wishes: Wishes) -> Street:
    kinds = tuple(rng.choice(["facades", "gardens", "park"], 2, p=[0.66, 0.19, 0.15]).tolist())
    kinds = (wishes.sides,) * 2 if wishes.sides else kinds
    parking = [2.3 if rng.random() < 0.45 or wishes.parked is not None else 0.0 for _ in range(2)]
    oncoming = 1 + int(rng.random() < 0.3)
    extra = int(rng.random() < 0.3)
    middle = -1.8 if rng.random() < 0.8 else -1.8 - 3.5 * extra
    rails = middle - 1.9 if rng.random() < 0.33 else None
    left = -1.8 - 3.5 * oncoming - parking[0]
    right = 1.9 + 3.4 * extra + parking[1]
    verges = [float(rng.uniform(1.2, 3.5)) if rng.random() < 0.38 else 0.0 for _ in range(2)]
    walks = rng.uniform(2.4, 6.5, 2)
    junction = float(rng.uniform(16, 60)) if rng.random() < 0.55 else 1e6
    zebra = float(rng.uniform(9, 30)) if rng.random() < 0.3 else None
    if junction < 1e5 and rng.random() < 0.7:
        zebra = junction - 4.5
    lanes = [middle - 3.5] * (oncoming == 2) + [1.8] * extra
    return Street(
        kerbs=(left, right),
        fronts=(left - verges[0] - walks[0], right + verges[1] + walks[1]),
        parking=(parking[0], parking[1]),
        verges=(verges[0], verges[1]),
        kinds=kinds,
        junction=(junction, junction + float(rng.uniform(8, 13))),
        lanes=tuple(lanes),
        middle=middle,
        rails=rails,
        zebra=zebra,
        cobbles=bool(rng.random() < 0.08),
    )


def _weather(rng: np.random.Generator, wishes: Wishes) -> Weather:
    skies: tuple[Sky, ...] = ("clear", "clouds", "white", "evening", "night")
    sky = skies[rng.choice(5, p=[0.25, 0.27, 0.36, 0.08, 0.04])]
    sky = wishes.sky or sky
    side, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
    if sky == "evening":
        height = 0.22
    sun = np.array([np.cos(side) * np.cos(height), np.sin(height), np.sin(side) * np.cos(height)])
    ambient, direct = {
        "clear": ((0.46, 0.50, 0.56), (0.80, 0.75, 0.64)),
        "clouds": ((0.58, 0.61, 0.63), (0.46, 0.44, 0.40)),
        "white": ((0.80, 0.82, 0.82), (0.06, 0.06, 0.06)),
        "evening": ((0.46, 0.44, 0.50), (0.60, 0.42, 0.26)),
        "night": ((0.27, 0.29, 0.35), (0.02, 0.02, 0.02)),
    }[sky]
    haze = {
        "clear": (186, 202, 216),
        "clouds": (200, 207, 210),
        "white": (226, 229, 228),
        "evening": (205, 170, 150),
        "night": (44, 46, 56),
    }[sky]
    foggy = rng.random() < 0.08
    density = float(rng.uniform(0.014, 0.025) if foggy else rng.uniform(0.0015, 0.0045))
    wet = bool(rng.random() < 0.12)
    return Weather(
        sky,
        sun,
        np.array(ambient),
        np.array(direct),
        np.array(haze, float),
        density if wishes.fog is None else wishes.fog,
        wet if wishes.wet is None else wishes.wet,
    )


# ------------------------------------------------------------------------------------------------------------ sky and ground


def _paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    weather, rows = canvas.weather, max(2, int(canvas.camera.horizon) + 2)
    small = rows // 4 + 2, canvas.width // 4 + 2
    down = np.linspace(0, 1, small[0], dtype=np.float32)[:, None, None]
    high = {
        "clear": (92, 142, 208),
        "clouds": (122, 158, 200),
        "white": (246, 248, 247),
        "evening": (104, 116, 160),
        "night": (20, 24, 40),
    }
    sky = np.array(high[weather.sky]) * (1 - down) + weather.haze * down * 1.04 + np.zeros((*small, 3))
    if weather.sky != "night":
        cover = {"clear": -0.6, "clouds": 0.15, "white": 0.9, "evening": -0.2}[weather.sky] + rng.uniform(-0.3, 0.3)
        # Clouds are flat: seen towards the horizon they get thin.
        cloud = _noise(rng, small[0] * 3, small[1], 1.6)[::3][: small[0]]
        amount = np.clip(cloud * 1.6 + cover, 0, 1)[..., None] * (0.85 if weather.sky != "evening" else 0.5)
        tone = np.clip(238 + 22 * _noise(rng, *small, 2.5), 0, 255)[..., None] * np.array((1, 1, 1.01))
        sky = sky * (1 - amount) + tone * amount
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)).resize((canvas.width, rows), Image.Resampling.BILINEAR)
    canvas.photo.paste(image, (0, 0))


class _Patch:
    """Some pixels of the ground: where they lie (t, s), how far away (z), and noise that sticks to the ground."""

    def __init__(self, t: np.ndarray, s: np.ndarray, z: np.ndarray):
        self.t, self.s, self.near = t, s, np.clip(16 / z, 0, 1)

    def noise(self, per_metre: float, stretch: float = 1.0, fade: float = 0.55) -> np.ndarray:
        rows = (self.s * np.float32(per_metre * stretch)).astype(np.int32)
        columns = (self.t * np.float32(per_metre)).astype(np.int32)
        return _noise_tile(fade)[rows & 511, columns & 511]


def _asphalt(patch: _Patch, street: Street, rng: np.random.Generator) -> np.ndarray:
    """The road's colour, Nx3: wheel tracks, mended places, cracks, markings and rails."""
    t, s, near = patch.t, patch.s, patch.near
    fine, coarse, mended = patch.noise(60, 1, 0.1), patch.noise(5, 0.3), patch.noise(2.0, 0.5)
    value = 1 + 0.16 * near * fine + 0.06 * coarse
    value -= 0.05 * np.cos((t - 0.2) * np.float32(2 * np.pi / 1.75)) * near
    value -= 0.06 * (mended > rng.uniform(0.45, 0.7))
    cracks = (np.abs(patch.noise(9, 0.6) - 0.2) < 0.02) & (mended > 0.1)
    value -= 0.16 * cracks * near
    if street.cobbles:
        stagger = np.floor(s / 0.16) % 2 * 0.08
        value *= 1 - 0.3 * near * ((np.mod(t + stagger, 0.16) < 0.025) | (np.mod(s, 0.16) < 0.025))
    color = value[:, None] * np.array(_vary(rng, (108, 110, 108), 12), np.float32)
    paint, left, right = np.zeros(t.shape, bool), *street.kerbs
    dash, along = np.mod(s + rng.uniform(0, 9), 9) < 4, (s < street.junction[0]) | (s > street.junction[1])
    if not street.cobbles:
        if street.rails is None:
            paint |= (np.abs(t - street.middle) < 0.07) & (dash | (rng.random() < 0.35))
        for lane in street.lanes:
            paint |= (np.abs(t - lane) < 0.07) & dash
        for edge, width, sign in ((left, street.parking[0], 1), (right, street.parking[1], -1)):
            if rng.random() < 0.6:
                paint |= np.abs(t - edge - sign * (width or 0.3)) < 0.06
        paint &= along
        if street.zebra is not None:
            inside = (t > left + 0.2) & (t < right - 0.2)
            paint |= (np.abs(s - street.zebra) < 1.6) & (np.mod(t, 1.0) < 0.5) & inside
            paint |= (np.abs(s - street.zebra + 2.8) < 0.22) & (t > street.middle) & inside
    worn = np.clip(0.85 + 0.5 * coarse - 0.3 * (fine > 0.4), 0.1, 1)[paint][:, None]
    color[paint] = color[paint] * (1 - worn) + np.array((200, 201, 195), np.float32) * worn
    if street.rails is not None:
        for rail in (-0.72, 0.72):
            gauge = np.abs(t - street.rails - rail)
            color[gauge < 0.13] *= 0.72
            color[gauge < 0.05] = (128, 130, 132)
    color[((t - left < 0.25) | (right - t < 0.25)) & along] *= 0.82  # the gutter
    return color


def _paving(patch: _Patch, street: Street, rng: np.random.Generator) -> np.ndarray:
    """The pavement's colour, Nx3: slabs of varied grey between a pale kerb and the buildings."""
    t, s, slab = patch.t, patch.s, np.float32(rng.choice([0.3, 0.4, 0.5, 0.75]))
    column, row = np.floor(t / slab).astype(np.int32), np.floor(s / slab).astype(np.int32)
    joints = (np.mod(t, slab) < 0.02) | (np.mod(s + slab / 2 * (column % 2), slab) < 0.025)
    fine = patch.noise(60, 1, 0.1)
    value = 1 + 0.13 * patch.near * fine + 0.09 * patch.noise(5, 0.5)
    value += patch.near * (0.07 * _noise_tile(0.55)[(row * 37) & 511, (column * 91) & 511] - 0.26 * joints)
    color = value[:, None] * np.array(_vary(rng, (136, 132, 126), 14), np.float32)
    away = np.maximum(street.kerbs[0] - t, t - street.kerbs[1])
    edge = (away > 0) & (away < 0.28)
    color[edge] = (1 + 0.15 * fine[edge])[:, None] * np.array((156, 154, 148), np.float32)
    color[(away > 0) & (away < 0.09)] *= 0.62  # the kerb's face
    return color


def _lawn(patch: _Patch, rng: np.random.Generator) -> np.ndarray:
    """Grass and dry earth, Nx3."""
    dry = np.clip(0.4 + 0.8 * patch.noise(6, 0.35), 0, 1)[:, None]
    green, earth = np.array(_vary(rng, (90, 106, 56), 10), np.float32), np.array((124, 110, 78), np.float32)
    value = 1 + 0.4 * patch.near * patch.noise(90, 0.5, 0.1) + 0.2 * patch.noise(12, 0.4)
    return value[:, None] * (green + (earth - green) * 0.45 * dry)


def _paint_ground(canvas: Canvas, street: Street, shadow: np.ndarray, rng: np.random.Generator) -> None:
    """Everything level, pixel by pixel.

    `shadow`: for each metre of s, from which t to which t the buildings' shadow reaches (Nx2).
    """
    camera, weather = canvas.camera, canvas.weather
    first = max(0, int(np.ceil(camera.horizon + camera.focal * camera.height / 400)))
    t, s, z = camera.ground(first, canvas.height, canvas.width)
    ids = np.full(t.shape, ID["sidewalk"], np.uint8)
    away = np.maximum(street.kerbs[0] - t, t - street.kerbs[1])
    for kerb, front, verge, kind, sign in zip(street.kerbs, street.fronts, street.verges, street.kinds, (-1, 1), strict=True):
        out = (t - kerb) * sign
        ids[(out > 0.3) & (out < verge)] = ID["terrain"]
        if kind != "facades":
            ids[out > (front - kerb) * sign] = ID["terrain"]
    ids[(away <= 0) | ((s >= street.junction[0]) & (s <= street.junction[1]))] = ID["road"]
    color, depth = np.empty((*t.shape, 3), np.float32), np.broadcast_to(z, t.shape)
    for name, paint in (
        ("road", lambda p: _asphalt(p, street, rng)),
        ("sidewalk", lambda p: _paving(p, street, rng)),
        ("terrain", lambda p: _lawn(p, rng)),
    ):
        mask = ids == ID[name]
        color[mask] = paint(_Patch(t[mask], s[mask], depth[mask]))
    metre = np.clip(s, 0, len(shadow) - 1).astype(np.int32)
    dark = (t > shadow[metre, 0]) & (t < shadow[metre, 1])
    color *= weather.light().astype(np.float32)
    color[dark] *= (weather.ambient * 0.95 / weather.light()).astype(np.float32)
    hazy = (1 - np.exp(-weather.density * z)).astype(np.float32)[..., None]
    color = color * (1 - hazy) + weather.haze.astype(np.float32) * hazy
    canvas.photo.paste(Image.fromarray(np.clip(color, 0, 255).astype(np.uint8)), (0, first))
    canvas.label.paste(Image.fromarray(ids), (0, first))


# ------------------------------------------------------------------------------------------------------------------ buildings

# fmt: off
PLASTER = ((186, 172, 140), (166, 150, 128), (196, 188, 172), (172, 134, 104), (150, 148, 144), (190, 164, 120), (142, 112, 96),
    (120, 116, 110), (206, 200, 190))
# fmt: on
BOARDS = ((150, 40, 36), (40, 66, 120), (196, 190, 178), (46, 92, 62), (60, 58, 56), (204, 160, 50))
BRICK = ((134, 84, 66), (118, 80, 66), (150, 104, 80))


def _facade(rng: np.random.Generator, width: float, floors: int, plain: bool = False) -> Sprite:
    """A house front: rows of windows over a ground floor of shops or a door; `plain` for a side wall with few windows."""
    storey = float(rng.uniform(2.9, 3.5))
    height, wall = storey * floors + 0.8, int(ID["building"])
    brick = rng.random() < 0.25
    base = _vary(rng, BRICK[rng.integers(len(BRICK))] if brick else PLASTER[rng.integers(len(PLASTER))])
    sprite = Sprite(width, height, 22, base, wall)
    sprite.grain(rng, 0.09, 1.5)
    if brick:
        rows, columns = np.arange(sprite.image.height)[:, None], np.arange(sprite.image.width)
        mortar = (rows % 4 == 0) | ((columns + rows // 4 % 2 * 5) % 10 == 0)
        sprite.texture(1 + 0.16 * mortar + 0.08 * _noise(rng, *mortar.shape))
    half, trim = width / 2, _times(base, 1.22)
    frame = _vary(rng, (200, 200, 196), 15) if rng.random() < 0.75 else _vary(rng, (84, 66, 54), 10)
    bays = max(1, int(width / rng.uniform(2.1, 3.2))) if not plain else int(rng.integers(0, 3))
    wide, tall = float(rng.uniform(0.95, 1.35)), float(rng.uniform(1.35, 1.9))
    shops = not plain and rng.random() < 0.5
    balcony = not plain and rng.random() < 0.35
    sprite.rect(-half, 0, half, 0.6, _times(base, 0.62))
    for floor in range(floors):
        y = floor * storey + 0.95
        if floor == 0 and shops:
            _shop(sprite, rng, half, storey)
            continue
        if floor and not plain and floor % 2:
            sprite.rect(-half, y - 1.05, half, y - 0.92, _times(base, 0.8))
        for bay in range(bays):
            x = -half + (bay + 0.5) * width / bays
            if floor == 0 and not plain and bay == bays // 2:
                sprite.rect(x - 0.62, 0, x + 0.62, 2.35, _times(frame, 0.8))
                sprite.rect(x - 0.5, 0, x + 0.5, 2.2, _vary(rng, (72, 52, 42), 18))
                sprite.rect(x - 0.36, 1.3, x + 0.36, 2.0, (46, 52, 56))
                continue
            _window(sprite, rng, x, y, wide, tall, frame, trim)
            if balcony and floor and bay % 2:
                sprite.rect(x - wide * 0.85, y - 0.15, x + wide * 0.85, y, _times(base, 0.6))
                for post in np.arange(-0.85, 0.86, 0.14):
                    sprite.rect(x + wide * post - 0.02, y, x + wide * post + 0.02, y + 0.95, (58, 58, 60))
                sprite.rect(x - wide * 0.87, y + 0.9, x + wide * 0.87, y + 0.98, (58, 58, 60))
    sprite.rect(-half, height - 0.4, half, height, trim)
    sprite.rect(-half, height - 0.5, half, height - 0.4, _times(base, 0.5))
    sprite.rect(half - 0.12, 0, half, height, _times(base, 0.72))
    down = np.linspace(1.06, 0.9, sprite.image.height)[:, None] + 0.06 * _noise(rng, sprite.image.height, sprite.image.width, 4)
    sprite.texture(down)
    return sprite


def _window(
    sprite: Sprite, rng: np.random.Generator, x: float, y: float, wide: float, tall: float, frame: RGB, trim: RGB
) -> None:
    sprite.rect(x - wide / 2 - 0.12, y - 0.1, x + wide / 2 + 0.12, y + tall + 0.12, trim)
    sprite.rect(x - wide / 2, y, x + wide / 2, y + tall, _times(frame, 0.9))
    glass = _vary(rng, (54, 60, 66), 13)
    sprite.rect(x - wide / 2 + 0.07, y + 0.07, x + wide / 2 - 0.07, y + tall - 0.07, glass)
    look = rng.random()
    if look < 0.35:  # curtains
        sprite.rect(
            x - wide / 2 + 0.07,
            y + tall * rng.uniform(0.1, 0.6),
            x + wide / 2 - 0.07,
            y + tall - 0.07,
            _vary(rng, (142, 142, 136), 20),
        )
    elif look < 0.7:  # the sky
        sprite.polygon(
            [
                (x - wide / 2 + 0.07, y + tall * 0.5),
                (x + wide / 2 - 0.07, y + tall * 0.75),
                (x + wide / 2 - 0.07, y + tall - 0.07),
                (x - wide / 2 + 0.07, y + tall - 0.07),
            ],
            _vary(rng, (122, 134, 144), 14),
        )
    sprite.rect(x - 0.035, y, x + 0.035, y + tall, frame)
    sprite.rect(x - wide / 2, y + tall * 0.66, x + wide / 2, y + tall * 0.7, frame)
    sprite.rect(x - wide / 2 - 0.15, y - 0.16, x + wide / 2 + 0.15, y - 0.06, _times(trim, 0.8))


def _shop(sprite: Sprite, rng: np.random.Generator, half: float, storey: float) -> None:
    """Shop windows with goods behind, and a sign board above."""
    sprite.rect(-half, 0, half, storey - 0.25, _vary(rng, (72, 70, 68), 16))
    x = -half + 0.3
    while x < half - 1.2:
        wide = min(float(rng.uniform(1.2, 3.2)), half - 0.2 - x)
        sprite.rect(x, 0.35, x + wide, storey - 0.95, _vary(rng, (62, 68, 70), 14))
        for _ in range(int(wide * 4)):
            gx, gy = rng.uniform(x, x + wide - 0.3), rng.uniform(0.4, 1.7)
            sprite.rect(gx, gy, gx + rng.uniform(0.1, 0.3), gy + rng.uniform(0.1, 0.45), tuple(rng.uniform(50, 175, 3)))
        sprite.polygon([(x, storey - 0.95), (x + wide * 0.5, storey - 0.95), (x, 1.1)], (112, 122, 126))
        x += wide + float(rng.uniform(0.15, 0.6))
    board = _vary(rng, BOARDS[rng.integers(len(BOARDS))], 12)
    sprite.rect(-half + 0.2, storey - 0.85, half - 0.2, storey - 0.3, board)
    for gx in np.arange(-half * 0.6, half * 0.5, 0.34):
        if rng.random() < 0.8:
            sprite.rect(gx, storey - 0.72, gx + 0.22, storey - 0.46, (232, 230, 222) if sum(board) < 420 else (50, 48, 48))
    if rng.random() < 0.4:
        awning = tuple(rng.uniform(70, 200, 3))
        sprite.rect(-half + 0.3, storey - 1.35, half - 0.3, storey - 0.85, awning)


class House(NamedTuple):
    side: int  # -1 left, 1 right
    s0: float
    s1: float
    front: float  # the t of its facade
    facade: Sprite
    gable: Sprite
    roof: float  # height over the facade, 0 = flat
    tiles: RGB


def _houses(rng: np.random.Generator, street: Street) -> list[House]:
    houses, gables = [], [_facade(rng, 11.0, 3, plain=True) for _ in range(3)]
    for side, kind, front in zip((-1, 1), street.kinds, street.fronts, strict=True):
        if kind == "park":
            continue
        s = float(rng.uniform(-8, 4))
        usual = int(rng.integers(2, 6))
        while s < FAR - 20:
            width = float(rng.uniform(9, 19))
            if street.open(s, s + width):
                floors = max(1, usual + int(rng.integers(-1, 2))) if kind == "facades" else int(rng.integers(1, 4))
                back = front + side * (float(rng.uniform(4, 9)) if kind == "gardens" else 0.0)
                facade, gable = _facade(rng, width, floors), copy(gables[rng.integers(3)])
                gable.height = facade.height
                pitch = float(rng.uniform(2, 4)) if rng.random() < 0.7 else 0.0
                tiles = _vary(rng, ((126, 66, 48), (78, 74, 74), (104, 72, 58))[rng.integers(3)], 10)
                houses.append(House(side, s, s + width, back, facade, gable, pitch, tiles))
            gap = rng.uniform(4, 12) if kind == "gardens" else (0.0 if rng.random() < 0.85 else rng.uniform(2, 6))
            s += width + float(gap) if street.open(s, s + width) else 3.0
    return houses


def _paint_house(canvas: Canvas, house: House) -> None:
    weather, side, top = canvas.weather, house.side, house.facade.height
    deep = house.front + side * 11.0
    light, facing = weather.light((-side, 0, 0)), weather.light((0, 0, -1))
    if house.roof:
        ridge = house.front + side * 5.5
        if house.s0 > 3:
            gable = [(house.front, top, house.s0), (deep, top, house.s0), (ridge, top + house.roof, house.s0)]
            canvas.polygon(gable, np.asarray(house.gable.image)[0:3, :, :3].mean((0, 1)), ID["building"], facing)
        s0 = max(house.s0, 3.0)
        for i in range(6):  # rows of tiles
            p, q = i / 6, (i + 1) / 6
            row = [
                (house.front - side * 0.4 * (1 - x) + side * 5.5 * x, top + house.roof * x, s)
                for x, s in ((p, s0), (p, house.s1), (q, house.s1), (q, s0))
            ]
            canvas.polygon(row, _times(house.tiles, 1.0 - 0.1 * (i % 2)), ID["building"], weather.light((-side * 0.5, 0.85, 0)))
    if house.s0 > 1:
        canvas.panel(house.gable, (house.front, house.s0), (deep, house.s0), 0, facing)
    canvas.panel(house.facade, (house.front, house.s0), (house.front, house.s1), 0, light)


def _shadow(houses: list[House], weather: Weather) -> np.ndarray:
    """For each metre of s: from which t to which t a building keeps the sun off (none: 1 and 0)."""
    reach = np.tile(np.array((1.0, 0.0), np.float32), (400, 1))
    if weather.direct.max() < 0.2:
        return reach
    slope = weather.sun[:2][0] / weather.sun[1], weather.sun[2] / weather.sun[1]
    for house in houses:
        if house.side * weather.sun[0] <= 0.05:
            continue
        length = house.facade.height + house.roof * 0.5
        shift = -slope[1] * length * 0.5
        rows = slice(int(max(0, house.s0 + shift)), int(max(0, house.s1 + shift)))
        end = house.front - slope[0] * length
        reach[rows] = (house.front - 30, end) if house.side < 0 else (end, house.front + 30)
    return reach


# ------------------------------------------------------------------------------------------------------- trees, walls, fences


def _crown(rng: np.random.Generator, width: float, height: float, color: RGB, hedge: bool = False) -> Sprite:
    """Foliage: an uneven outline, clumps lit from above, dark holes in between."""
    sprite = Sprite(width, height, min(40.0, 240 / max(width, height)), color)
    rows, columns = sprite.image.height, sprite.image.width
    y = np.linspace(1, -1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)
    outline = _noise(rng, rows, columns, 1.2)
    clump, leaf = _noise(rng, rows, columns, 2.2), _noise(rng, rows, columns, 1.0, 0.2)
    if hedge:
        inside = (1 - y) * rows / sprite.scale * 0.5 + 0.10 * outline > 0.1
    else:
        body = np.full((rows, columns), -9.0, np.float32)
        for _ in range(int(rng.integers(5, 10))):
            cx, cy, r = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.35, 0.6)
            body = np.maximum(body, 1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2)
        inside = body + 0.5 * outline + 0.4 * leaf * (body < 0.35) > 0.05
    # Light falls on the upper side of every clump.
    relief = clump - np.roll(clump, -4, 0)
    tone = 0.74 + 0.16 * y + 1.1 * relief + 0.28 * clump + 0.42 * leaf
    warm = 1 + 0.12 * np.stack([clump, clump * 0.3, -clump], -1)
    sprite.texture(np.clip(tone, 0.12, 1.7)[..., None] * warm)
    pixels = np.array(sprite.image)
    pixels[..., 3] = np.where(inside, 255, 0)
    sprite.image = Image.fromarray(pixels)
    sprite.label = Image.fromarray(np.where(inside, ID["vegetation"] + 1, 0).astype(np.uint8))
    return sprite


GREENS = ((84, 104, 52), (70, 92, 48), (98, 110, 56), (62, 80, 50), (110, 108, 52))


def _paint_tree(
    canvas: Canvas, rng: np.random.Generator, crown: Sprite, t: float, s: float, trunk: float, light: np.ndarray
) -> None:
    bark, lean = _vary(rng, (84, 74, 62), 8), float(rng.uniform(-0.15, 0.15))
    thick, top = crown.width * 0.03 + 0.05, trunk + crown.height * 0.6
    stem = Sprite(1.2, top, 60)
    stem.polygon([(-thick, 0), (thick, 0), (lean + thick * 0.6, top), (lean - thick * 0.6, top)], bark, ID["vegetation"])
    stem.polygon([(thick * 0.2, 0), (thick, 0), (lean + thick * 0.6, top), (lean + thick * 0.1, top)], _times(bark, 0.65))
    stem.grain(rng, 0.3, 0.7)
    _cast(canvas, t, s, crown.width * 0.5, trunk + crown.height * 0.5)
    canvas.stand(stem, t, s, light)
    canvas.stand(crown, t, s, light, trunk)


def _cast(canvas: Canvas, t: float, s: float, radius: float, height: float) -> None:
    """A round shadow where the sun throws it; straight below when there is none."""
    weather = canvas.weather
    sunny = weather.direct.max() > 0.2
    t -= weather.sun[0] / weather.sun[1] * height * sunny
    s -= weather.sun[2] / weather.sun[1] * height * sunny
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = [(t + radius * np.cos(a), 0, s + radius * np.sin(a)) for a in angles]
    canvas.shade(ring, 0.55 if sunny else 0.85)


def _barrier(rng: np.random.Generator, kind: str, length: float) -> Sprite:
    """Eight or so metres of wall, fence or hedge; the gaps of a fence belong to the fence, as in Cityscapes."""
    if kind == "hedge":
        return _crown(rng, length, float(rng.uniform(1.0, 2.0)), _vary(rng, GREENS[rng.integers(len(GREENS))], 8), hedge=True)
    half = length / 2
    if kind == "wall":
        height = float(rng.uniform(1.2, 2.8))
        base = _vary(rng, ((142, 132, 118), (128, 92, 76), (150, 150, 146))[rng.integers(3)], 12)
        sprite = Sprite(length, height, 36, base, ID["wall"])
        rows, columns = np.arange(sprite.image.height)[:, None], np.arange(sprite.image.width)
        course = int(rng.integers(6, 13))
        joint = (rows % course == 0) | ((columns + rows // course % 2 * course) % (2 * course) == 0)
        block = _noise_tile(0.55)[
            (rows // course * 31) & 511, ((columns + rows // course % 2 * course) // (2 * course) * 57) & 511
        ]
        sprite.texture(1 - 0.3 * joint + 0.12 * block + 0.2 * _noise(rng, sprite.image.height, sprite.image.width, 2))
        sprite.rect(-half, height - 0.14, half, height, _times(base, 1.15))
        return sprite
    height = float(rng.uniform(1.0, 1.8))
    color = _vary(rng, ((66, 70, 66), (112, 88, 62), (150, 152, 152), (52, 66, 56))[rng.integers(4)], 10)
    sprite = Sprite(length, height, 50)
    sprite.rect(-half, 0, half, height, None, ID["fence"])
    wide, gap = ((0.09, 0.13), (0.025, 0.12), (0.02, 0.09))[rng.integers(3)]
    for x in np.arange(-half, half, gap):
        sprite.rect(x, 0.06, x + wide, height - 0.03, _vary(rng, color, 5))
    for y in (0.15, height - 0.18):
        sprite.rect(-half, y, half, y + 0.06, _times(color, 0.85))
    for x in np.arange(-half, half, 2.0):
        sprite.rect(x, 0, x + 0.1, height, _times(color, 0.75))
    return sprite


# ------------------------------------------------------------------------------------------------- poles, lights and signs


def _pole(canvas: Canvas, t: float, s: float, height: float, radius: float, color: RGB, light: np.ndarray) -> None:
    for a, b, tone in ((-1, -0.3, 0.8), (-0.3, 0.35, 1.15), (0.35, 1, 0.6)):
        strip = [
            (t + a * radius, 0, s),
            (t + b * radius, 0, s),
            (t + b * radius * 0.8, height, s),
            (t + a * radius * 0.8, height, s),
        ]
        canvas.polygon(strip, _times(color, tone), ID["pole"], light)


def _lamp(canvas: Canvas, rng: np.random.Generator, t: float, s: float, inward: int, light: np.ndarray) -> None:
    color, height = _vary(rng, (96, 102, 100), 14), float(rng.uniform(5.5, 8.5))
    _pole(canvas, t, s, height, 0.09, color, light)
    arm = [(t, height - 0.12, s), (t + inward * 1.6, height + 0.25, s), (t + inward * 1.6, height + 0.33, s), (t, height, s)]
    canvas.polygon(arm, color, ID["pole"], light)
    head = [(t + inward * x, height + y, s) for x, y in ((1.2, 0.18), (2.1, 0.3), (2.1, 0.42), (1.2, 0.36))]
    canvas.polygon(head, (176, 178, 174), ID["pole"], light)


def _signal(rng: np.random.Generator) -> Sprite:
    """A traffic light's housing with its three lamps, one of them lit."""
    sprite, cls = Sprite(0.44, 1.15, 150), ID["traffic light"]
    sprite.rect(-0.18, 0.05, 0.18, 1.1, _vary(rng, (34, 36, 36), 6), cls)
    lit = int(rng.integers(3))
    for i, (on, off) in enumerate(
        (((60, 255, 150), (16, 52, 36)), ((255, 190, 50), (66, 50, 18)), ((255, 60, 40), (70, 22, 18)))
    ):
        y = 0.24 + 0.33 * i
        sprite.disc(0, y, 0.135, 0.135, (18, 18, 18), cls)
        sprite.disc(0, y, 0.11, 0.11, on if i == lit else off, cls)
        if i == lit:
            sprite.disc(0, y, 0.05, 0.05, (255, 250, 225), cls)
        sprite.polygon([(-0.15, y + 0.1), (0.15, y + 0.1), (0.12, y + 0.16), (-0.12, y + 0.16)], (12, 12, 12), cls)
    return sprite


def _paint_signal(canvas: Canvas, rng: np.random.Generator, t: float, s: float, inward: int, light: np.ndarray) -> None:
    color, lamps = _vary(rng, (92, 98, 96), 12), np.maximum(light, 0.75)
    if rng.random() < 0.5:
        height, reach = 5.6, float(rng.uniform(2.5, 5.0))
        _pole(canvas, t, s, height, 0.1, color, light)
        arm = [(t, height - 0.16, s), (t + inward * reach, height - 0.12, s), (t + inward * reach, height, s), (t, height, s)]
        canvas.polygon(arm, color, ID["pole"], light)
        canvas.stand(_signal(rng), t + inward * (reach - 0.3), s - 0.1, lamps, height - 0.9)
    else:
        _pole(canvas, t, s, 3.4, 0.08, color, light)
    canvas.stand(_signal(rng), t, s - 0.1, lamps, 2.3)


def _sign(rng: np.random.Generator) -> Sprite:
    """One of the usual shapes, about 0.7 m."""
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


# -------------------------------------------------------------------------------------------------------------- vehicles


class Pose(NamedTuple):
    """Where a thing stands and how it is turned; its own axes are x to its right, y up, z forward."""

    t: float
    s: float
    heading: float  # 0 = driving away from the camera

    def place(self, points) -> np.ndarray:
        """Nx3 (x, y, z) -> Nx3 (t, y, s)."""
        x, y, z = np.asarray(points, np.float64).T
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return np.stack([self.t + x * cos + z * sin, y, self.s - x * sin + z * cos], 1)

    def normal(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return x * cos + z * sin, y, -x * sin + z * cos


class CarShape(NamedTuple):
    length: float
    width: float
    height: float
    profile: tuple[Point, ...]  # (z of length, y of height) from the rear lower edge over the roof to the front


# fmt: off
CARS = (
    CarShape(4.1, 1.75, 1.48, ((-0.5, 0.18), (-0.5, 0.5), (-0.48, 0.62), (-0.37, 0.95), (-0.25, 1.0), (0.06, 0.99),
        (0.27, 0.62), (0.45, 0.52), (0.5, 0.42), (0.5, 0.18))),
    CarShape(4.6, 1.8, 1.43, ((-0.5, 0.18), (-0.5, 0.55), (-0.47, 0.63), (-0.37, 0.64), (-0.22, 0.97), (-0.12, 1.0),
        (0.06, 0.99), (0.25, 0.62), (0.46, 0.53), (0.5, 0.43), (0.5, 0.18))),
    CarShape(4.7, 1.82, 1.5, ((-0.5, 0.18), (-0.5, 0.5), (-0.49, 0.62), (-0.42, 0.97), (-0.3, 1.0), (0.08, 0.99), (0.27, 0.62),
        (0.46, 0.53), (0.5, 0.43), (0.5, 0.18))),
    CarShape(4.6, 1.9, 1.72, ((-0.5, 0.22), (-0.5, 0.55), (-0.49, 0.62), (-0.44, 0.95), (-0.36, 1.0), (0.1, 0.99), (0.25, 0.64),
        (0.46, 0.58), (0.5, 0.46), (0.5, 0.22))),
    CarShape(5.0, 1.95, 1.98, ((-0.5, 0.16), (-0.5, 0.5), (-0.5, 0.62), (-0.49, 0.97), (-0.46, 1.0), (0.2, 0.99), (0.36, 0.62),
        (0.48, 0.5), (0.5, 0.4), (0.5, 0.16))),
)
PAINTS = ((38, 40, 44), (62, 66, 70), (146, 150, 152), (186, 188, 188), (208, 208, 204), (28, 36, 66), (118, 26, 28),
    (46, 70, 104), (96, 88, 76), (36, 60, 48), (166, 34, 30))
# fmt: on


WHEEL = ((1.18, (14, 14, 15)), (1.0, (26, 26, 27)), (0.66, (136, 138, 140)), (0.5, (70, 72, 74)), (0.2, (140, 142, 144)))
"""Radius (of the tyre's) and colour of the rings of a wheel, from the arch around it to the hub."""


class Car:
    """An extruded side outline, narrower towards the roof, with glass, lights, wheels and a plate."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator, pose: Pose):
        self.canvas, self.pose = canvas, pose
        self.shape = CARS[rng.choice(5, p=[0.32, 0.24, 0.22, 0.14, 0.08])]
        self.paint = _vary(rng, PAINTS[rng.integers(len(PAINTS))], 6)
        self.glass = _vary(rng, (40, 46, 50), 6)
        self.lit = rng.random() < (0.9 if canvas.weather.sky == "night" else 0.25)
        if rng.random() < 0.04:
            self.paint = (206, 192, 146)  # a taxi

    def half(self, z: float, y: float) -> float:
        """Half the width at a point of the outline (both as parts of length and height)."""
        wide = self.shape.width / 2 * (1 - 0.16 * max(0.0, abs(z) - 0.4) / 0.1 * 0.6)
        return wide * (1 - 0.24 * max(0.0, y - BELT) / (1 - BELT)) * (0.95 if y < 0.3 else 1.0)

    def point(self, side: int, z: float, y: float, out: float = 1.0) -> tuple[float, float, float]:
        return side * self.half(z, y) * out, y * self.shape.height, z * self.shape.length

    def face(self, points, color: RGB, normal: tuple[float, float, float], cull: bool = False) -> bool:
        light = self.canvas.weather.light(self.pose.normal(*normal))
        return self.canvas.polygon(self.pose.place(points), color, ID["car"], light, cull)

    def draw(self) -> None:
        shape, profile = self.shape, self.shape.profile
        half, long = shape.width / 2, shape.length / 2
        under = [(-half, 0, -long), (half, 0, -long), (half, 0, long), (-half, 0, long)]
        self.canvas.shade(self.pose.place(np.array(under) * (1.06, 1, 1.02)), 0.3)
        strips = []
        for (z0, y0), (z1, y1) in pairwise(profile):
            quad = [self.point(-1, z0, y0), self.point(-1, z1, y1), self.point(1, z1, y1), self.point(1, z0, y0)]
            run, rise = (z1 - z0) * shape.length, (y1 - y0) * shape.height
            normal = np.array((0, run, -rise)) / np.hypot(run, rise)
            strips.append((self.canvas.camera.view(self.pose.place(quad))[:, 2].mean(), quad, normal, (y0 + y1) / 2, abs(rise)))
        for _, quad, normal, y, rise in sorted(strips, key=lambda strip: -strip[0]):
            glass = BELT + 0.05 < y < 0.97 and rise > 0.2
            # Upward faces mirror the sky, low ones the road.
            shine = 1 + 0.35 * max(0.0, normal[1]) - 0.3 * (y < 0.35)
            if not self.face(quad, _times(self.paint, shine), tuple(normal), cull=True) or not glass:
                continue
            q = np.array(quad)[[0, 1, 2, 3] if quad[0][1] < quad[1][1] else [1, 0, 3, 2]] * (0.9, 1, 1)

            def at(left: float, right: float, q: np.ndarray = q) -> list[np.ndarray]:
                """The points so far up the pane's two edges."""
                return [q[0] + left * (q[1] - q[0]), q[3] + right * (q[2] - q[3])]

            self.face([*at(0.06, 0.06), *at(0.92, 0.92)[::-1]], self.glass, tuple(normal))
            self.face([*at(0.45, 0.7), *at(0.92, 0.92)[::-1]], _times(self.glass, 1.7), tuple(normal))
        for side in (-1, 1):
            self._side(side)
        for end in (-1, 1):
            self._end(end)

    def _side(self, side: int) -> None:
        profile, shape = self.shape.profile, self.shape
        outline = [(z, min(y, BELT)) for z, y in profile]
        body = [self.point(side, z, y) for z, y in outline]
        if not self.face(body[::side], _times(self.paint, 0.92), (side, 0.1, 0), cull=True):
            return
        cabin = [(z, y) for z, y in profile if y >= BELT - 0.005]
        roof = [(cabin[0][0], BELT - 0.03), *cabin, (cabin[-1][0], BELT - 0.03)]
        self.face([self.point(side, z, y) for z, y in roof], _times(self.paint, 1.05), (side, 0.35, 0))
        middle = float(np.mean([z for z, _ in cabin])), BELT + 0.17
        glass = [(middle[0] + (z - middle[0]) * 0.86, middle[1] + (y - middle[1]) * 0.74) for z, y in cabin]
        self.face([self.point(side, z, y, 1.01) for z, y in glass], self.glass, (side, 0.35, 0))
        for z in (middle[0] - 0.08, middle[0] + 0.07):
            pillar = [(z, BELT), (z + 0.018, BELT), (z + 0.018, 0.96), (z, 0.96)]
            self.face([self.point(side, *p, 1.01) for p in pillar], _times(self.paint, 0.5), (side, 0.35, 0))
        sill = [(-0.49, 0.18), (0.49, 0.18), (0.49, 0.3), (-0.49, 0.3)]
        self.face([self.point(side, *p, 1.005) for p in sill], _times(self.paint, 0.55), (side, -0.3, 0))
        gleam = [(-0.48, 0.53), (0.44, 0.5), (0.44, 0.535), (-0.48, 0.57)]
        self.face([self.point(side, *p, 1.005) for p in gleam], _times(self.paint, 1.3), (side, 0.5, 0))
        for z in (-0.3, 0.31):
            radius = 0.32 if shape.height < 1.6 else 0.36
            for r, color in WHEEL:
                angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
                x = side * shape.width / 2 * 0.96
                ring = [(np.cos(a), np.sin(a)) for a in angles if r < 1.1 or np.sin(a) > -0.8]
                self.face([(x, radius + r * radius * b, z * shape.length + r * radius * a) for a, b in ring], color, (side, 0, 0))

    def _end(self, end: int) -> None:
        shape, z = self.shape, end * self.shape.length * 0.502
        half, height = self.half(0.5, 0.4), shape.height

        def corners(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float, float]]:
            return [(x * half, y * height, z) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]

        def box(x0: float, y0: float, x1: float, y1: float, color: RGB) -> None:
            self.face(corners(x0, y0, x1, y1), color, (0, 0.4, end))

        def lamp(x0: float, y0: float, x1: float, y1: float, on: RGB, off: RGB) -> None:
            box(x0, y0, x1, y1, off)
            if self.lit:  # as bright by night as by day
                self.canvas.polygon(self.pose.place(corners(x0, y0, x1, y1)), on, ID["car"], np.ones(3))

        if not self.face(corners(-end, 0.2, end, 0.42), self.paint, (0, 0, end), cull=True):
            return
        box(-0.98, 0.18, 0.98, 0.27, (34, 35, 36))
        for side in (-1, 1):  # tyres below the bumper
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


def _big_vehicle(rng: np.random.Generator, kind: str) -> tuple[Sprite, Sprite, Sprite]:
    """Pictures of a bus's, truck's or tram's side (its front to the right), front and rear."""
    cls = ID[kind]
    length, width, height = {"bus": (11.5, 2.5, 3.05), "truck": (8.2, 2.45, 3.35), "train": (24.0, 2.4, 3.5)}[kind]
    paints = {
        "bus": ((190, 186, 176), (196, 160, 40), (150, 30, 32), (40, 84, 136), (210, 210, 206)),
        "truck": ((200, 200, 196), (44, 84, 140), (180, 50, 36), (206, 150, 44), (84, 110, 84)),
        "train": ((200, 176, 44), (186, 40, 36), (206, 206, 200), (52, 104, 92)),
    }[kind]
    paint, glass = _vary(rng, paints[rng.integers(len(paints))], 8), _vary(rng, (44, 52, 58), 5)
    side, half = Sprite(length, height, 40), length / 2
    side.rect(-half, 0.32, half, height, paint, cls)
    side.rect(-half, height - 0.18, half, height, _times(paint, 1.15))
    if kind == "truck":
        side.rect(half - 2.2, 0.3, half - 2.05, height, (18, 18, 19), cls)
        cab = _vary(rng, paints[rng.integers(len(paints))], 8)
        side.rect(half - 2.05, 0.4, half, height - 0.5, cab, cls)
        side.rect(half - 2.05, height - 0.5, half, height, None, CLEAR)
        side.polygon([(half - 1.6, 1.6), (half - 0.15, 1.6), (half - 0.35, 2.5), (half - 1.6, 2.5)], glass)
        side.rect(-half, 0.32, half - 2.1, 0.95, (42, 43, 44))
        for x in np.arange(-half, half - 2.3, 0.8):
            side.rect(x, 0.95, x + 0.05, height, _times(paint, 0.85))
        side.rect(-half * 0.7, 1.7, half * 0.2, 2.6, _times(tuple(rng.uniform(60, 200, 3)), 0.9))
        _wheels(side, (-half + 1.3, -half + 2.5, half - 1.1), 0.5, cls)
    else:
        side.rect(-half, 1.25, half, height - 0.55, _times(paint, 0.45))
        bays = round(length / 1.5)
        for i in range(bays):
            x = -half + (i + 0.5) * length / bays
            door = i % 4 == 3
            side.rect(x - 0.68, 0.45 if door else 1.3, x + 0.68, height - 0.62, _vary(rng, glass, 8))
            side.polygon([(x - 0.68, height - 0.62), (x + 0.3, height - 0.62), (x - 0.68, 1.7)], _vary(rng, (84, 94, 100), 8))
            if door:
                side.rect(x - 0.04, 0.45, x + 0.04, height - 0.62, paint)
        side.rect(-half, 0.32, half, 0.5, (40, 41, 42))
        stripe = tuple(rng.uniform(40, 210, 3))
        side.rect(-half, 0.98, half, 1.12, stripe)
        if kind == "bus":
            _wheels(side, (-half + 3.0, half - 2.6), 0.48, cls)
        else:
            side.rect(-half, 0.05, half, 0.4, (32, 32, 33), cls)
            for x in (-8.0, 0.0, 8.0):
                side.rect(x - 0.25, 0.3, x + 0.25, height, (38, 38, 39))
    side.grain(rng, 0.06, 2)
    ends = []
    for front in (True, False):
        end, w = Sprite(width, height, 70), width / 2
        color = cab if kind == "truck" and front else paint
        for x in (-w + 0.3, w - 0.3):
            end.rect(x - 0.18, 0, x + 0.18, 0.5, (20, 20, 21), cls)
        end.rect(-w, 0.3, w, height - (0.5 if kind == "truck" and front else 0), color, cls)
        end.rect(-w, 0.3, w, 0.55, (44, 45, 46))
        if kind == "truck" and not front:
            end.rect(-0.03, 0.95, 0.03, height, _times(color, 0.6))
            end.rect(-w, 0.55, w, 0.95, (52, 53, 54))
        else:
            low = 1.25 if front else 1.7
            end.rect(-w + 0.12, low, w - 0.12, height - (0.75 if kind == "truck" else 0.55), glass)
            end.polygon([(-w + 0.12, height - 0.75), (0, height - 0.75), (-w + 0.12, low)], _times(glass, 1.7))
            if kind != "truck":
                end.rect(-0.8, height - 0.48, 0.8, height - 0.16, (22, 22, 22))
                for x in np.arange(-0.6, 0.5, 0.2):
                    end.rect(x, height - 0.4, x + 0.12, height - 0.24, (240, 170, 50))
        lamp = ((240, 240, 226) if rng.random() < 0.5 else (170, 172, 170)) if front else (150, 24, 24)
        for x in (-w + 0.28, w - 0.28):
            end.rect(x - 0.17, 0.62, x + 0.17, 0.84, lamp)
        end.rect(-0.27, 0.36, 0.27, 0.5, (212, 212, 206))
        end.texture(np.linspace(1.12, 0.84, end.image.height)[:, None] + np.zeros((1, end.image.width)))
        ends.append(end)
    return side, ends[0], ends[1]


def _paint_big(canvas: Canvas, rng: np.random.Generator, kind: str, pose: Pose) -> None:
    side, front, rear = _big_vehicle(rng, kind)
    half, long = front.width / 2, side.width / 2
    base = pose.place([(-half, 0, -long), (half, 0, -long), (half, 0, long), (-half, 0, long)])
    canvas.shade((base - (pose.t, 0, pose.s)) * (1.1, 1, 1.03) + (pose.t, 0, pose.s), 0.22)
    eye = canvas.camera.t - pose.t - canvas.camera.curve * pose.s**2, -pose.s
    cos, sin = np.cos(pose.heading), np.sin(pose.heading)
    x, z = eye[0] * cos - eye[1] * sin, eye[0] * sin + eye[1] * cos

    def panel(sprite: Sprite, a: Point, b: Point, normal: Point) -> None:
        (ta, _, sa), (tb, _, sb) = pose.place([(a[0], 0, a[1]), (b[0], 0, b[1])]).tolist()
        canvas.panel(sprite, (ta, sa), (tb, sb), 0, canvas.weather.light(pose.normal(normal[0], 0, normal[1])))

    if abs(x) > half:
        edge = half if x > 0 else -half
        panel(side, (edge, -long), (edge, long), (np.sign(x), 0))
    if abs(z) > long:
        edge = long if z > 0 else -long
        panel(front if z > 0 else rear, (-half, edge), (half, edge), (0, np.sign(z)))


# --------------------------------------------------------------------------------------------------- people and two-wheelers

# fmt: off
CLOTHES = ((40, 42, 50), (62, 70, 92), (128, 36, 38), (166, 160, 150), (84, 78, 66), (36, 52, 80), (190, 188, 184),
    (54, 74, 58), (110, 96, 84), (150, 110, 60), (24, 24, 26))
# fmt: on
HAIR = ((50, 38, 28), (28, 24, 22), (140, 110, 70), (120, 118, 116))
SKIN = ((206, 160, 132), (186, 138, 110), (140, 98, 74), (98, 66, 50))


def _clothes(rng: np.random.Generator) -> RGB:
    return _vary(rng, CLOTHES[rng.integers(len(CLOTHES))], 8)


def _rounded(sprite: Sprite, rng: np.random.Generator) -> None:
    """Shade across so that a body looks round, and give the cloth folds."""
    across = np.linspace(-1, 1, sprite.image.width)
    light = 1.08 - 0.22 * across * rng.choice((-1, 1)) + np.zeros((sprite.image.height, 1))
    sprite.texture(light + 0.26 * _noise(rng, sprite.image.height, sprite.image.width, 1.4))


def _head(sprite: Sprite, rng: np.random.Generator, x: float, y: float, cls: int, helmet: bool = False) -> None:
    skin, hair = SKIN[rng.choice(4, p=[0.5, 0.3, 0.12, 0.08])], _vary(rng, HAIR[rng.integers(4)], 8)
    sprite.rect(x - 0.05, y - 0.17, x + 0.05, y, _times(skin, 0.85), cls)
    sprite.disc(x, y, 0.092, 0.125, skin, cls)
    cap = _clothes(rng) if helmet or rng.random() < 0.15 else hair
    back = rng.random() < 0.45
    sprite.disc(x, y + 0.05, 0.1, 0.1 if not helmet else 0.12, cap, cls)
    if back:
        sprite.disc(x, y - 0.01, 0.098, 0.12 if rng.random() < 0.6 else 0.2, cap, cls)
    else:
        sprite.rect(x - 0.07, y - 0.05, x + 0.07, y + 0.03, skin)


def _person(rng: np.random.Generator) -> Sprite:
    cls, size = ID["person"], float(rng.choice([1.0, 0.95, 0.72], p=[0.5, 0.4, 0.1]) * rng.uniform(0.96, 1.04))
    sprite = Sprite(1.1 * size, 1.82 * size, 110 / size)
    sprite.width, sprite.height, sprite.scale = 1.1, 1.82, 110.0  # draw an adult, shrink at the end
    top, trousers, stride = _clothes(rng), _clothes(rng), float(rng.uniform(0, 0.32))
    shoes, wide = _vary(rng, (34, 30, 28), 8), float(rng.uniform(0.17, 0.23))
    sway = float(rng.uniform(-0.04, 0.04))
    for sign, tone in ((-1, 0.75), (1, 1.0)):
        knee, foot = sign * stride * 0.55 + 0.03, sign * stride
        sprite.limb(
            [(sign * 0.08, 0.88), (sign * 0.07 + knee * 0.6, 0.48), (sign * 0.06 + foot, 0.08)],
            0.155,
            _times(trousers, tone),
            cls,
        )
        sprite.limb([(sign * 0.06 + foot - 0.03, 0.05), (sign * 0.06 + foot + 0.09, 0.05)], 0.09, shoes, cls)
    hem = float(rng.choice([0.82, 0.82, 0.62, 0.45]))
    shoulders = [(-wide, 1.42), (wide, 1.42), (wide * 0.92, hem), (-wide * 0.92, hem)]
    far, near = (-1, 1) if rng.random() < 0.5 else (1, -1)
    swing = float(rng.uniform(-0.22, 0.22))
    sprite.limb(
        [(far * wide * 0.95, 1.38), (far * (wide + 0.05), 1.12), (far * (wide + 0.03) - swing, 0.88)], 0.1, _times(top, 0.7), cls
    )
    sprite.polygon(shoulders, top, cls)
    sprite.disc(0, 1.42, wide, 0.075, top, cls)
    if rng.random() < 0.3:
        sprite.polygon([(-0.06, 1.46), (0.06, 1.46), (0.03, hem), (-0.03, hem)], _clothes(rng))
    sprite.limb(
        [(near * wide, 1.38), (near * (wide + 0.05), 1.1), (near * (wide - 0.02) + swing, 0.86)], 0.105, _times(top, 0.88), cls
    )
    sprite.disc(near * (wide - 0.02) + swing, 0.82, 0.05, 0.06, SKIN[0], cls)
    if rng.random() < 0.35:
        sprite.disc(near * (wide + 0.08), 0.75, 0.13, 0.17, _clothes(rng), cls)
    _head(sprite, rng, sway, 1.645, cls)
    _rounded(sprite, rng)
    sprite.width, sprite.height, sprite.scale = 1.1 * size, 1.82 * size, 110 / size
    return sprite


def _two_wheeler(rng: np.random.Generator, kind: str, ridden: bool, side_on: bool) -> Sprite:
    """A bicycle or motorcycle, seen from its side (front to the right) or its end, with or without its rider."""
    cls, motor = ID[kind], kind == "motorcycle"
    sprite = Sprite(2.3 if side_on else 1.0, 1.9, 100)
    frame = _vary(rng, PAINTS[rng.integers(len(PAINTS))], 10)
    if not side_on:
        _end_view(sprite, rng, cls, motor, ridden, frame)
        _rounded(sprite, rng)
        return sprite
    r, gap = (0.31, 0.7) if motor else (0.34, 0.53)
    for x in (-gap, gap):
        sprite.disc(x, r, r, r, (26, 26, 27) if motor else None, cls)
        if motor:
            sprite.disc(x, r, r * 0.6, r * 0.6, (108, 110, 112))
            sprite.disc(x, r, r * 0.3, r * 0.3, (40, 40, 42))
        else:
            ring = [(x + r * 0.95 * np.cos(a), r + r * 0.95 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 30)]
            sprite.limb(ring, 0.045, (30, 30, 31), cls)
            for a in np.arange(0, np.pi, np.pi / 5):
                dx, dy = r * np.cos(a), r * np.sin(a)
                sprite.limb([(x - dx, r - dy), (x + dx, r + dy)], 0.01, (120, 122, 122), cls)
    if motor:
        sprite.polygon([(-0.55, 0.35), (0.45, 0.3), (0.55, 0.6), (-0.5, 0.62)], (48, 48, 50), cls)
        sprite.polygon(
            [(-0.95, 0.75), (-0.2, 0.62), (0.4, 0.62), (0.62, 0.9), (0.3, 1.0), (-0.05, 0.8), (-0.9, 0.85)], frame, cls
        )
        sprite.limb([(-0.75, 0.84), (-0.1, 0.82)], 0.1, (24, 24, 25), cls)
        sprite.limb([(0.7, 0.31), (0.48, 0.95), (0.34, 1.06)], 0.07, (120, 122, 122), cls)
        sprite.disc(0.62, 0.86, 0.1, 0.1, (190, 190, 180), cls)
        sprite.limb([(-0.8, 0.3), (0.1, 0.26)], 0.08, (140, 142, 142), cls)
    else:
        for a, b in (
            ((-0.53, 0.34), (-0.05, 0.3)),
            ((-0.05, 0.3), (-0.17, 0.86)),
            ((-0.05, 0.3), (0.38, 0.72)),
            ((-0.14, 0.74), (0.36, 0.8)),
            ((-0.53, 0.34), (-0.15, 0.76)),
            ((0.53, 0.34), (0.34, 0.98)),
            ((0.34, 0.98), (0.5, 1.03)),
        ):
            sprite.limb([a, b], 0.04, frame, cls)
        sprite.limb([(-0.28, 0.9), (-0.08, 0.9)], 0.06, (24, 24, 24), cls)
        if rng.random() < 0.4:
            sprite.rect(0.45, 0.75, 0.75, 0.98, (70, 62, 50), cls)
    if ridden:
        who, top, trousers, lean = ID["rider"], _clothes(rng), _clothes(rng), 0.16 if motor else 0.12
        hip, neck = (-0.2, 0.95), (-0.2 + lean * 1.3, 1.48)
        for knee, foot, tone in (((0.12, 0.62), (0.0, 0.2), 0.7), ((0.2, 0.82), (-0.02, 0.42), 1.0)):
            sprite.limb([hip, knee, foot], 0.15, _times(trousers, tone), who)
            sprite.limb([foot, (foot[0] + 0.14, foot[1] - 0.02)], 0.08, (30, 28, 28), who)
        sprite.limb([hip, (hip[0] * 0.5 + neck[0] * 0.5 - 0.05, 1.22), (neck[0], neck[1] - 0.12)], 0.29, top, who)
        sprite.limb([(neck[0], 1.36), (0.16, 1.12), (0.42, 1.05)], 0.1, _times(top, 0.85), who)
        _head(sprite, rng, neck[0] + 0.06, 1.64, who, helmet=motor or rng.random() < 0.4)
    _rounded(sprite, rng)
    return sprite


def _end_view(sprite: Sprite, rng: np.random.Generator, cls: int, motor: bool, ridden: bool, frame: RGB) -> None:
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
    who, top, trousers = ID["rider"], _clothes(rng), _clothes(rng)
    for sign, foot in ((-1, 0.22), (1, 0.4)):
        sprite.limb([(sign * 0.11, 0.92), (sign * 0.17, 0.62), (sign * 0.14, foot)], 0.145, trousers, who)
        sprite.limb([(sign * 0.14, foot), (sign * 0.14, foot - 0.06)], 0.1, (30, 28, 28), who)
        sprite.limb([(sign * 0.19, 1.4), (sign * 0.3, 1.2), (sign * 0.3, 1.06)], 0.1, _times(top, 0.85), who)
    sprite.polygon([(-0.22, 1.42), (0.22, 1.42), (0.18, 0.86), (-0.18, 0.86)], top, who)
    sprite.disc(0, 1.42, 0.22, 0.07, top, who)
    _head(sprite, rng, 0, 1.64, who, helmet=motor or rng.random() < 0.4)


# -------------------------------------------------------------------------------------------------------- putting it together


class _Stage:
    """Collects what is to be painted with its distance, and knows the light anywhere in the street."""

    def __init__(self, canvas: Canvas, street: Street, shadow: np.ndarray, rng: np.random.Generator, wishes: Wishes):
        self.canvas, self.street, self.shadow, self.rng, self.wishes = canvas, street, shadow, rng, wishes
        self.items: list[tuple[float, Callable[[], None]]] = []
        # Foliage is the dearest thing to make: a few crowns, used at several sizes, stand for all trees of a street.
        hue = GREENS[rng.integers(len(GREENS))]
        self.crowns = [_crown(rng, 6.0, float(rng.uniform(5, 7.5)), _vary(rng, hue, 9)) for _ in range(4)]

    def light(self, t: float, s: float) -> np.ndarray:
        low, high = self.shadow[int(min(max(s, 0), len(self.shadow) - 1))]
        return self.canvas.weather.ambient if low < t < high else self.canvas.weather.light((0, 0.6, -0.6))

    def add(self, distance: float, paint: Callable[[], None]) -> None:
        self.items.append((distance, paint))

    def but(self, **changes: object) -> "_Stage":
        """One that differs in these attributes; what is added to it is painted with all else."""
        other = copy(self)
        vars(other).update(changes)
        return other

    def paint(self) -> None:
        for _, paint in sorted(self.items, key=lambda item: -item[0]):
            paint()

    def sprite(self, sprite: Sprite, t: float, s: float, turn: float = 0.0, ahead: float = 0.0) -> None:
        def paint() -> None:
            _cast(self.canvas, t, s - 0.05, sprite.width * 0.25, 0.0)
            self.canvas.stand(sprite, t, s, self.light(t, s), 0.0, turn)

        self.add(s - ahead, paint)

    def tree(self, t: float, s: float, behind: float = 0.0) -> None:
        crown, size = self.crowns[self.rng.integers(4)], float(self.rng.uniform(0.7, 1.5))
        grown = Sprite(crown.width * size, crown.height * size, 0.01)
        grown.image, grown.label = crown.image, crown.label
        trunk, light = float(self.rng.uniform(1.8, 3.2)), self.light(t, s)
        self.add(s + behind, lambda: _paint_tree(self.canvas, self.rng, grown, t, s, trunk, light))


def _add_barrier(stage: _Stage, kinds: dict[str, float], t: float, side: int, start: float, end: float) -> None:
    """Pieces of these kinds (with their probabilities) along the line at t, mostly the same one on and on."""
    rng, long, made = stage.rng, 8.0, {}
    light = stage.canvas.weather.light((-side, 0.2, 0))
    choice = ""
    for s in np.arange(start, end, long).tolist():
        if not choice or rng.random() < 0.12:
            choice = str(rng.choice(list(kinds), p=list(kinds.values())))
        if choice != "none" and stage.street.open(s, s + long):
            if choice not in made:
                made[choice] = _barrier(rng, choice, long)
            stage.add(s + long - 0.5, partial(stage.canvas.panel, made[choice], (t, s), (t, s + long), 0, light))


def _add_frontage(stage: _Stage) -> None:
    """What lines the street behind the pavement: barriers, garden and park trees; or a railing at the kerb."""
    rng, street = stage.rng, stage.street
    for side, kind, kerb, front in zip((-1, 1), street.kinds, street.kerbs, street.fronts, strict=True):
        if kind == "facades":
            if rng.random() < 0.22:
                start = float(rng.uniform(4, 20))
                _add_barrier(stage, {"fence": 1.0}, kerb + side * 0.45, side, start, start + 24)
            continue
        _add_barrier(stage, {"hedge": 0.2, "wall": 0.34, "fence": 0.4, "none": 0.06}, front, side, -2.0, 110.0)
        for s in np.arange(4, 120, 5.5 if kind == "park" else 13):
            where = front + side * float(rng.uniform(1.5, 4) if kind == "gardens" else rng.uniform(2, 14))
            if street.open(s - 2, s + 2):
                stage.tree(where, float(s + rng.uniform(-2, 2)), behind=8.0)
        if kind == "park":  # a far edge of wood, or one would see the horizon
            for s in np.arange(10, 140, 7):
                stage.tree(front + side * float(rng.uniform(16, 24)), float(s), behind=14.0)


def _add_furniture(stage: _Stage) -> None:
    """Lamps, signs, traffic lights, street trees and bollards along the kerbs."""
    rng, street, canvas = stage.rng, stage.street, stage.canvas
    for i, side in enumerate((-1, 1)):
        kerb = street.kerbs[i]
        line = kerb + side * 0.7
        for s in np.arange(rng.uniform(6, 20), 110, rng.uniform(18, 30)):
            stage.add(float(s), partial(_lamp, canvas, rng, line, float(s), -side, stage.light(line, float(s))))
        if rng.random() < 0.55:
            step = float(rng.uniform(7, 12))
            for s in np.arange(rng.uniform(6, 14), 110, step):
                if street.open(s - 2, s + 2):
                    stage.tree(line + side * float(rng.uniform(0.2, 0.8)), float(s))
        for _ in range(int(rng.integers(1, 5))):
            s = float(rng.uniform(8, 45))
            low = float(rng.uniform(1.9, 2.4))

            def sign(t: float = line - side * 0.2, s: float = s, low: float = low) -> None:
                _pole(canvas, t, s, low + 0.9, 0.04, (128, 132, 132), stage.light(t, s))
                canvas.stand(_sign(rng), t, s - 0.1, stage.light(t, s), low)

            stage.add(s, sign)
        if rng.random() < 0.2:
            for s in np.arange(7, 40, 2.2).tolist():
                t = kerb + side * 0.45
                stage.add(s, partial(_pole, canvas, t, s, 0.95, 0.07, (70, 72, 72), stage.light(t, s)))
        lights_at = street.junction[0] - 2 if street.junction[0] < 1e5 else street.zebra
        if lights_at is not None and rng.random() < 0.75:
            t, s = kerb + side * 0.5, float(lights_at)
            stage.add(s, partial(_paint_signal, canvas, rng, t, s, -side, stage.light(t, s)))


TRAFFIC = ("car", "bus", "truck", "bicycle", "motorcycle", "none")
TRAFFIC_SHARES = (0.45, 0.1, 0.12, 0.08, 0.09, 0.16)


def _add_traffic(stage: _Stage) -> None:
    """Vehicles, parked and moving, no two in the same place."""
    rng, street, canvas, wishes = stage.rng, stage.street, stage.canvas, stage.wishes
    much, shares = 1.0, list(TRAFFIC_SHARES)
    if wishes.traffic is not None:
        much = wishes.traffic / (1 - TRAFFIC_SHARES[-1])
        shares = [*(much * share for share in TRAFFIC_SHARES[:-1]), 1 - wishes.traffic]
    taken: list[tuple[float, float, float]] = []  # t, and from which s to which

    def free(t: float, s0: float, s1: float) -> bool:
        if any(abs(t - other) < 2.4 and s0 < high and s1 > low for other, low, high in taken):
            return False
        taken.append((t, s0, s1))
        return True

    def put(kind: str, t: float, s: float, heading: float) -> None:
        pose = Pose(t, s, heading + float(rng.normal(0, 0.02)) + 2 * canvas.camera.curve * s)
        reach = {"car": 2.0, "truck": 4.1, "bus": 5.7, "train": 12.0}[kind] * abs(np.cos(heading))
        # Sorted by their near end: whoever walks beside a vehicle is behind it.
        if kind == "car":
            stage.add(s - reach, lambda: Car(canvas, rng, pose).draw())
        else:
            stage.add(s - reach, lambda: _paint_big(canvas, rng, kind, pose))

    if street.rails is not None and rng.random() < 0.75 * much:
        s = float(rng.uniform(24, 60))
        if free(street.rails, s - 15, s + 15):
            put("train", street.rails, s, np.pi)
    if street.junction[0] < 45 and rng.random() < 0.5 * much:  # someone crosses
        s, t = float(np.mean(street.junction)), float(rng.uniform(-9, 9))
        put(str(rng.choice(["car", "bus", "truck"], p=[0.7, 0.15, 0.15])), t, s, float(rng.choice((-1, 1)) * np.pi / 2))
        taken.extend((t + x, s - 3, s + 3) for x in (-4, -2, 0, 2, 4))
    for i, side in enumerate((-1, 1)):
        if not street.parking[i]:
            continue
        s, dense = float(rng.uniform(4, 10)), float(rng.uniform(0.35, 0.95))
        dense = dense if wishes.parked is None else wishes.parked
        while s < 90:
            if rng.random() < dense and street.open(s - 5, s + 5) and (street.zebra is None or abs(s - street.zebra) > 5):
                put("car", street.kerbs[i] - side * 1.15, s, 0.0 if (side > 0 or rng.random() < 0.3) else np.pi)
            s += float(rng.uniform(5.4, 6.6))
    lanes = [(0.0, 0.0)] + [(lane + 1.7, 0.0) for lane in street.lanes if lane > 0]
    lanes += [(street.middle - 1.75 - 3.5 * n, np.pi) for n in range(1 + (street.lanes != () and min(street.lanes) < 0))]
    for lane, heading in lanes:
        s = float(rng.uniform(11, 40)) if heading == 0 else float(rng.uniform(8, 30))
        while s < 100:
            kind, t = str(rng.choice(TRAFFIC, p=shares)), lane + float(rng.normal(0, 0.15))
            length = {"bus": 12.5, "truck": 9.5}.get(kind, 5.0)
            if kind != "none" and free(t, s, s + length):
                if kind in ("bicycle", "motorcycle"):
                    stage.sprite(_two_wheeler(rng, kind, True, False), t + (0.9 if heading == 0 else -0.9), s, ahead=3)
                else:
                    put(kind, t, s + length / 2, heading)
            s += length + float(rng.uniform(5, 20))


PEOPLE = 4.5
"""How many people or pairs are on a pavement on average."""


def _add_people(stage: _Stage) -> None:
    rng, street = stage.rng, stage.street
    many = PEOPLE if stage.wishes.people is None else stage.wishes.people
    for i, side in enumerate((-1, 1)):
        inner, outer = street.kerbs[i] + side * (street.verges[i] + 0.5), street.fronts[i] - side * 0.4
        for _ in range(int(rng.poisson(many))):
            s, t = float(6 + rng.gamma(2.0, 11)), float(rng.uniform(min(inner, outer), max(inner, outer)))
            for _ in range(1 + int(rng.random() < 0.3)):
                stage.sprite(_person(rng), t, s)
                t, s = t + 0.6, s + 0.3
        for kind, chance in (("bicycle", 0.5), ("motorcycle", 0.3)):
            if rng.random() < chance:
                s = float(rng.uniform(7, 22))
                for n in range(int(rng.integers(1, 4 if kind == "bicycle" else 3))):
                    turn = float(rng.uniform(0.2, 0.9)) * side
                    stage.sprite(_two_wheeler(rng, kind, False, True), outer - side * 0.7, s + 1.1 * n, turn)
        if rng.random() < 0.5:
            kind = str(rng.choice(["bicycle", "motorcycle"], p=[0.75, 0.25]))
            stage.sprite(
                _two_wheeler(rng, kind, True, False),
                street.kerbs[i] - side * (0.7 + street.parking[i]),
                float(rng.uniform(9, 26)),
            )
    if street.zebra is not None and street.zebra > 7:
        for _ in range(round(int(rng.integers(0, 5)) * many / PEOPLE)):
            t, s = float(rng.uniform(*street.kerbs)), street.zebra + float(rng.uniform(-1.2, 1.2))
            if rng.random() < 0.2:
                stage.sprite(_two_wheeler(rng, "bicycle", True, True), t, s, float(rng.choice((0, np.pi))))
            else:
                stage.sprite(_person(rng), t, s)


def _add_end(stage: _Stage) -> None:
    """Close the view: houses and trees across the street's far end."""
    rng, canvas = stage.rng, stage.canvas
    base, houses = FAR + 5, [_facade(rng, 14.0, floors) for floors in (2, 3, 4)]
    for t in np.arange(-150, 150, 14.0):
        if rng.random() < 0.5:
            house = houses[rng.integers(3)]
            stage.add(base + 20, partial(canvas.stand, house, float(t), base, canvas.weather.light((0, 0, -1))))
        for _ in range(2):
            crown = stage.crowns[rng.integers(4)]
            big = Sprite(14.0, float(rng.uniform(7, 14)), 0.01)
            big.image, big.label = crown.image, crown.label
            where = float(t + rng.uniform(-6, 6))
            stage.add(base + 10, partial(canvas.stand, big, where, base - 5, canvas.weather.light(), -2.0))


def _wet(photo: np.ndarray, label: np.ndarray, horizon: int) -> np.ndarray:
    """Mirror what stands above the horizon faintly in the road."""
    height = len(photo)
    rows = np.clip(2 * horizon - np.arange(horizon, height), 0, height - 1)
    small = Image.fromarray(photo[rows]).resize((photo.shape[1], max(1, (height - horizon) // 6)), Image.Resampling.BOX)
    mirror = np.asarray(small.resize((photo.shape[1], height - horizon), Image.Resampling.BILINEAR), np.float32)
    out = photo.astype(np.float32)
    flat = (label[horizon:] == ID["road"])[..., None] * 0.25
    out[horizon:] = out[horizon:] * (1 - flat * 1.25) + mirror * flat
    return out.clip(0, 255).astype(np.uint8)


GRAIN = np.full(256, 0.05, np.float32)
GRAIN[[ID["sky"], IGNORE]] = 0.006
GRAIN[[ID["car"], ID["bus"], ID["truck"], ID["train"], ID["building"]]] = 0.09


def _bonnet(photo: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    """The recording car's bonnet along the lower edge, in place; it is not scored."""
    height, width = label.shape
    x = np.linspace(-1, 1, width)
    edge = height * (1 - rng.uniform(0.05, 0.1) * (1 - 0.75 * x**2))
    down = (np.arange(height)[:, None] - edge) / height
    inside = down >= 0
    shine = np.clip(1.6 - 18 * down, 0.5, 1.6)[..., None] * np.array((46, 50, 52)) * (photo[: height // 2].mean() / 128)
    shine = shine * (1 + 0.2 * _noise(rng, height, width, 3))[..., None]
    photo[inside] = np.clip(shine, 0, 255)[inside]
    label[inside] = IGNORE


def _develop(photo: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What lens and sensor do: blur, vignette, exposure, white balance, tone curve, noise."""
    height, width = label.shape
    image = Image.fromarray(photo)
    soft = float(rng.uniform(0.2, 0.7)) * height / 512
    photo = np.asarray(image.filter(ImageFilter.GaussianBlur(soft)), np.float32) / 255
    surface = _noise(rng, height, width, height / 512 * 1.3, 0.25)
    photo = photo * (1 + GRAIN[label] * surface)[..., None]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    vignette = 1 - rng.uniform(0.05, 0.25) * (x * x + y * y) / 2
    balance = np.array((0.93, 1.02, 0.92)) * rng.uniform(0.96, 1.04, 3)
    photo = photo * (vignette[..., None] * balance * rng.uniform(0.72, 1.2))
    grey = photo @ np.array((0.3, 0.59, 0.11), np.float32)
    photo = photo + (grey[..., None] - photo) * rng.uniform(0.1, 0.35)
    photo = rng.uniform(0.01, 0.05) + np.clip(photo, 0, 1) ** rng.uniform(0.85, 1.1)
    photo = photo + rng.normal(0, 1, (height, width, 1)).astype(np.float32) * rng.uniform(0.004, 0.014)
    return np.clip(photo * 255 + 0.5, 0, 255).astype(np.uint8)


def _majority(label: np.ndarray) -> np.ndarray:
    """The commonest of each 2x2 ids; the upper left one where there is none."""
    a, b, c, d = label[::2, ::2], label[::2, 1::2], label[1::2, ::2], label[1::2, 1::2]
    return np.where((b == c) | (b == d), b, np.where(c == d, c, a))


def render(seed: int, width: int = 1024, height: int = 512, wishes: Wishes | None = None) -> Scene:
    """The street of this seed; the same every time, and the same but for what is wished otherwise.

    Raises ValueError for a width or height under 64.
    """
    if width < 64 or height < 64:
        raise ValueError(f"A scene must be at least 64 x 64 pixels, not {width} x {height}.")
    none = Wishes()
    wishes = wishes or none
    rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
    street, weather = _plan(rng, wishes), _weather(rng, wishes)
    w, h = width * SUPER, height * SUPER
    camera = Camera(
        focal=float(rng.uniform(0.85, 1.15)) * max(w, 1.3 * h),
        center=w * (0.5 + float(rng.uniform(-0.03, 0.03))),
        horizon=h * float(rng.uniform(0.38, 0.5)),
        height=float(rng.uniform(1.15, 1.5)),
        t=float(rng.normal(0, 0.25)),
        yaw=float(rng.normal(0, 0.035)),
        curve=float(rng.normal(0, 0.0006)) if rng.random() < 0.6 else 0.0,
    )
    if wishes.camera is not None:
        camera = replace(camera, height=wishes.camera)
    canvas = Canvas(w, h, camera, weather)
    # What is wished otherwise takes other random numbers. So that all else keeps its own, what the seed says instead is made too,
    # on a canvas that nobody sees, and what is wished is made with a copy of the generator.
    meant = _plan(again, none)
    unseen = Canvas(w, h, camera, _weather(again, none)) if wishes else canvas
    if wishes:  # far ground that nothing covers is hazy; without wishes it stays black, as it is in sets that were published
        canvas.photo.paste(_ints(weather.haze), (0, 0, w, h))

    if wishes.sides is None:
        houses = _houses(rng, street)
    else:
        houses = _houses(deepcopy(rng), street)
        _houses(rng, meant)
    shadow = _shadow(houses, weather)
    if wishes.sky is not None:
        _paint_sky(canvas, deepcopy(rng))
    _paint_sky(canvas if wishes.sky is None else unseen, rng)
    _paint_ground(canvas, street, shadow, rng)
    stage = _Stage(canvas, street, shadow, rng, wishes)
    for house in houses:
        stage.add(house.s1 + (6 if house.front not in street.fronts else 0), partial(_paint_house, canvas, house))
    otherwise = {
        _add_frontage: wishes.sides is not None,
        _add_traffic: wishes.traffic is not None or wishes.parked is not None,
        _add_people: wishes.people is not None,
    }
    for add in (_add_end, _add_frontage, _add_furniture, _add_traffic, _add_people):
        if otherwise.get(add):
            add(stage.but(rng=deepcopy(rng)))
            add(stage.but(canvas=unseen, street=meant, wishes=none))
        else:
            add(stage)
    stage.paint()
    label = _majority(np.asarray(canvas.label))
    photo = np.array(canvas.photo.reduce(SUPER))
    if weather.wet:
        photo = _wet(photo, label, int(camera.horizon / SUPER))
    if rng.random() < 0.45:
        _bonnet(photo, label, rng)
    return Scene(_develop(photo, label, rng), label)


# ------------------------------------------------------------------------------------------------------------- as a data set


def _scene_seed(seed: int, split: str, index: int) -> int:
    return int(np.random.SeedSequence([seed, ("train", "val").index(split), index]).generate_state(1, np.uint64)[0])


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def _write_pair(to: Path, seed: int, split: str, index: int, wishes: Wishes | None) -> None:
    photo, label = render(_scene_seed(seed, split, index), wishes=wishes)
    pair = Image.new("RGB", (512, 256))
    for column, half in ((0, photo), (256, colorize(label))):
        pair.paste(Image.fromarray(half).resize((256, 256), Image.Resampling.BOX), (column, 0))
    exact = Image.fromarray(label, "P")
    exact.putpalette([*PALETTE.reshape(-1).tolist(), *[0] * (3 * (256 - len(NAMES)))])
    jpeg, png = io.BytesIO(), io.BytesIO()
    pair.save(jpeg, "JPEG", quality=95)  # the quantisation tables and 4:2:0 of the real set
    exact.save(png, "PNG")
    _write(to / "exact" / split / f"{index}.png", png.getvalue())
    _write(to / split / f"{index}.jpg", jpeg.getvalue())


def write_pairs(
    to: Path,
    train: int,
    val: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    wishes: Wishes | None = None,
) -> None:
    """Write scenes as the Kaggle set "cityscapes-image-pairs" lays out its own, and their exact labels beside them.

    `to`/train/1.jpg, … and `to`/val/1.jpg, …: 512x256 JPEGs, the photo on the left, the label's colours on the right.
    `to`/exact/train/1.png, …: 1024x512 indexed PNGs of train ids. No scene of val is in any train split.
    All are as `wishes` say. They are written beside it, in `rendering(to, pid)`, and moved when whole. Raises
    FileExistsError if `to` holds anything, and OSError where it cannot be written.
    """
    full = f"{to} is not empty; write to a new or empty folder."
    if to.exists() and any(to.iterdir()):
        raise FileExistsError(full)
    to = to.absolute()
    for left in to.parent.glob(f".{to.name}.rendering-*"):  # by a process that was killed
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    holding = rendering(to, os.getpid())
    for split in ("train", "val"):
        for folder in (holding / split, holding / "exact" / split):
            folder.mkdir(parents=True, exist_ok=True)
    jobs = [("train", i + 1) for i in range(train)] + [("val", i + 1) for i in range(val)]
    try:
        with helpers() as pool:
            futures = [pool.submit(_write_pair, holding, seed, split, index, wishes) for split, index in jobs]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if progress is not None:
                    progress(done, len(jobs))
    except BaseException:
        shutil.rmtree(holding, ignore_errors=True)
        raise
    try:
        holding.rename(to)  # onto an empty folder too
    except OSError:
        shutil.rmtree(holding, ignore_errors=True)
        raise FileExistsError(full) from None


def under_way(folder: Path) -> tuple[Path, ...]:
    """Where processes are writing scenes now that will be data sets in `folder`."""
    found = (path for path in folder.glob(".*.rendering-*") if psutil.pid_exists(int(path.name.rpartition("-")[2])))
    return tuple(sorted(found))


def rendering(to: Path, pid: int) -> Path:
    """Where the process `pid` writes what will be `to`."""
    return to.with_name(f".{to.name}.rendering-{pid}")
