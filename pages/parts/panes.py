"""Still pictures side by side, as HTML: a photo, masks, what lies over what.

Pictures travel as the bytes they are: ``st.image`` would shrink a mask bilinearly and write a JPEG. A mask over a photo is two
pictures, one on the other, so a mask's colours are exact until the browser blends them, and it takes nearest pixels.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

STYLE = """
.panes { display: grid; gap: 1rem; grid-template-columns: repeat(var(--across), minmax(0, 1fr)); }
.panes figure { margin: 0; min-width: 0; }
.panes .pane { position: relative; max-width: calc(60vh * var(--ratio)); aspect-ratio: var(--ratio); margin: 0 auto;
  border-radius: .5rem; overflow: hidden; background: #8882; }
.panes .pane img { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.panes .pane img.exact { image-rendering: pixelated; }
.panes .pane img.over { opacity: var(--mask-opacity, .6); }
.panes .pane img.dim { filter: grayscale(.7) brightness(.45); }
.panes figcaption { display: flex; justify-content: space-between; gap: .75rem; padding: .35rem .1rem 0; font-size: .875rem; }
.panes figcaption span { opacity: .7; text-align: right; }
@media (max-width: 640px) { .panes { grid-template-columns: minmax(0, 1fr); } }
"""


@dataclass(frozen=True)
class Layer:
    """One picture of a pane."""

    data: bytes  # a PNG or a JPEG
    kind: str  # photo, mask, overlay, disagreement, truth: for tests and style sheets
    alt: str
    variant: str = ""
    classes: str = ""  # exact: nearest pixels; over: at the chosen opacity; dim: darkened


@dataclass(frozen=True)
class Pane:
    """A photo or a mask with its caption; later layers lie on earlier ones."""

    caption: str
    layers: Sequence[Layer]
    note: str = ""


def panes(shown: Sequence[Pane], ratio: float, across: int) -> str:
    """HTML of panes of pictures whose width is `ratio` times their height, so many `across`; one below the other on a phone."""
    return f'<div class="panes" style="--across:{across};--ratio:{ratio:.5f}">{"".join(map(_figure, shown))}</div>'


def data_url(data: bytes) -> str:
    """A PNG or JPEG as a URL."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def highlight(more: np.ndarray) -> bytes:
    """What `masks.disagreement` gives -> a PNG to lay over the photo: clear for one class, amber for two, red for three."""
    picture = Image.fromarray(np.minimum(more, 2))
    picture.putpalette([0, 0, 0, 255, 196, 0, 255, 64, 96])
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=0)
    return out.getvalue()


def _figure(pane: Pane) -> str:
    images = "".join(_image(layer) for layer in pane.layers)
    note = f"<span>{escape(pane.note)}</span>" if pane.note else ""
    return f'<figure><div class="pane">{images}</div><figcaption><b>{escape(pane.caption)}</b>{note}</figcaption></figure>'


def _image(layer: Layer) -> str:
    variant = f' data-variant="{escape(layer.variant)}"' if layer.variant else ""
    return (
        f'<img class="{layer.classes}" data-kind="{layer.kind}"{variant} alt="{escape(layer.alt)}" src="{data_url(layer.data)}">'
    )
