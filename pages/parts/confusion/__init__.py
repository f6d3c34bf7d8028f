"""A confusion matrix whose cells can be pressed: heatmaps of plotly do not tell Python which."""

from pathlib import Path

import numpy as np

from pages.parts.component import component
from seg.labels import CLASSES


def matrix(shares: np.ndarray, words: list[list[str]], chosen: tuple[int, int] | None, key: str) -> tuple[int, int] | None:
    """Shows K x K shares (0-1, nan: nothing to say), rows the truth, and what is said of each cell when it is pointed at.

    Returns the cell that was pressed last, (truth, prediction); None before that.
    """
    data = {
        "shares": [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in shares],
        "words": words,
        "chosen": chosen,
        "classes": [{"name": c.name, "color": c.color} for c in CLASSES],
    }
    pressed = _component(key=key, data=data, on_cell_change=lambda: None).cell
    return tuple(pressed) if pressed else None


_component = component(Path(__file__).parent)
