"""Outlines of a mask's segments as polygons along the edges of pixels, which reproduce the mask exactly."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

Polygon = list[int]
"""Corners x0, y0, x1, y1, … in pixels from the image's upper left corner."""


class Segment(NamedTuple):
    """A connected segment of a class."""

    area: int
    """In pixels."""
    box: tuple[int, int, int, int]
    """x, y, width and height in pixels."""
    polygons: list[Polygon]
    """They cover the segment's pixels and no others."""


def outline_segments(mask: np.ndarray) -> Iterator[Segment]:
    """Find the connected segments of a binary mask (4 neighbors) and their outlines.

    Polygons have no holes: a segment with holes is cut through them into several polygons.

    Args:
        mask: H x W bool.
    """
    segments, _ = ndimage.label(mask)
    for number, (rows, columns) in enumerate(ndimage.find_objects(segments), 1):
        part = segments[rows, columns] == number
        box = columns.start, rows.start, part.shape[1], part.shape[0]
        yield Segment(int(part.sum()), box, list(_cut(part, *box[:2])))


def _cut(mask: np.ndarray, x: int, y: int) -> Iterator[Polygon]:
    """Yield polygons of a mask whose upper left corner is at x, y in the image."""
    parts, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        part = parts[box] == number
        left, top = x + box[1].start, y + box[0].start
        holes = ndimage.binary_fill_holes(part) & ~part
        if not holes.any():
            yield _trace(part, left, top)
            continue
        columns = np.flatnonzero(holes.any(0))
        middle = int(columns[len(columns) // 2])
        yield from _cut(part[:, :middle], left, top)
        yield from _cut(part[:, middle:], left + middle, top)


def _trace(mask: np.ndarray, x: int, y: int) -> Polygon:
    """Return the outline of a connected mask without holes, clockwise as seen."""
    framed = np.pad(mask, 1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}  # from corner to corner, the mask on the right
    for inside, start, end in (
        (framed[1:-1, 1:-1] & ~framed[:-2, 1:-1], (0, 0), (1, 0)),
        (framed[1:-1, 1:-1] & ~framed[1:-1, 2:], (1, 0), (1, 1)),
        (framed[1:-1, 1:-1] & ~framed[2:, 1:-1], (1, 1), (0, 1)),
        (framed[1:-1, 1:-1] & ~framed[1:-1, :-2], (0, 1), (0, 0)),
    ):
        for row, column in np.argwhere(inside).tolist():
            corner = column + start[0], row + start[1]
            steps.setdefault(corner, []).append((column + end[0], row + end[1]))
    first = here = min(steps, key=lambda corner: (corner[1], corner[0]))
    direction, polygon = (0, 0), []
    while steps:
        # where two pixels touch at a corner, turning right stays at the same pixel
        choices = steps[here]
        turn = (-direction[1], direction[0])
        target = next((c for c in choices if (c[0] - here[0], c[1] - here[1]) == turn), choices[0])
        choices.remove(target)
        heading = target[0] - here[0], target[1] - here[1]
        if heading != direction:
            polygon += [here[0] + x, here[1] + y]
        here, direction = target, heading
        if here == first and not steps[first]:
            break
    return polygon
