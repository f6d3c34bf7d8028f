"""Components in plain JavaScript, without a build step or external resources."""

import re
from collections.abc import Callable, Sequence
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


def valid_integers(value: object, bounds: Sequence[int]) -> tuple[int, ...] | None:
    """Return integers that a component reported. A visitor can send any JSON in their place.

    Args:
        value: What the component reported.
        bounds: For each integer, the number that it must be below; 0 is the least.

    Returns:
        The integers; None if the value is something else.
    """
    if not isinstance(value, list) or len(value) != len(bounds):
        return None
    valid = all(type(item) is int and 0 <= item < bound for item, bound in zip(value, bounds, strict=True))
    return tuple(value) if valid else None


def valid_point(value: object) -> tuple[float, float] | None:
    """Return a point (x, y) in shares of a picture that a component reported; None for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    if not all(type(item) in (int, float) and 0 <= item <= 1 for item in value):  # NaN is neither
        return None
    return float(value[0]), float(value[1])


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
