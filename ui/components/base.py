"""Components in plain JavaScript, without a build step or external resources."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_IMPORT = re.compile(r'^import [^;]*? from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def component(folder: Path, script: str | None = None) -> Callable[..., Any]:
    """Create the component of a folder: an element with the folder's name as class, its style sheet and its
    script.

    Args:
        folder: Folder with NAME.css and NAME.js.
        script: Name of the script, if it is not NAME.js.
    """
    return st.components.v2.component(
        f"street_{folder.name}",
        html=f'<div class="{folder.name.replace("_", "-")}"></div>',
        css=(folder / f"{folder.name}.css").read_text(),
        js=joined(folder / (script or f"{folder.name}.js")),
        isolate_styles=False,
    )


def joined(script: Path) -> str:
    """Join a script and its imports into one module: Streamlit serves a component's JavaScript as one text.

    Files are standard modules for editors, the type checker and Node. Joined, they share one scope: top-level
    names must differ, and imports must not rename or form cycles.
    """
    parts: dict[Path, str] = {}

    def add(file: Path) -> None:
        if file in parts:
            return
        text = file.read_text()
        for name in _IMPORT.findall(text):
            add((file.parent / name).resolve())
        parts[file] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(script.resolve())
    return "\n".join(parts.values())
