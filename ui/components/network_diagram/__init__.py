"""A drawing of the network: every node shows its tensor for a photo at the tensor's resolution, one of them
enlarged.

Arrays travel as compressed bytes, one per pixel.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from ui.components.base import component, valid_point
from ui.components.viewer import deflate


@dataclass(frozen=True)
class Node:
    """A tensor of the network. Its column and row in the drawing count from 1."""

    id: str
    title: str
    shape: str
    column: int
    row: int
    text: str  # description
    kind: Literal["photo", "ids", "strength", "score"]
    width: int  # in pixels, of the photo or in cells of the tensor
    height: int
    data: str  # base64: a JPEG, or deflated bytes: train ids, or values from `low` to `high` in 255 steps
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Step:
    """A step of the tour from coarse to fine: the highlighted edges (from, to) and the enlarged node."""

    title: str
    text: str
    node: str
    edges: Sequence[tuple[str, str]]


def ids_node(mask: np.ndarray, **facts: Any) -> Node:
    """Return a node that shows a mask.

    Args:
        mask: H x W train ids.
        **facts: Other fields of the node.
    """
    height, width = mask.shape
    return Node(kind="ids", width=width, height=height, data=_packed(mask), **facts)


def score_node(values: np.ndarray, **facts: Any) -> Node:
    """Return a node that shows H x W logits with a diverging color map."""
    limit = float(np.abs(values).max()) or 1.0
    return _valued("score", values, -limit, limit, facts)


def strength_node(values: np.ndarray, **facts: Any) -> Node:
    """Return a node that shows H x W non-negative values with a sequential color map."""
    return _valued("strength", values, 0.0, float(values.max()) or 1.0, facts)


def photo_node(jpeg: bytes, size: tuple[int, int], **facts: Any) -> Node:
    """Return a node that shows the photo of `size` (width, height)."""
    return Node(kind="photo", width=size[0], height=size[1], data=base64.b64encode(jpeg).decode(), **facts)


def network_diagram(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str]],
    steps: Sequence[Step],
    point: tuple[float, float],
    title: str,
    key: str,
    classes: ClassSet = CITYSCAPES,
) -> tuple[float, float] | None:
    """Draw the network.

    Args:
        nodes: Tensors.
        edges: Pairs of node ids.
        steps: Steps of the tour.
        point: The point (x, y) in shares of the photo.
        title: What the nodes of scores show.
        key: Key of the component.
        classes: The classes.

    Returns:
        The point that was clicked last, in shares (x, y) of the photo, or None.
    """
    data = {
        "nodes": [asdict(node) for node in nodes],
        "edges": edges,
        "steps": [asdict(step) for step in steps],
        "classes": [{"name": info.name, "color": info.color} for info in classes.classes],
        "point": point,
        "title": title,
    }
    clicked = _component(key=key, data=data, on_point_change=lambda: None).point
    return valid_point(clicked)


def _valued(
    kind: Literal["strength", "score"], values: np.ndarray, low: float, high: float, facts: dict
) -> Node:
    height, width = values.shape
    bytes_ = np.rint((values - low) * (255 / (high - low)))
    return Node(kind=kind, width=width, height=height, data=_packed(bytes_), low=low, high=high, **facts)


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(deflate(array.astype(np.uint8))).decode()


_component = component(Path(__file__).parent)
