"""Parts of pages that are drawn in the browser by plain JavaScript, with no build step and nothing fetched from elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st


def component(folder: Path, *scripts: str) -> Callable[..., Any]:
    """The component of a folder NAME: an element of class NAME, NAME.css, and the scripts as one module, after ``dom.js``.

    Where no script is named it is NAME.js.
    """
    files = [folder.parent / "dom.js", *(folder / script for script in scripts or (f"{folder.name}.js",))]
    return st.components.v2.component(
        f"street_{folder.name}",
        html=f'<div class="{folder.name}"></div>',
        css=(folder / f"{folder.name}.css").read_text(),
        js="\n".join(file.read_text() for file in files),
        isolate_styles=False,
    )
