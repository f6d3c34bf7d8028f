"""A transposed convolution on a small grid, to be played with; all of it runs in the browser."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent


def toy(key: str) -> None:
    """Shows it."""
    _component(key=key)


_component = st.components.v2.component(
    "transposed_convolution_toy",
    html='<div class="toy"></div>',
    css=(_HERE / "toy.css").read_text(),
    js=(_HERE / "toy.js").read_text(),
    isolate_styles=False,
)
