"""The viewer: photo, masks and truth in panes that zoom, pan and are probed together, drawn in the browser.

The JavaScript needs no build step: its files are one module, in this order. What it shows travels as one packed blob, since a
component takes bytes only when all its data is bytes.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pages.parts.component import component
from seg.labels import CLASSES, TRAIN_ID

_SCRIPTS = ("model.js", "paint.js", "view.js", "input.js", "link.js", "controls.js", "viewer.js", "main.js")

SAFE = (
    *("#254f41", "#d3e1dd", "#dfc489", "#582f00", "#ffffd3", "#000000", "#fffd14", "#f7b302", "#438c5a", "#e2ff83", "#96d9ff"),
    *("#aa5300", "#e7903e", "#0d73d2", "#002661", "#5fb1fd", "#1c425b", "#be85a1", "#9f5da1"),
)
"""A colour for each class that stays apart from all others in normal, protan and deutan vision: CIELAB distances of 22 and more,
found by hill climbing from hues of Okabe and Ito 2008."""


@dataclass(frozen=True)
class Pane:
    """One pane; without ids it shows the photo alone. Arrays are deflated, see `deflate`."""

    id: str
    title: str
    kind: Literal["photo", "mask", "truth"]
    note: str = ""
    shown: bool = True  # until a person chooses
    ids: bytes | None = None  # height x width as shown, train ids
    sure: bytes | None = None  # at working resolution: 255 times the confidence
    second: bytes | None = None  # at working resolution: the runner-up's train id
    work: tuple[int, int] | None = None  # width and height of the working resolution
    stride: int | None = None  # of the finest grid that it scores on, in working pixels


def deflate(array: np.ndarray) -> bytes:
    """A uint8 array as the viewer is sent it."""
    return zlib.compress(np.ascontiguousarray(array, np.uint8), 6)


def present(shares: Iterable[Mapping[str, float]]) -> dict[int, float]:
    """The class shares of some masks, by name -> train id and largest share in any of them, the largest first."""
    most: dict[str, float] = {}
    for of in shares:
        for name, share in of.items():
            most[name] = max(share, most.get(name, 0.0))
    return {TRAIN_ID[name]: most[name] for name in sorted(most, key=lambda name: -most[name])}


def pack(
    jpeg: bytes,
    size: tuple[int, int],
    photo_size: tuple[int, int],
    panes: Sequence[Pane],
    shares: Mapping[int, float],
    *,
    own: bool,
    waiting: bool = False,
) -> bytes:
    """What the viewer is sent.

    `jpeg` is the photo as it is shown, of `size` (width, height), `photo_size` is its own; `shares` is what `present` made;
    `own` says that it is a visitor's own photo, which no link can hold; `waiting` that more panes are on their way. Four bytes,
    little-endian, say how long the JSON header is; the sections that it lists by offset and length follow it.
    """
    sections: list[bytes] = []

    def place(content: bytes | None) -> tuple[int, int] | None:
        if content is None:
            return None
        sections.append(content)
        return sum(map(len, sections[:-1])), len(content)

    arrays = ("ids", "sure", "second")
    facts = ("id", "title", "kind", "note", "shown", "work", "stride")
    header = {
        "photo_digest": hashlib.sha256(jpeg).hexdigest(),
        "photo": place(jpeg),
        "photo_size": photo_size,
        "width": size[0],
        "height": size[1],
        "own": own,
        "waiting": waiting,
        "classes": [{"name": c.name, "color": c.color, "safe": _rgb(safe)} for c, safe in zip(CLASSES, SAFE, strict=True)],
        "present": [{"id": id, "share": share} for id, share in shares.items()],
        "panes": [
            {name: getattr(pane, name) for name in facts} | {name: place(getattr(pane, name)) for name in arrays}
            for pane in panes
        ],
    }
    content = b"".join(sections)
    digest = hashlib.sha256(json.dumps(header).encode() + content).hexdigest()
    head = json.dumps({"digest": digest} | header).encode()
    return len(head).to_bytes(4, "little") + head + content


_component = component(Path(__file__).parent, *_SCRIPTS)


def viewer(packed: bytes, key: str) -> tuple[int, int] | None:
    """Shows what `pack` made. Returns the photo's pixel (x, y) that is pinned."""
    point = _component(key=key, data=packed, on_point_change=lambda: None).point
    return (point["x"], point["y"]) if point else None


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
