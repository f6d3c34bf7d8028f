"""The viewer: photo, masks and truth in panes that zoom, pan and are probed together, drawn in the browser.

The JavaScript needs no build step: its files are one module, in this order. What it shows travels as one packed blob, since a
component takes bytes only when all its data is bytes.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from seg.labels import CLASSES

_HERE = Path(__file__).parent
_SCRIPTS = ("model.js", "paint.js", "view.js", "input.js", "viewer.js", "main.js")

SAFE = (
    *("#4d4d4d", "#b3b3b3", "#d9a066", "#8c5a2b", "#e6d5b8", "#000000", "#f0e442", "#ffb000", "#009e73", "#a6d96a", "#9ad1f5"),
    *("#d55e00", "#ff8f66", "#0072b2", "#004c80", "#56b4e9", "#33658a", "#cc79a7", "#8e4585"),
)
"""A colour for each class that stays apart in any colour vision: hues of Okabe and Ito 2008, told apart further by lightness."""


@dataclass(frozen=True)
class Pane:
    """One pane; without ids it shows the photo alone."""

    id: str
    title: str
    kind: str  # photo, mask or truth
    note: str = ""
    ids: np.ndarray | None = None  # height x width as shown, uint8 train ids
    sure: np.ndarray | None = None  # at working resolution, uint8: 255 times the confidence
    second: np.ndarray | None = None  # at working resolution, uint8: the runner-up's train id
    stride: int | None = None  # of the finest grid that it scores on, in working pixels


def pack(jpeg: bytes, photo_size: tuple[int, int], panes: Sequence[Pane], shares: Mapping[int, float]) -> bytes:
    """A photo as it is shown, its own width and height, panes, and the share of each class present -> what the viewer is sent.

    Four bytes, little-endian, say how long the JSON header is; the sections that it lists by offset and length follow it.
    """
    sections: list[bytes] = []

    def place(content: bytes | None) -> tuple[int, int] | None:
        if content is None:
            return None
        sections.append(content)
        return sum(map(len, sections[:-1])), len(content)

    def deflated(array: np.ndarray | None) -> tuple[int, int] | None:
        return place(None if array is None else zlib.compress(np.ascontiguousarray(array, np.uint8), 6))

    shown = next((pane.ids.shape for pane in panes if pane.ids is not None), None)
    work = next((pane.sure.shape for pane in panes if pane.sure is not None), shown)
    header = {
        "photo_digest": hashlib.sha256(jpeg).hexdigest(),
        "photo": place(jpeg),
        "photo_size": photo_size,
        "work": work and work[::-1],
        "classes": [{"name": c.name, "color": c.color, "safe": _rgb(safe)} for c, safe in zip(CLASSES, SAFE, strict=True)],
        "present": [{"id": id, "share": share} for id, share in shares.items()],
        "panes": [
            {
                "id": pane.id,
                "title": pane.title,
                "kind": pane.kind,
                "note": pane.note,
                "stride": pane.stride,
                "ids": deflated(pane.ids),
                "sure": deflated(pane.sure),
                "second": deflated(pane.second),
            }
            for pane in panes
        ],
    }
    size = shown or _size(jpeg)
    header |= {"width": size[1], "height": size[0]}
    content = b"".join(sections)
    digest = hashlib.sha256(json.dumps(header).encode() + content).hexdigest()
    head = json.dumps({"digest": digest} | header).encode()
    return len(head).to_bytes(4, "little") + head + content


_component = st.components.v2.component(
    "street_viewer",
    html='<div class="viewer"></div>',
    css=(_HERE / "viewer.css").read_text(),
    js="\n".join((_HERE / name).read_text() for name in _SCRIPTS),
    isolate_styles=False,
)


def viewer(packed: bytes, key: str) -> tuple[int, int] | None:
    """Shows what `pack` made. Returns the photo's pixel (x, y) that was pinned just now."""
    point = _component(key=key, data=packed, on_point_change=lambda: None).point
    return (point["x"], point["y"]) if point else None


def _size(jpeg: bytes) -> tuple[int, int]:
    import io

    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.height, picture.width


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
