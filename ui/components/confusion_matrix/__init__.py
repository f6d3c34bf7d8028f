"""A confusion matrix with clickable cells, which Plotly's heatmaps do not report to Python."""

from pathlib import Path

import numpy as np

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from ui.components.base import component, valid_integers


def confusion_matrix(
    shares: np.ndarray,
    texts: list[list[str]],
    chosen: tuple[int, int] | None,
    key: str,
    classes: ClassSet = CITYSCAPES,
) -> tuple[int, int] | None:
    """Draw the matrix.

    Args:
        shares: K x K shares (0 to 1), rows: ground truth, columns: prediction; NaN where a share is
            undefined.
        texts: Description of each cell.
        chosen: The highlighted cell.
        key: Key of the component.
        classes: The classes.

    Returns:
        The last clicked cell (ground truth, prediction), or None.
    """
    data = {
        "shares": [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in shares],
        "texts": texts,
        "chosen": chosen,
        "classes": [{"name": info.name, "color": info.color} for info in classes.classes],
    }
    clicked = _component(key=key, data=data, on_cell_change=lambda: None).cell
    cell = valid_integers(clicked, (len(classes), len(classes)))
    return (cell[0], cell[1]) if cell else None


_component = component(Path(__file__).parent)
