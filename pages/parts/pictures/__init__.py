"""Pictures of one photo side by side, with a point that a click or the arrow keys move in all of them."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pages.parts.component import component


@dataclass(frozen=True)
class Picture:
    """A JPEG or PNG and what is said of it; a box is (left, top, right, bottom) in shares of the picture, and may stick out."""

    title: str
    note: str
    data: str  # a data URL
    box: tuple[float, float, float, float] | None = None


def data_url(content: bytes, kind: str) -> str:
    """A picture's file -> what a `Picture` takes; `kind` is jpeg or png."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def pictures(shown: Sequence[Picture], point: tuple[float, float], key: str) -> tuple[float, float] | None:
    """Shows them with the point, in shares (x, y) of the photo. Returns where a person put it last; None before that."""
    data = {"pictures": [asdict(picture) for picture in shown], "point": point}
    clicked = _component(key=key, data=data, on_point_change=lambda: None).point
    return tuple(clicked) if clicked else None


_component = component(Path(__file__).parent)
