"""Sky, road, sidewalk and grass."""

import numpy as np
from PIL import Image

from seg.data.scenes.canvas import Canvas
from seg.data.scenes.noise import fractal_noise, noise_tile, vary_color
from seg.data.scenes.options import ID
from seg.data.scenes.street import Street


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the sky with its clouds down to the horizon."""
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
        cover = {"clear": -0.6, "clouds": 0.15, "white": 0.9, "evening": -0.2}[weather.sky] + rng.uniform(
            -0.3, 0.3
        )
        # clouds are flat, so they become thin towards the horizon
        cloud = fractal_noise(rng, small[0] * 3, small[1], 1.6)[::3][: small[0]]
        amount = np.clip(cloud * 1.6 + cover, 0, 1)[..., None] * (0.85 if weather.sky != "evening" else 0.5)
        tone = np.clip(238 + 22 * fractal_noise(rng, *small, 2.5), 0, 255)[..., None] * np.array((1, 1, 1.01))
        sky = sky * (1 - amount) + tone * amount
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)).resize(
        (canvas.width, rows), Image.Resampling.BILINEAR
    )
    canvas.photo.paste(image, (0, 0))


class _Patch:
    """Some pixels of the ground.

    Args:
        t: N positions across the street in meters.
        s: N positions along the street in meters.
        z: N depths in meters.
    """

    def __init__(self, t: np.ndarray, s: np.ndarray, z: np.ndarray):
        self.t, self.s, self.near = t, s, np.clip(16 / z, 0, 1)

    def noise(self, per_meter: float, stretch: float = 1.0, fade: float = 0.55) -> np.ndarray:
        """Return N values of noise that is fixed to the ground, `per_meter` pixels of the tile a meter."""
        rows = (self.s * np.float32(per_meter * stretch)).astype(np.int32)
        columns = (self.t * np.float32(per_meter)).astype(np.int32)
        return noise_tile(fade)[rows & 511, columns & 511]


def _asphalt(patch: _Patch, street: Street, rng: np.random.Generator) -> np.ndarray:
    """Return N x 3 colors of the road: wheel tracks, repairs, cracks, markings and rails."""
    t, s, near = patch.t, patch.s, patch.near
    fine, coarse, repairs = patch.noise(60, 1, 0.1), patch.noise(5, 0.3), patch.noise(2.0, 0.5)
    value = 1 + 0.16 * near * fine + 0.06 * coarse
    value -= 0.05 * np.cos((t - 0.2) * np.float32(2 * np.pi / 1.75)) * near
    value -= 0.06 * (repairs > rng.uniform(0.45, 0.7))
    cracks = (np.abs(patch.noise(9, 0.6) - 0.2) < 0.02) & (repairs > 0.1)
    value -= 0.16 * cracks * near
    if street.cobbles:
        stagger = np.floor(s / 0.16) % 2 * 0.08
        value *= 1 - 0.3 * near * ((np.mod(t + stagger, 0.16) < 0.025) | (np.mod(s, 0.16) < 0.025))
    color = value[:, None] * np.array(vary_color(rng, (108, 110, 108), 12), np.float32)
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
    """Return N x 3 colors of the sidewalk: slabs of varied gray, and a pale curb."""
    t, s, slab = patch.t, patch.s, np.float32(rng.choice([0.3, 0.4, 0.5, 0.75]))
    column, row = np.floor(t / slab).astype(np.int32), np.floor(s / slab).astype(np.int32)
    joints = (np.mod(t, slab) < 0.02) | (np.mod(s + slab / 2 * (column % 2), slab) < 0.025)
    fine = patch.noise(60, 1, 0.1)
    value = 1 + 0.13 * patch.near * fine + 0.09 * patch.noise(5, 0.5)
    value += patch.near * (0.07 * noise_tile(0.55)[(row * 37) & 511, (column * 91) & 511] - 0.26 * joints)
    color = value[:, None] * np.array(vary_color(rng, (136, 132, 126), 14), np.float32)
    away = np.maximum(street.kerbs[0] - t, t - street.kerbs[1])
    edge = (away > 0) & (away < 0.28)
    color[edge] = (1 + 0.15 * fine[edge])[:, None] * np.array((156, 154, 148), np.float32)
    color[(away > 0) & (away < 0.09)] *= 0.62  # the face of the curb
    return color


def _lawn(patch: _Patch, rng: np.random.Generator) -> np.ndarray:
    """Return N x 3 colors of grass and dry earth."""
    dry = np.clip(0.4 + 0.8 * patch.noise(6, 0.35), 0, 1)[:, None]
    green = np.array(vary_color(rng, (90, 106, 56), 10), np.float32)
    earth = np.array((124, 110, 78), np.float32)
    value = 1 + 0.4 * patch.near * patch.noise(90, 0.5, 0.1) + 0.2 * patch.noise(12, 0.4)
    return value[:, None] * (green + (earth - green) * 0.45 * dry)


def paint_ground(canvas: Canvas, street: Street, shadow: np.ndarray, rng: np.random.Generator) -> None:
    """Paint the ground and its label pixel by pixel.

    Args:
        canvas: where it is painted.
        street: the layout of the street.
        shadow: N x 2, the shadow of the buildings, from `building_shadow`.
        rng: source of randomness.
    """
    camera, weather = canvas.camera, canvas.weather
    first = max(0, int(np.ceil(camera.horizon + camera.focal * camera.height / 400)))
    t, s, z = camera.ground(first, canvas.height, canvas.width)
    ids = np.full(t.shape, ID["sidewalk"], np.uint8)
    away = np.maximum(street.kerbs[0] - t, t - street.kerbs[1])
    for kerb, front, verge, kind, sign in zip(
        street.kerbs, street.fronts, street.verges, street.kinds, (-1, 1), strict=True
    ):
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
    meter = np.clip(s, 0, len(shadow) - 1).astype(np.int32)
    dark = (t > shadow[meter, 0]) & (t < shadow[meter, 1])
    color *= weather.light().astype(np.float32)
    color[dark] *= (weather.ambient * 0.95 / weather.light()).astype(np.float32)
    hazy = (1 - np.exp(-weather.density * z)).astype(np.float32)[..., None]
    color = color * (1 - hazy) + weather.haze.astype(np.float32) * hazy
    canvas.photo.paste(Image.fromarray(np.clip(color, 0, 255).astype(np.uint8)), (0, first))
    canvas.label.paste(Image.fromarray(ids), (0, first))
