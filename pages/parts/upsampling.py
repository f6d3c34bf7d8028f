"""Transposed convolution: by hand on a small grid, and the kernels that a network learned, class by class."""

from html import escape

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from pages.parts import cached
from pages.parts.pictures import data_url
from pages.parts.toy import toy
from seg import inside, weights
from seg.fcn import bilinear_kernel
from seg.labels import NAMES

STYLE = """
.kernels { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: .6rem; }
.kernels figure { margin: 0; } .kernels img { width: 100%; image-rendering: pixelated; border-radius: .3rem; display: block; }
.kernels figcaption { font-size: .75rem; line-height: 1.3; padding-top: .2rem; } .kernels small { opacity: .7; display: block; }
"""

_SAID = """
A convolution gathers: each output is a weighted sum of the inputs under the kernel. A **transposed convolution** lays out: each
input, times the kernel, is laid down every *stride* cells, and where kernels overlap they are added. That makes a grid *stride*
times as fine; the name comes from the matrix, which is that of a convolution, transposed (Dumoulin, Visin 2016). With a kernel of
twice the stride and a tent's values it is bilinear interpolation: so FCN's began, and training went on from there.
"""

_COLORS = np.array([[96, 196, 255], [28, 92, 160], [16, 18, 24], [176, 84, 20], [255, 196, 92]], float)
"""Below zero, zero, above, as in the drawing of the network."""


def draw(card: weights.Card) -> None:
    """The grid to play with, then the kernels."""
    st.markdown(_SAID)
    toy(key="toy")
    st.subheader("The kernels that this network learned", anchor=False)
    with cached.network(card) as predictor:
        found = inside.kernels(inside.fcn_of(predictor))
    if len(found) > 1:
        name = st.segmented_control(
            "Transposed convolution", list(found), default=inside.LAST[card.variants[-1]], required=True, key="kernels"
        )
    else:
        name = next(iter(found))
    learned = found[name]
    bilinear = bilinear_kernel(len(learned[0]) // 2).numpy()
    away = np.abs(learned - bilinear).mean((1, 2)) / bilinear.mean()
    difference = st.toggle("Only what differs from bilinear", key="kernel_difference")
    shown = learned - bilinear if difference else learned
    most = float(np.abs(shown).max()) or 1.0
    cells = [_cell("bilinear", bilinear * (not difference), most, "where it began")]
    cells += [_cell(NAMES[k], shown[k], most, f"{away[k]:.0%} off") for k in np.argsort(-away)]
    st.html(f"<style>{STYLE}</style><div class='kernels'>{''.join(cells)}</div>")
    st.caption(
        f"{name}: stride {len(bilinear) // 2}, {len(bilinear)} × {len(bilinear)}, from −{most:.2f} (blue) over 0 (black) to "
        f"{most:.2f} (orange). “Off” is the mean distance from the bilinear kernel, as a share of its mean; the farthest "
        "come first."
    )
    which = st.selectbox("Across the middle", [NAMES[k] for k in np.argsort(-away)], key="kernel_class", width=280)
    st.plotly_chart(
        _profile(learned[NAMES.index(which)], bilinear, which), config={"displayModeBar": False}, key="kernel_profile",
        alt=f"Lines of the middle row of the learned kernel of {which} and of the bilinear one.",
    )  # fmt: skip


def _cell(name: str, kernel: np.ndarray, most: float, note: str) -> str:
    at = (kernel / most + 1) * (len(_COLORS) - 1) / 2
    rgb = np.stack([np.interp(at, range(len(_COLORS)), _COLORS[:, c]) for c in range(3)], -1)
    picture = data_url(cached.png_of(Image.fromarray(rgb.astype(np.uint8))), "png")
    return f'<figure><img alt="" src="{picture}"><figcaption>{escape(name)}<small>{escape(note)}</small></figcaption></figure>'


def _profile(learned: np.ndarray, bilinear: np.ndarray, name: str) -> go.Figure:
    """The middle rows: the mean of the two, since the size is even."""
    size = len(bilinear)
    place = np.arange(size) - (size - 1) / 2
    figure = go.Figure()
    for kernel, words, color, dash in ((bilinear, "bilinear", "#94a3b8", "dot"), (learned, name, "#0d9488", "solid")):
        row = kernel[size // 2 - 1 : size // 2 + 1].mean(0)
        figure.add_scatter(x=place, y=row, name=words, mode="lines+markers", line={"color": color, "dash": dash, "width": 2})
    return figure.update_layout(
        height=280,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.1},
        xaxis={"title": "pixels from the kernel’s middle", "fixedrange": True},
        yaxis={"fixedrange": True},
    )
