"""The camera, the light, and the canvas on which photo and label are painted together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from seg.data.scenes.noise import fractal_noise, to_ints
from seg.data.scenes.options import CLEAR, ID, NEAR, RGB, TO_ID, VISIBLE, Point, Sky


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above a level street.

    The horizon is moved by shifting the image, so vertical lines remain vertical.
    """

    focal: float
    """Focal length in pixels."""
    center: float
    """Column of the optical axis."""
    horizon: float
    """Row of the horizon."""
    height: float
    """Height above the road in meters."""
    t: float
    """Position across the street in meters."""
    yaw: float
    """Rotation to the right in radians."""
    curve: float
    """The middle of the street is at curve * s^2."""

    def view(self, points: np.ndarray) -> np.ndarray:
        """Transform N x 3 (t, y, s) to N x 3 (right, down, depth) from the camera, in meters."""
        t, y, s = np.asarray(points, np.float64).T
        x = t + self.curve * s * s - self.t
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.stack([x * cos - s * sin, self.height - y, x * sin + s * cos], 1)

    def project(self, points: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Project N x 3 (t, y, s) to N x 2 pixels (column, row) and N depths in meters."""
        x, y, z = self.view(np.asarray(points)).T
        scale = self.focal / np.where(np.abs(z) < 1e-6, 1e-6, z)
        return np.stack([self.center + x * scale, self.horizon + y * scale], 1), z

    def ground(self, first_row: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Locate the road at the pixels from `first_row` down.

        Args:
            first_row: the first row, below the horizon.
            height: rows of the image.
            width: columns of the image.

        Returns:
            t and s (rows x width) and depth (rows x 1), in meters.
        """
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
    sun: np.ndarray
    """Unit vector (t, y, s) towards the sun."""
    ambient: np.ndarray
    """RGB factors of the ambient light."""
    direct: np.ndarray
    """RGB factors of the sunlight."""
    haze: np.ndarray
    """RGB of infinitely thick air."""
    density: float
    """Extinction of the air per meter."""
    wet: bool

    def light(self, normal: tuple[float, float, float] = (0, 1, 0)) -> np.ndarray:
        """Return the RGB factors for the color of a face with this normal (t, y, s)."""
        return self.ambient * (0.9 + 0.1 * normal[1]) + self.direct * max(
            0.0, float(np.dot(normal, self.sun))
        )


class Sprite:
    """An upright image with a label, drawn in meters: x from its middle to the right, y from its base up.

    Args:
        width: in meters.
        height: in meters.
        scale: pixels per meter.
        fill: initial color; transparent by default.
        cls: initial train id; `CLEAR` by default.
    """

    def __init__(self, width: float, height: float, scale: float, fill: RGB | None = None, cls: int = CLEAR):
        self.width, self.height, self.scale = width, height, scale
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self.image = Image.new("RGBA", size, (*to_ints(fill), 255) if fill else (90, 90, 90, 0))
        self.label = Image.new("L", size, cls + 1)  # 0 = clear
        self._draw, self._mark = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)

    def _pixels(self, points: list[Point]) -> list[Point]:
        return [((x + self.width / 2) * self.scale, (self.height - y) * self.scale) for x, y in points]

    def polygon(self, points: list[Point], color: RGB | None, cls: int | None = None) -> None:
        """Fill a polygon; without a color only in the label, without a class only in the image."""
        pixels = self._pixels(points)
        if color is not None:
            self._draw.polygon(pixels, fill=(*to_ints(color), 255))
        if cls is not None:
            self._mark.polygon(pixels, fill=cls + 1)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, color: RGB | None, cls: int | None = None
    ) -> None:
        """Fill a rectangle, as `polygon`."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, cls)

    def disc(
        self, x: float, y: float, rx: float, ry: float, color: RGB | None, cls: int | None = None
    ) -> None:
        """Fill an ellipse around (x, y), as `polygon`."""
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.polygon([(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles], color, cls)

    def limb(self, points: list[Point], thickness: float, color: RGB, cls: int | None = None) -> None:
        """Draw a line with round joints."""
        pixels, width = self._pixels(points), max(1, round(thickness * self.scale))
        self._draw.line(pixels, (*to_ints(color), 255), width, joint="curve")
        if cls is not None:
            self._mark.line(pixels, cls + 1, width, joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, thickness / 2, thickness / 2, color, cls)

    def texture(self, field: np.ndarray) -> None:
        """Multiply the colors by H x W or H x W x 3 factors."""
        pixels = np.array(self.image)
        factors = np.minimum(np.asarray(field, np.float32) * 256, 1024).astype(np.uint32)
        lit = pixels[..., :3] * (factors[..., None] if field.ndim == 2 else factors) >> 8
        pixels[..., :3] = np.minimum(lit, 255)
        self.image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self.image)

    def grain(self, rng: np.random.Generator, amount: float, zoom: float = 1.0) -> None:
        """Vary the brightness by noise of this amplitude."""
        self.texture(1 + amount * fractal_noise(rng, self.image.height, self.image.width, zoom))


class Canvas:
    """The photo and the label being painted, at `SUPER` times the output size.

    Args:
        width: in pixels.
        height: in pixels.
        camera: the camera.
        weather: sky and light.
    """

    def __init__(self, width: int, height: int, camera: Camera, weather: Weather):
        self.width, self.height, self.camera, self.weather = width, height, camera, weather
        self.photo = Image.new("RGB", (width, height))
        self.label = Image.new("L", (width, height), ID["sky"])
        self._draw, self._mark = ImageDraw.Draw(self.photo), ImageDraw.Draw(self.label)

    def _haze_share(self, depth: float) -> float:
        """Return the share of haze in a color at this depth."""
        return 1 - float(np.exp(-self.weather.density * max(depth, 0)))

    def polygon(
        self, points: ArrayLike, color: RGB, cls: int | None, light: np.ndarray, cull: bool = False
    ) -> bool:
        """Paint a polygon.

        Args:
            points: N x 3 (t, y, s).
            color: its color.
            cls: its train id; None leaves the label unchanged.
            light: RGB factors.
            cull: omit the polygon if its back faces the camera.

        Returns:
            Whether it was painted: False if it is behind the camera or culled.
        """
        pixels, depth = self.camera.project(points)
        if depth.min() < NEAR:
            return False
        if cull:
            x, y = pixels.T
            if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) <= 0:
                return False
        hazy = self._haze_share(depth.mean())
        corners = [tuple(p) for p in pixels.tolist()]
        self._draw.polygon(
            corners, fill=to_ints(np.asarray(color) * light * (1 - hazy) + self.weather.haze * hazy)
        )
        if cls is not None:
            self._mark.polygon(corners, fill=cls)
        return True

    def shade(self, points: ArrayLike, factor: float) -> None:
        """Darken the photo inside a polygon of N x 3 (t, y, s) with a soft edge; the label is unchanged."""
        pixels, depth = self.camera.project(points)
        if depth.min() < NEAR:
            return
        blur = max(1.0, 0.1 * self.camera.focal / depth.mean())
        low, high = pixels.min(0) - 3 * blur, pixels.max(0) + 3 * blur
        x0, y0 = (int(max(0, c)) for c in low)
        x1, y1 = int(min(self.width, high[0])), int(min(self.height, high[1]))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0))
        ImageDraw.Draw(mask).polygon(
            [tuple(p) for p in (pixels - (x0, y0)).tolist()], fill=round(255 * (1 - factor))
        )
        mask = mask.filter(ImageFilter.BoxBlur(float(min(blur, 12))))
        self.photo.paste((8, 9, 11), (x0, y0), mask)

    def draw_panel(self, sprite: Sprite, a: Point, b: Point, bottom: float, light: np.ndarray) -> None:
        """Draw a sprite on the vertical plane through two points.

        Args:
            sprite: the sprite.
            a: (t, s) of its left edge.
            b: (t, s) of its right edge.
            bottom: height of its base in meters.
            light: RGB factors.
        """
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
        # Averaging a reduced sprite first avoids aliasing.
        displayed = (
            abs(columns[1] - columns[0]) / max(abs(ends[1] - ends[0]), 1e-3),
            np.ptp(rows, axis=0).max(),
        )
        shrink = (
            int(max(1, image.width / max(displayed[0], 1))),
            int(max(1, image.height / max(displayed[1], 1))),
        )
        hazy = self._haze_share(depths.mean() if depths.min() > 5 else depths.min() + 5)
        table = [
            np.clip(np.arange(256) * light[c] * (1 - hazy) + self.weather.haze[c] * hazy, 0, 255)
            for c in range(3)
        ]
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
        self.label.paste(ids.point(TO_ID), (x0, y0), ids.point(VISIBLE))

    def draw_upright(
        self, sprite: Sprite, t: float, s: float, light: np.ndarray, bottom: float = 0.0, turn: float = 0.0
    ) -> None:
        """Draw a sprite at (t, s), facing the camera along the street.

        Args:
            sprite: the sprite.
            t: of its middle, in meters.
            s: of its middle, in meters.
            light: RGB factors.
            bottom: height of its base in meters.
            turn: rotation around its vertical axis in radians.
        """
        half, slope = sprite.width / 2, 2 * self.camera.curve * s
        cos, sin = np.cos(turn), np.sin(turn)
        # The curve of the street skews (t, s); undone so that a sprite at turn 0 faces the camera.
        a, b = (t - half * cos, s - half * sin), (t + half * cos, s + half * sin)
        self.draw_panel(
            sprite, (a[0] + slope * half * sin, a[1]), (b[0] - slope * half * sin, b[1]), bottom, light
        )
