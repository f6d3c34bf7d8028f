"""Pictures of one photo side by side with a shared point, moved by a click or the arrow keys."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ui.components.base import component, valid_point


@dataclass(frozen=True)
class Picture:
    """A captioned JPEG or PNG. A box is (left, top, right, bottom) in shares of the picture and may exceed
    it."""

    title: str
    note: str
    data: str  # a data URL
    box: tuple[float, float, float, float] | None = None


def data_url(content: bytes, kind: str) -> str:
    """Return a file as a data URL.

    Args:
        content: JPEG or PNG file.
        kind: "jpeg" or "png".
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def linked_images(
    pictures: Sequence[Picture], point: tuple[float, float], key: str
) -> tuple[float, float] | None:
    """Draw the pictures.

    Args:
        pictures: Pictures of the same photo.
        point: The point (x, y) in shares of the photo.
        key: Key of the component.

    Returns:
        The point that the visitor chose last, or None.
    """
    data = {"pictures": [asdict(picture) for picture in pictures], "point": point}
    clicked = _component(key=key, data=data, on_point_change=lambda: None).point
    return valid_point(clicked)


_component = component(Path(__file__).parent)
