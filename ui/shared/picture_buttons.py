"""Buttons with a picture behind their text."""

import base64
from collections.abc import Callable, Sequence

import streamlit as st

from ui.shared.text import plain


def picture_grid(
    key: str, cells: Sequence[tuple[str, str, bytes]], chosen: str | None, on_choose: Callable[[str], None]
) -> None:
    """Draw a grid of pictures.

    Args:
        key: Key of the container.
        cells: Name, text and JPEG of each picture.
        chosen: Name of the chosen picture.
        on_choose: Receives the name of a clicked picture.
    """
    with st.container(horizontal=True, gap="small", key=f"grid-{key}"):
        for number, (name, text, thumbnail) in enumerate(cells):
            st.button(plain(text), key=f"{key}-{number}", on_click=on_choose, args=(name,), width="stretch")
            picture_button(f"{key}-{number}", thumbnail, name == chosen)


def picture_button(key: str, thumbnail: bytes | None, chosen: bool) -> None:
    """Put a picture behind a button.

    Args:
        key: Key of the button.
        thumbnail: JPEG; None while it is not rendered yet.
        chosen: Whether to draw a ring around it.
    """
    style = "outline: 3px solid var(--chosen) !important; outline-offset: 2px; " if chosen else ""
    if thumbnail is not None:
        url = f"data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}"
        style += f"background-image: linear-gradient(#0000 45%, #000b), url({url}) !important;"
    st.html(f"<style>.st-key-{key} button {{ {style} }}</style>")
