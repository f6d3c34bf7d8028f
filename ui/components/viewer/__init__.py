"""The viewer: photo, masks and ground truth in panes that zoom, pan and are probed together.

Its content travels as one packed message, since a component accepts bytes only as all of its data. `pack`
writes the message, model.js reads it, and types.js describes it.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.description import distinct_colors
from ui.components.base import component, valid_integers

SAFE = (
    *(
        "#254f41",
        "#d3e1dd",
        "#dfc489",
        "#582f00",
        "#ffffd3",
        "#000000",
        "#fffd14",
        "#f7b302",
        "#438c5a",
        "#e2ff83",
    ),
    *("#96d9ff", "#aa5300", "#e7903e", "#0d73d2", "#002661", "#5fb1fd", "#1c425b", "#be85a1", "#9f5da1"),
)
"""A color-blind-safe color per class. CIELAB distances are at least 22 in normal, protan and deutan vision;
found by hill climbing from the hues of Okabe and Ito 2008."""


@dataclass(frozen=True)
class Pane:
    """A pane; without `ids` it shows the photo only. Arrays are compressed with `deflate`."""

    id: str
    title: str
    kind: Literal["photo", "mask", "truth", "disagreement", "awaited"]
    note: str = ""
    shown: bool = True  # until the visitor chooses
    ids: bytes | None = None  # H x W train ids at the display size
    confidence: bytes | None = None  # 255 times, at working resolution
    runner_up: bytes | None = None  # train ids at working resolution
    entropy: bytes | None = None  # 255 times, at working resolution
    working_size: tuple[int, int] | None = None  # width and height
    stride: int | None = None  # of the finest output grid, in working pixels
    compared: tuple[str, ...] = ()  # ids of the panes of a disagreement map


def deflate(array: np.ndarray) -> bytes:
    """Compress a uint8 array for the viewer."""
    return zlib.compress(np.ascontiguousarray(array, np.uint8).data, 6)


def present(shares: Iterable[Mapping[str, float]], classes: ClassSet = CITYSCAPES) -> dict[int, float]:
    """Return the classes that occur in any mask.

    Args:
        shares: Class shares (0 to 1) by name, for each mask.
        classes: The classes.

    Returns:
        The largest share in any mask by train id, the largest first.
    """
    largest: dict[str, float] = {}
    for mask_shares in shares:
        for name, share in mask_shares.items():
            largest[name] = max(share, largest.get(name, 0.0))
    return {
        classes.train_id[name]: largest[name] for name in sorted(largest, key=lambda name: -largest[name])
    }


def pack(
    jpeg: bytes,
    size: tuple[int, int],
    photo_size: tuple[int, int],
    panes: Sequence[Pane],
    shares: Mapping[int, float],
    *,
    own: bool,
    waiting: bool = False,
    classes: ClassSet = CITYSCAPES,
) -> bytes:
    """Pack the viewer's message.

    Four bytes, little-endian, hold the length of the JSON header; the sections that it lists by offset and
    length follow it.

    Args:
        jpeg: The photo at its display size.
        size: Width and height of the JPEG.
        photo_size: Width and height of the original photo.
        panes: Panes in display order.
        shares: Result of `present`.
        own: Whether the photo is an upload, which links cannot contain.
        waiting: Whether more panes will follow.
        classes: The classes of all arrays.
    """
    sections: list[bytes] = []

    def place(content: bytes | None) -> tuple[int, int] | None:
        if content is None:
            return None
        sections.append(content)
        return sum(map(len, sections[:-1])), len(content)

    arrays = ("ids", "confidence", "runner_up", "entropy")
    facts = ("id", "title", "kind", "note", "shown", "working_size", "stride", "compared")
    header = {
        "photo_digest": hashlib.sha256(jpeg).hexdigest(),
        "photo": place(jpeg),
        "photo_size": photo_size,
        "width": size[0],
        "height": size[1],
        "own": own,
        "waiting": waiting,
        "classes": [
            {"name": info.name, "color": info.color, "safe": safe}
            for info, safe in zip(classes.classes, _safe_colors(classes), strict=True)
        ],
        "present": [{"id": id, "share": share} for id, share in shares.items()],
        "panes": [
            {name: getattr(pane, name) for name in facts}
            | {name: place(getattr(pane, name)) for name in arrays}
            for pane in panes
        ],
    }
    content = b"".join(sections)
    digest = hashlib.sha256(json.dumps(header).encode() + content).hexdigest()
    head = json.dumps({"digest": digest} | header).encode()
    return len(head).to_bytes(4, "little") + head + content


_component = component(Path(__file__).parent, "main.js")


_MAX_SIDE = 2**17  # more than any photo has


def viewer(packed: bytes, key: str) -> tuple[int, int] | None:
    """Draw the viewer.

    Args:
        packed: Message of `pack`.
        key: Key of the component.

    Returns:
        Column and row of the pinned pixel; None if no pixel is pinned. The photo need not be that large: a
        visitor can send other numbers.
    """
    point = _component(key=key, data=packed, on_point_change=lambda: None).point
    if not isinstance(point, dict):
        return None
    pixel = valid_integers([point.get("x"), point.get("y")], (_MAX_SIDE, _MAX_SIDE))
    return (pixel[0], pixel[1]) if pixel else None


def _safe_colors(classes: ClassSet) -> list[tuple[int, ...]]:
    """Return the colors of `SAFE` by name for the classes of Cityscapes, and the unused ones for others;
    for more classes colors that are only distinct."""
    by_name = dict(zip(CITYSCAPES.names, map(_rgb, SAFE), strict=True))
    unused = [color for name, color in by_name.items() if name not in classes.train_id]
    unused += distinct_colors(len(classes))
    return [by_name[name] if name in by_name else unused.pop(0) for name in classes.names]


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
