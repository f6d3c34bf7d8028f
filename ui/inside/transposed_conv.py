"""The view Transposed convolution: an interactive example, and the learned kernels of a network."""

from html import escape

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from seg.interpretability import activations
from seg.models.fcn import bilinear_kernel
from seg.models.model_card import ModelCard
from ui.components.linked_images import data_url
from ui.components.transposed_conv_demo import transposed_conv_demo
from ui.shared.pictures import encode_png
from ui.state.model_pool import borrow_model

STYLE = """
.kernels { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: .6rem; }
.kernels figure { margin: 0; }
.kernels img { width: 100%; image-rendering: pixelated; border-radius: .3rem; display: block; }
.kernels figcaption { font-size: .75rem; line-height: 1.3; padding-top: .2rem; }
.kernels small { opacity: .7; display: block; }
"""

_INTRODUCTION = """
In a convolution, each output is a weighted sum of the inputs under the kernel. A **transposed convolution**
reverses this: each input scales a copy of the kernel, the copies are placed *stride* cells apart, and
overlapping values are added. The output grid is *stride* times as fine. The name refers to the matrix of the
operation, the transpose of a convolution's (Dumoulin, Visin 2016). A kernel of twice the stride with
triangular weights performs bilinear interpolation. The kernels are initialized this way, and training adjusts
all of them; the paper fixes the last one to bilinear interpolation.
"""

_COLORS = np.array([[96, 196, 255], [28, 92, 160], [16, 18, 24], [176, 84, 20], [255, 196, 92]], float)
"""Negative, zero and positive values, as in the drawing of the network."""


def draw(card: ModelCard) -> None:
    """Draw the example and the kernels of the network.

    Args:
        card: Card of the weights.
    """
    st.markdown(_INTRODUCTION)
    transposed_conv_demo(key="toy")
    st.subheader("Learned kernels of this network", anchor=False)
    if card.architecture == "unet-resnet50":
        st.info(
            "U-Net has no transposed convolution: its decoder repeats each cell twice in both directions "
            "(nearest neighbor) and then convolves.",
            icon=":material/info:",
        )
        return
    with borrow_model(card, activations=True) as predictor:
        kernels = activations.upsampling_kernels(activations.fcn_of(predictor))
    name = next(iter(kernels))
    if len(kernels) > 1:
        name = st.segmented_control(
            "Transposed convolution",
            list(kernels),
            default=activations.FINAL_UPSAMPLE[card.variants[-1]],
            required=True,
            key="kernels",
        )
    learned = kernels[name]
    size = len(learned[0])
    bilinear = bilinear_kernel(size // 2).numpy()
    deviation = np.abs(learned - bilinear).mean((1, 2)) / bilinear.mean()
    by_deviation = np.argsort(-deviation)
    difference = st.toggle("Show the difference from bilinear", key="kernel_difference")
    shown = learned - bilinear if difference else learned
    limit = float(np.abs(shown).max()) or 1.0
    cells = [_cell("bilinear", bilinear * (not difference), limit, "initialization")]
    cells += [_cell(card.classes[k], shown[k], limit, f"{deviation[k]:.0%} deviation") for k in by_deviation]
    st.html(f"<style>{STYLE}</style><div class='kernels'>{''.join(cells)}</div>")
    st.caption(
        f"{name}: stride {size // 2}, {size} × {size}. Colors range from −{limit:.2f} (blue) through 0 "
        f"(black) to {limit:.2f} (orange). The deviation is the mean absolute difference from the bilinear "
        "kernel divided by the kernel’s mean. Kernels are sorted by it."
    )
    class_name = st.selectbox(
        "Cross-section of", [card.classes[k] for k in by_deviation], key="kernel_class", width=280
    )
    st.plotly_chart(
        _cross_section(learned[card.classes.index(class_name)], bilinear, class_name),
        config={"displayModeBar": False},
        key="kernel_profile",
        alt=f"The middle row of the learned kernel of {class_name} and of the bilinear kernel.",
    )


def _cell(name: str, kernel: np.ndarray, limit: float, note: str) -> str:
    position = (kernel / limit + 1) * (len(_COLORS) - 1) / 2
    rgb = np.stack(
        [np.interp(position, range(len(_COLORS)), _COLORS[:, channel]) for channel in range(3)], -1
    )
    picture = data_url(encode_png(Image.fromarray(rgb.astype(np.uint8))), "png")
    caption = f"<figcaption>{escape(name)}<small>{escape(note)}</small></figcaption>"
    return f'<figure><img alt="" src="{picture}">{caption}</figure>'


def _cross_section(learned: np.ndarray, bilinear: np.ndarray, name: str) -> go.Figure:
    """Plot the mean of the two middle rows, since the size is even."""
    size = len(bilinear)
    offsets = np.arange(size) - (size - 1) / 2
    figure = go.Figure()
    lines = ((bilinear, "bilinear", "#94a3b8", "dot"), (learned, name, "#0d9488", "solid"))
    for kernel, label, color, dash in lines:
        row = kernel[size // 2 - 1 : size // 2 + 1].mean(0)
        line = {"color": color, "dash": dash, "width": 2}
        figure.add_scatter(x=offsets, y=row, name=label, mode="lines+markers", line=line)
    return figure.update_layout(
        height=280,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.1},
        xaxis={"title": "offset from the kernel’s center in pixels", "fixedrange": True},
        yaxis={"fixedrange": True},
    )
