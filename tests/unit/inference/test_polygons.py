"""Polygons reproduce masks exactly, read by COCO's own library."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from seg.inference.polygons import outline_segments

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # of pycocotools


def rasterize(polygons: list[list[int]], shape: tuple[int, int]) -> np.ndarray:
    objects = coco_mask.frPyObjects([[float(value) for value in polygon] for polygon in polygons], *shape)
    return coco_mask.decode(objects).sum(-1)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8, 0.95])
def test_polygons_cover_each_pixel_once(density):
    dice = np.random.default_rng(0)
    for _ in range(25):
        mask = dice.random(dice.integers(1, 12, 2)) < density
        segments = list(outline_segments(mask))
        total = sum(
            (rasterize(segment.polygons, mask.shape) for segment in segments), np.zeros(mask.shape, int)
        )
        np.testing.assert_array_equal(total, mask)
        assert sum(segment.area for segment in segments) == mask.sum()


def test_a_rectangle_has_four_corners_and_a_ring_is_cut():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    (segment,) = outline_segments(mask)
    assert segment.polygons == [[2, 1, 7, 1, 7, 4, 2, 4]] and segment.box == (2, 1, 5, 3)
    mask[2, 4] = False
    (ring,) = outline_segments(mask)
    assert len(ring.polygons) == 2 and ring.area == 14
    np.testing.assert_array_equal(rasterize(ring.polygons, mask.shape), mask)
