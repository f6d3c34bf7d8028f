"""Options and result of a rendered scene, and the constants that all its parts share."""

from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np

from seg.data.cityscapes import TRAIN_ID

ID = TRAIN_ID

CLEAR = -1
"""The class of a sprite where it is transparent."""

TO_ID, VISIBLE = [0, *range(255)], [0] + [255] * 255
"""Lookup tables for the label of a sprite: its class, and its mask."""

SUPER = 2
"""Factor of supersampling."""

NEAR = 0.4
"""Distance in meters below which nothing is painted."""

FAR = 150.0
"""Distance in meters at which the street ends."""

BELT = 0.62
"""The lower edge of a car's windows, as a share of its height."""

RGB = tuple[float, float, float]

Point = tuple[float, float]


class Scene(NamedTuple):
    """A rendered scene."""

    photo: np.ndarray
    """H x W x 3 uint8 RGB."""
    label: np.ndarray
    """H x W uint8 train ids; 255 is ignored."""


Sky = Literal["clear", "clouds", "white", "evening", "night"]

Sides = Literal["facades", "gardens", "park"]


@dataclass(frozen=True)
class SceneOptions:
    """Properties of a scene that do not depend on its seed; None leaves one to the seed.

    Raises:
        ValueError: if a number is outside its `LIMITS`.
    """

    sky: Sky | None = None
    """The sky: clear, clouds, white, evening or night."""
    fog: float | None = None
    """Density of the air per meter, 0 to 0.1: 0.003 is a typical day, 0.02 is fog."""
    wet: bool | None = None
    """Whether the road is wet and reflects."""
    traffic: float | None = None
    """Share of the places on the lanes that vehicles occupy, 0 to 1; seeds give 0.84. At 0 there is no tram
    either."""
    parked: float | None = None
    """Occupied share of the places on parking lanes at both sides, 0 to 1."""
    people: float | None = None
    """Mean number of people, alone or in pairs, on each sidewalk, 0 to 30; seeds give 4.5."""
    sides: Sides | None = None
    """The land behind both sidewalks: facades, gardens or a park."""
    camera: float | None = None
    """Height of the camera above the road in meters, 0.5 to 6; seeds give 1.15 to 1.5, as in a car."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"--{name} must be between {low} and {high}, not {value}.")

    def __bool__(self) -> bool:
        """Whether any option is set."""
        return any(getattr(self, field.name) is not None for field in fields(self))


LIMITS = {"fog": (0, 0.1), "traffic": (0, 1), "parked": (0, 1), "people": (0, 30), "camera": (0.5, 6)}
"""Minimum and maximum of the numeric options."""
