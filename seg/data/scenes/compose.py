"""Composition of a scene from its parts."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial

import numpy as np

from seg.data.scenes.buildings import building_shadow, facade_sprite, paint_house, place_houses
from seg.data.scenes.camera_effects import apply_camera_effects, paint_bonnet, reflect_in_road
from seg.data.scenes.canvas import Camera, Canvas, Sprite
from seg.data.scenes.furniture import paint_lamp, paint_pole, paint_signal, sign_sprite
from seg.data.scenes.ground import paint_ground, paint_sky
from seg.data.scenes.noise import to_ints, vary_color
from seg.data.scenes.options import FAR, SUPER, Scene, SceneOptions
from seg.data.scenes.people import person_sprite, two_wheeler_sprite
from seg.data.scenes.street import Street, draw_weather, plan_street
from seg.data.scenes.vegetation import GREENS, barrier_sprite, cast_shadow, crown_sprite, paint_tree
from seg.data.scenes.vehicles import Car, Pose, paint_big_vehicle


class SceneBuilder:
    """Collects the objects of a scene with their distances, and paints them from far to near.

    Args:
        canvas: where they are painted.
        street: the layout of the street.
        shadow: N x 2, the shadow of the buildings, from `building_shadow`.
        rng: source of randomness.
        options: the options of the scene.
    """

    def __init__(
        self,
        canvas: Canvas,
        street: Street,
        shadow: np.ndarray,
        rng: np.random.Generator,
        options: SceneOptions,
    ):
        self.canvas, self.street, self.shadow, self.rng, self.options = canvas, street, shadow, rng, options
        self.items: list[tuple[float, Callable[[], None]]] = []
        # foliage is the most expensive part: all trees of a street use a few crowns at several sizes
        hue = GREENS[rng.integers(len(GREENS))]
        self.crowns = [
            crown_sprite(rng, 6.0, float(rng.uniform(5, 7.5)), vary_color(rng, hue, 9)) for _ in range(4)
        ]

    def light(self, t: float, s: float) -> np.ndarray:
        """Return the RGB factors of the light at a place, in the shadow of the buildings or not."""
        low, high = self.shadow[int(min(max(s, 0), len(self.shadow) - 1))]
        return self.canvas.weather.ambient if low < t < high else self.canvas.weather.light((0, 0.6, -0.6))

    def add(self, distance: float, paint: Callable[[], None]) -> None:
        """Add an object by a function that paints it; `distance` is its s in meters."""
        self.items.append((distance, paint))

    def replace(self, **changes: object) -> "SceneBuilder":
        """Return a builder with other attributes that adds to the same objects."""
        builder = copy(self)
        vars(builder).update(changes)
        return builder

    def paint(self) -> None:
        """Paint all objects, the most distant first."""
        for _, paint in sorted(self.items, key=lambda item: -item[0]):
            paint()

    def sprite(self, sprite: Sprite, t: float, s: float, turn: float = 0.0, ahead: float = 0.0) -> None:
        """Add an upright sprite at (t, s), painted as if `ahead` meters nearer."""

        def paint() -> None:
            cast_shadow(self.canvas, t, s - 0.05, sprite.width * 0.25, 0.0)
            self.canvas.draw_upright(sprite, t, s, self.light(t, s), 0.0, turn)

        self.add(s - ahead, paint)

    def tree(self, t: float, s: float, behind: float = 0.0) -> None:
        """Add a tree at (t, s), painted as if `behind` meters farther."""
        crown, size = self.crowns[self.rng.integers(4)], float(self.rng.uniform(0.7, 1.5))
        scaled = Sprite(crown.width * size, crown.height * size, 0.01)
        scaled.image, scaled.label = crown.image, crown.label
        trunk, light = float(self.rng.uniform(1.8, 3.2)), self.light(t, s)
        self.add(s + behind, lambda: paint_tree(self.canvas, self.rng, scaled, t, s, trunk, light))


def _add_barrier(
    stage: SceneBuilder, kinds: dict[str, float], t: float, side: int, start: float, end: float
) -> None:
    """Add pieces of barrier along a line at t; `kinds` gives their probabilities, most repeat the last."""
    rng, length, sprites = stage.rng, 8.0, {}
    light = stage.canvas.weather.light((-side, 0.2, 0))
    choice = ""
    for s in np.arange(start, end, length).tolist():
        if not choice or rng.random() < 0.12:
            choice = str(rng.choice(list(kinds), p=list(kinds.values())))
        if choice != "none" and stage.street.open(s, s + length):
            if choice not in sprites:
                sprites[choice] = barrier_sprite(rng, choice, length)
            paint = partial(stage.canvas.draw_panel, sprites[choice], (t, s), (t, s + length), 0, light)
            stage.add(s + length - 0.5, paint)


def _add_frontage(stage: SceneBuilder) -> None:
    """Add barriers and trees of gardens and parks behind the sidewalks, or a railing at the curb."""
    rng, street = stage.rng, stage.street
    for side, kind, kerb, front in zip((-1, 1), street.kinds, street.kerbs, street.fronts, strict=True):
        if kind == "facades":
            if rng.random() < 0.22:
                start = float(rng.uniform(4, 20))
                _add_barrier(stage, {"fence": 1.0}, kerb + side * 0.45, side, start, start + 24)
            continue
        _add_barrier(
            stage, {"hedge": 0.2, "wall": 0.34, "fence": 0.4, "none": 0.06}, front, side, -2.0, 110.0
        )
        for s in np.arange(4, 120, 5.5 if kind == "park" else 13):
            t = front + side * float(rng.uniform(1.5, 4) if kind == "gardens" else rng.uniform(2, 14))
            if street.open(s - 2, s + 2):
                stage.tree(t, float(s + rng.uniform(-2, 2)), behind=8.0)
        if kind == "park":  # the edge of a wood hides the horizon
            for s in np.arange(10, 140, 7):
                stage.tree(front + side * float(rng.uniform(16, 24)), float(s), behind=14.0)


def _add_furniture(stage: SceneBuilder) -> None:
    """Add lamps, signs, traffic lights, street trees and bollards along the curbs."""
    rng, street, canvas = stage.rng, stage.street, stage.canvas
    for i, side in enumerate((-1, 1)):
        kerb = street.kerbs[i]
        line = kerb + side * 0.7
        for s in np.arange(rng.uniform(6, 20), 110, rng.uniform(18, 30)):
            stage.add(
                float(s), partial(paint_lamp, canvas, rng, line, float(s), -side, stage.light(line, float(s)))
            )
        if rng.random() < 0.55:
            step = float(rng.uniform(7, 12))
            for s in np.arange(rng.uniform(6, 14), 110, step):
                if street.open(s - 2, s + 2):
                    stage.tree(line + side * float(rng.uniform(0.2, 0.8)), float(s))
        for _ in range(int(rng.integers(1, 5))):
            s = float(rng.uniform(8, 45))
            low = float(rng.uniform(1.9, 2.4))

            def sign(t: float = line - side * 0.2, s: float = s, low: float = low) -> None:
                paint_pole(canvas, t, s, low + 0.9, 0.04, (128, 132, 132), stage.light(t, s))
                canvas.draw_upright(sign_sprite(rng), t, s - 0.1, stage.light(t, s), low)

            stage.add(s, sign)
        if rng.random() < 0.2:
            for s in np.arange(7, 40, 2.2).tolist():
                t = kerb + side * 0.45
                stage.add(s, partial(paint_pole, canvas, t, s, 0.95, 0.07, (70, 72, 72), stage.light(t, s)))
        lights_at = street.junction[0] - 2 if street.junction[0] < 1e5 else street.zebra
        if lights_at is not None and rng.random() < 0.75:
            t, s = kerb + side * 0.5, float(lights_at)
            stage.add(s, partial(paint_signal, canvas, rng, t, s, -side, stage.light(t, s)))


TRAFFIC = ("car", "bus", "truck", "bicycle", "motorcycle", "none")

TRAFFIC_SHARES = (0.45, 0.1, 0.12, 0.08, 0.09, 0.16)


class _Traffic:
    """Adds vehicles so that no two on the lanes overlap.

    Args:
        stage: the scene.
    """

    def __init__(self, stage: SceneBuilder) -> None:
        self.stage = stage
        self.occupied: list[tuple[float, float, float]] = []  # t, first s, last s

    def reserve(self, t: float, s0: float, s1: float) -> bool:
        """Reserve a place; False if it is occupied."""
        if any(abs(t - taken_t) < 2.4 and s0 < high and s1 > low for taken_t, low, high in self.occupied):
            return False
        self.occupied.append((t, s0, s1))
        return True

    def put(self, kind: str, t: float, s: float, heading: float) -> None:
        """Add a car, bus, truck or tram."""
        rng, canvas = self.stage.rng, self.stage.canvas
        pose = Pose(t, s, heading + float(rng.normal(0, 0.02)) + 2 * canvas.camera.curve * s)
        reach = {"car": 2.0, "truck": 4.1, "bus": 5.7, "train": 12.0}[kind] * abs(np.cos(heading))
        # sorted by their near end: people beside a vehicle are behind it
        if kind == "car":
            self.stage.add(s - reach, lambda: Car(canvas, rng, pose).draw())
        else:
            self.stage.add(s - reach, lambda: paint_big_vehicle(canvas, rng, kind, pose))

    def add_tram(self, chance: float) -> None:
        """Add a tram on the rails."""
        rng, rails = self.stage.rng, self.stage.street.rails
        if rails is not None and rng.random() < chance:
            s = float(rng.uniform(24, 60))
            if self.reserve(rails, s - 15, s + 15):
                self.put("train", rails, s, np.pi)

    def add_crossing(self, chance: float) -> None:
        """Add a vehicle that crosses on the side street."""
        rng, junction = self.stage.rng, self.stage.street.junction
        if junction[0] < 45 and rng.random() < chance:
            s, t = float(np.mean(junction)), float(rng.uniform(-9, 9))
            kind = str(rng.choice(["car", "bus", "truck"], p=[0.7, 0.15, 0.15]))
            self.put(kind, t, s, float(rng.choice((-1, 1)) * np.pi / 2))
            self.occupied.extend((t + x, s - 3, s + 3) for x in (-4, -2, 0, 2, 4))

    def add_parked(self) -> None:
        """Add cars on the parking lanes."""
        rng, street, occupancy = self.stage.rng, self.stage.street, self.stage.options.parked
        for i, side in enumerate((-1, 1)):
            if not street.parking[i]:
                continue
            s, share = float(rng.uniform(4, 10)), float(rng.uniform(0.35, 0.95))
            share = share if occupancy is None else occupancy
            while s < 90:
                if (
                    rng.random() < share
                    and street.open(s - 5, s + 5)
                    and (street.zebra is None or abs(s - street.zebra) > 5)
                ):
                    heading = 0.0 if (side > 0 or rng.random() < 0.3) else np.pi
                    self.put("car", street.kerbs[i] - side * 1.15, s, heading)
                s += float(rng.uniform(5.4, 6.6))

    def add_moving(self, shares: list[float]) -> None:
        """Add vehicles on the lanes, with these shares of `TRAFFIC`."""
        rng, street = self.stage.rng, self.stage.street
        lanes = [(0.0, 0.0)] + [(lane + 1.7, 0.0) for lane in street.lanes if lane > 0]
        num_oncoming = 1 + (street.lanes != () and min(street.lanes) < 0)
        lanes += [(street.middle - 1.75 - 3.5 * n, np.pi) for n in range(num_oncoming)]
        for lane, heading in lanes:
            s = float(rng.uniform(11, 40)) if heading == 0 else float(rng.uniform(8, 30))
            while s < 100:
                kind, t = str(rng.choice(TRAFFIC, p=shares)), lane + float(rng.normal(0, 0.15))
                length = {"bus": 12.5, "truck": 9.5}.get(kind, 5.0)
                if kind != "none" and self.reserve(t, s, s + length):
                    if kind in ("bicycle", "motorcycle"):
                        sprite = two_wheeler_sprite(rng, kind, True, False)
                        self.stage.sprite(sprite, t + (0.9 if heading == 0 else -0.9), s, ahead=3)
                    else:
                        self.put(kind, t, s + length / 2, heading)
                s += length + float(rng.uniform(5, 20))


def _add_traffic(stage: SceneBuilder) -> None:
    """Add vehicles, parked and moving."""
    factor, shares = 1.0, list(TRAFFIC_SHARES)
    if stage.options.traffic is not None:
        factor = stage.options.traffic / (1 - TRAFFIC_SHARES[-1])
        shares = [*(factor * share for share in TRAFFIC_SHARES[:-1]), 1 - stage.options.traffic]
    traffic = _Traffic(stage)
    traffic.add_tram(0.75 * factor)
    traffic.add_crossing(0.5 * factor)
    traffic.add_parked()
    traffic.add_moving(shares)


PEOPLE = 4.5
"""Mean number of people, alone or in pairs, on a sidewalk."""


def _add_people(stage: SceneBuilder) -> None:
    """Add people, cyclists and parked two-wheelers."""
    rng, street = stage.rng, stage.street
    mean = PEOPLE if stage.options.people is None else stage.options.people
    for i, side in enumerate((-1, 1)):
        inner, outer = street.kerbs[i] + side * (street.verges[i] + 0.5), street.fronts[i] - side * 0.4
        for _ in range(int(rng.poisson(mean))):
            s, t = float(6 + rng.gamma(2.0, 11)), float(rng.uniform(min(inner, outer), max(inner, outer)))
            for _ in range(1 + int(rng.random() < 0.3)):
                stage.sprite(person_sprite(rng), t, s)
                t, s = t + 0.6, s + 0.3
        for kind, chance in (("bicycle", 0.5), ("motorcycle", 0.3)):
            if rng.random() < chance:
                s = float(rng.uniform(7, 22))
                for n in range(int(rng.integers(1, 4 if kind == "bicycle" else 3))):
                    turn = float(rng.uniform(0.2, 0.9)) * side
                    stage.sprite(
                        two_wheeler_sprite(rng, kind, False, True), outer - side * 0.7, s + 1.1 * n, turn
                    )
        if rng.random() < 0.5:
            kind = str(rng.choice(["bicycle", "motorcycle"], p=[0.75, 0.25]))
            stage.sprite(
                two_wheeler_sprite(rng, kind, True, False),
                street.kerbs[i] - side * (0.7 + street.parking[i]),
                float(rng.uniform(9, 26)),
            )
    if street.zebra is not None and street.zebra > 7:
        for _ in range(round(int(rng.integers(0, 5)) * mean / PEOPLE)):
            t, s = float(rng.uniform(*street.kerbs)), street.zebra + float(rng.uniform(-1.2, 1.2))
            if rng.random() < 0.2:
                stage.sprite(
                    two_wheeler_sprite(rng, "bicycle", True, True), t, s, float(rng.choice((0, np.pi)))
                )
            else:
                stage.sprite(person_sprite(rng), t, s)


def _add_end(stage: SceneBuilder) -> None:
    """Add houses and trees across the far end of the street."""
    rng, canvas = stage.rng, stage.canvas
    base, houses = FAR + 5, [facade_sprite(rng, 14.0, floors) for floors in (2, 3, 4)]
    for t in np.arange(-150, 150, 14.0):
        if rng.random() < 0.5:
            house = houses[rng.integers(3)]
            stage.add(
                base + 20,
                partial(canvas.draw_upright, house, float(t), base, canvas.weather.light((0, 0, -1))),
            )
        for _ in range(2):
            crown = stage.crowns[rng.integers(4)]
            big = Sprite(14.0, float(rng.uniform(7, 14)), 0.01)
            big.image, big.label = crown.image, crown.label
            crown_t = float(t + rng.uniform(-6, 6))
            stage.add(
                base + 10, partial(canvas.draw_upright, big, crown_t, base - 5, canvas.weather.light(), -2.0)
            )


def render_scene(
    seed: int, width: int = 1024, height: int = 512, options: SceneOptions | None = None
) -> Scene:
    """Render the scene of a seed; the same arguments always give the same scene.

    Args:
        seed: the seed of the scene.
        width: in pixels, at least 64.
        height: in pixels, at least 64.
        options: properties that do not depend on the seed; everything else stays as the seed gives it.

    Returns:
        The photo and its label.

    Raises:
        ValueError: if the width or the height is too small.
    """
    if width < 64 or height < 64:
        raise ValueError(f"A scene must be at least 64 x 64 pixels, not {width} x {height}.")
    defaults = SceneOptions()
    options = options or defaults
    rng, default_rng = np.random.default_rng(seed), np.random.default_rng(seed)
    street, weather = plan_street(rng, options), draw_weather(rng, options)
    w, h = width * SUPER, height * SUPER
    camera = _draw_camera(rng, w, h)
    if options.camera is not None:
        camera = replace(camera, height=options.camera)
    canvas = Canvas(w, h, camera, weather)
    # Parts with options draw other random numbers. To leave the rest of the scene unchanged, they use a copy
    # of the generator, and the default parts are painted as well, on a hidden canvas.
    default_street = plan_street(default_rng, defaults)
    hidden = Canvas(w, h, camera, draw_weather(default_rng, defaults)) if options else canvas
    # uncovered far ground is hazy; without options it stays black, as in published datasets
    if options:
        canvas.photo.paste(to_ints(weather.haze), (0, 0, w, h))

    if options.sides is None:
        houses = place_houses(rng, street)
    else:
        houses = place_houses(deepcopy(rng), street)
        place_houses(rng, default_street)
    shadow = building_shadow(houses, weather)
    if options.sky is not None:
        paint_sky(canvas, deepcopy(rng))
    paint_sky(canvas if options.sky is None else hidden, rng)
    paint_ground(canvas, street, shadow, rng)
    stage = SceneBuilder(canvas, street, shadow, rng, options)
    for house in houses:
        distance = house.s1 + (6 if house.front not in street.fronts else 0)
        stage.add(distance, partial(paint_house, canvas, house))
    _add_objects(stage, stage.replace(canvas=hidden, street=default_street, options=defaults))
    stage.paint()
    label = _majority(np.asarray(canvas.label))
    photo = np.array(canvas.photo.reduce(SUPER))
    if weather.wet:
        photo = reflect_in_road(photo, label, int(camera.horizon / SUPER))
    if rng.random() < 0.45:
        paint_bonnet(photo, label, rng)
    return Scene(apply_camera_effects(photo, label, rng), label)


def _draw_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """Draw the camera of an image of this size in pixels."""
    return Camera(
        focal=float(rng.uniform(0.85, 1.15)) * max(width, 1.3 * height),
        center=width * (0.5 + float(rng.uniform(-0.03, 0.03))),
        horizon=height * float(rng.uniform(0.38, 0.5)),
        height=float(rng.uniform(1.15, 1.5)),
        t=float(rng.normal(0, 0.25)),
        yaw=float(rng.normal(0, 0.035)),
        curve=float(rng.normal(0, 0.0006)) if rng.random() < 0.6 else 0.0,
    )


def _add_objects(stage: SceneBuilder, default_stage: SceneBuilder) -> None:
    """Add all objects but the houses; those that options change are added to the default scene as well."""
    options = stage.options
    changed = {
        _add_frontage: options.sides is not None,
        _add_traffic: options.traffic is not None or options.parked is not None,
        _add_people: options.people is not None,
    }
    for add in (_add_end, _add_frontage, _add_furniture, _add_traffic, _add_people):
        if changed.get(add):
            add(stage.replace(rng=deepcopy(stage.rng)))
            add(default_stage)
        else:
            add(stage)


def _majority(label: np.ndarray) -> np.ndarray:
    """Return the most frequent of each 2 x 2 ids; the upper left of four different ones."""
    a, b, c, d = label[::2, ::2], label[::2, 1::2], label[1::2, ::2], label[1::2, 1::2]
    return np.where((b == c) | (b == d), b, np.where(c == d, c, a))
