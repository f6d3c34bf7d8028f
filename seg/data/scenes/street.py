"""Random layout of a street, and its weather."""

from dataclasses import dataclass

import numpy as np

from seg.data.scenes.canvas import Weather
from seg.data.scenes.options import Point, SceneOptions, Sky


@dataclass(frozen=True)
class Street:
    """The layout of a street; numbers are t in meters unless stated otherwise."""

    kerbs: Point  # of the road, left and right
    fronts: Point  # where buildings or gardens begin
    parking: tuple[float, float]  # width of the parking lane on each side, 0 for none
    verges: tuple[float, float]  # width of grass next to the kerb on each side
    kinds: tuple[str, str]  # facades, gardens or park
    junction: Point  # the s between which a side street crosses
    lanes: tuple[float, ...]  # dashed lane markings
    middle: float  # line between the two directions
    rails: float | None  # middle of a tram track
    zebra: float | None  # s of a pedestrian crossing
    cobbles: bool

    def open(self, s0: float, s1: float) -> bool:
        """Whether the side street lies outside s0 to s1."""
        return s1 <= self.junction[0] or s0 >= self.junction[1]


def plan_street(rng: np.random.Generator, options: SceneOptions) -> Street:
    """Draw the layout of a street.

    Args:
        rng: source of randomness.
        options: ``sides`` and ``parked`` replace what is drawn.
    """
    kinds = tuple(rng.choice(["facades", "gardens", "park"], 2, p=[0.66, 0.19, 0.15]).tolist())
    kinds = (options.sides,) * 2 if options.sides else kinds
    parking = [2.3 if rng.random() < 0.45 or options.parked is not None else 0.0 for _ in range(2)]
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


def draw_weather(rng: np.random.Generator, options: SceneOptions) -> Weather:
    """Draw sky and light.

    Args:
        rng: source of randomness.
        options: ``sky``, ``fog`` and ``wet`` replace what is drawn.
    """
    skies: tuple[Sky, ...] = ("clear", "clouds", "white", "evening", "night")
    sky = skies[rng.choice(5, p=[0.25, 0.27, 0.36, 0.08, 0.04])]
    sky = options.sky or sky
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
    if sky == "evening":
        elevation = 0.22
    horizontal = np.cos(elevation)
    sun = np.array([np.cos(azimuth) * horizontal, np.sin(elevation), np.sin(azimuth) * horizontal])
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
        density if options.fog is None else options.fog,
        wet if options.wet is None else options.wet,
    )
