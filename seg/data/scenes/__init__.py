"""Rendered street scenes with exact labels: `render_scene` for one, `write_pairs` for a dataset.

Scenes use the coordinates (t, y, s) in meters: to the right of the middle of the driving lane, above the
road, and along the street. A pinhole camera projects them, and distant objects are painted first, all at
twice the output resolution. The photo is then averaged and the label takes the majority, so no label pixel
is a blend.
"""

from seg.data.scenes.compose import render_scene
from seg.data.scenes.options import LIMITS, Scene, SceneOptions, Sides, Sky
from seg.data.scenes.write_pairs import active_renders, scene_seed, temp_dir, write_pairs

__all__ = [
    "LIMITS",
    "Scene",
    "SceneOptions",
    "Sides",
    "Sky",
    "active_renders",
    "render_scene",
    "scene_seed",
    "temp_dir",
    "write_pairs",
]
