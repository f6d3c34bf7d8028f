"""The drawn network: every node shows its own tensor for a photo, at its own resolution; one of them is seen large.

Plain JavaScript with no build step; the arrays travel as deflated bytes, one a pixel.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pages.parts.component import component
from pages.parts.viewer import deflate
from seg.labels import CLASSES


@dataclass(frozen=True)
class Node:
    """A tensor on the way. Its place is a column (from 1) and a row (from 1) of the drawing."""

    id: str
    title: str
    shape: str
    column: int
    row: int
    text: str  # what it is and how it is made
    kind: Literal["photo", "ids", "strength", "score"]
    width: int  # in pixels, of the photo or in cells of the tensor
    height: int
    data: str  # base64: a JPEG, or deflated bytes: train ids, or values from `low` to `high` in 255 steps
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Step:
    """One step on the way from coarse to fine: the edges (from, to) that are lit, and the node that is seen large."""

    title: str
    text: str
    node: str
    edges: Sequence[tuple[str, str]]


def ids_node(mask: np.ndarray, **facts) -> Node:
    """A node of train ids."""
    height, width = mask.shape
    return Node(kind="ids", width=width, height=height, data=_packed(mask), **facts)


def score_node(values: np.ndarray, **facts) -> Node:
    """A node of h x w scores: the colour says how far below or above zero."""
    most = float(np.abs(values).max()) or 1.0
    return _valued("score", values, -most, most, facts)


def strength_node(values: np.ndarray, **facts) -> Node:
    """A node of h x w values that are not negative."""
    return _valued("strength", values, 0.0, float(values.max()) or 1.0, facts)


def photo_node(jpeg: bytes, size: tuple[int, int], **facts) -> Node:
    """The photo, of `size` (width, height)."""
    return Node(kind="photo", width=size[0], height=size[1], data=base64.b64encode(jpeg).decode(), **facts)


def diagram(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str]],
    steps: Sequence[Step],
    point: tuple[float, float],
    title: str,
    key: str,
) -> tuple[float, float] | None:
    """Draws the network; `title` says what the nodes of scores show. Returns the point that was clicked last, in shares (x, y) of
    the photo; None before that."""
    data = {
        "nodes": [asdict(node) for node in nodes],
        "edges": edges,
        "steps": [asdict(step) for step in steps],
        "classes": [{"name": c.name, "color": c.color} for c in CLASSES],
        "point": point,
        "title": title,
    }
    clicked = _component(key=key, data=data, on_point_change=lambda: None).point
    return tuple(clicked) if clicked else None


def _valued(kind: Literal["strength", "score"], values: np.ndarray, low: float, high: float, facts: dict) -> Node:
    height, width = values.shape
    bytes_ = np.rint((values - low) * (255 / (high - low)))
    return Node(kind=kind, width=width, height=height, data=_packed(bytes_), low=low, high=high, **facts)


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(deflate(array.astype(np.uint8))).decode()


_component = component(Path(__file__).parent)
