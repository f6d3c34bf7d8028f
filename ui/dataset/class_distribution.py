"""The Class frequencies view: by split, and compared with Cityscapes' own labels."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from seg.data.cityscapes import CITYSCAPES_CLASS_FREQUENCIES, CLASSES, NAMES
from seg.data.pairs import SPLITS, has_pairs, is_rendered
from ui.dataset import pair_cache
from ui.shared import charts

BOTH = "both"

_MARKS = {"train": ("#0d9488", "circle"), "val": ("#d97706", "diamond")}
"""Color and symbol of each split."""

_RENDERED = (
    "This dataset is rendered. Its streets, traffic and people differ from Cityscapes, so its class "
    "frequencies are not expected to agree with the official ones."
)

_PHOTOGRAPHED = (
    "Shares of the labeled pixels. The official frequencies are those of Cityscapes’ fine train labels at "
    "2048 × 1024 pixels (Cordts et al. 2016). Decoded labels of the same photos should be similar, with "
    "lower values for small classes: most of their pixels have blended colors, and ambiguous ones are "
    "ignored."
)


def draw(chosen: pair_cache.ChosenSplit) -> None:
    """Draw table and chart of all splits.

    Args:
        chosen: Any split of the dataset.

    Raises:
        DatasetError: A pair is corrupt.
    """
    counts: dict[str, np.ndarray] = {}
    for split in SPLITS:
        if has_pairs(chosen.data, split):
            split_counts = pair_cache.pixel_counts(pair_cache.read_split(chosen.data, split))
            if split_counts is None:
                return
            counts[split] = split_counts
    if len(counts) > 1:
        counts[BOTH] = np.concatenate(list(counts.values()))
    st.caption(_RENDERED if is_rendered(chosen.data) else _PHOTOGRAPHED)
    table, chart = st.columns([1, 1], gap="large")
    table.html(_table(counts))
    with chart:
        st.caption("Share of the labeled pixels in percent, logarithmic")
        st.plotly_chart(
            _dot_plot(counts),
            config={"displayModeBar": False},
            key="balance",
            alt=(
                "Dots of the share of each class in each split and in the official labels. The table has the"
                " values."
            ),
        )
    if missing := [
        NAMES[k] for k in range(len(NAMES)) if not any(split[:, k].any() for split in counts.values())
    ]:
        st.caption(f"Classes that do not occur in this dataset: {', '.join(missing)}.")


def class_frequencies(counts: np.ndarray) -> np.ndarray:
    """Return the 19 shares of the labeled pixels, given N x 20 pixel counts with the ignored pixels last."""
    total = counts.sum(0)[: len(NAMES)]
    return total / max(total.sum(), 1)


def _table(counts: dict[str, np.ndarray]) -> str:
    first, last = list(counts)[0], list(counts)[-1]
    head = [
        *(f"{split} ({len(split_counts):,})" for split, split_counts in counts.items()),
        "official",
        f"{first} / official",
        "pairs with it",
    ]
    columns = [*map(class_frequencies, counts.values()), np.array(CITYSCAPES_CLASS_FREQUENCIES)]
    occurrence = (counts[last][:, : len(NAMES)] > 0).mean(0)
    rows = {}
    for k, name in enumerate(NAMES):
        ratio = columns[0][k] / CITYSCAPES_CLASS_FREQUENCIES[k]
        rows[name] = [
            *(charts.fine_percent(column[k]) for column in columns),
            f"{ratio:.2f}",
            f"{occurrence[k]:.0%}",
        ]
    ignored = [charts.fine_percent(split[:, -1].sum() / split.sum()) for split in counts.values()]
    rows["ignored, of all pixels"] = [*ignored, "", "", ""]
    return charts.grid("Class", head, rows)


def _dot_plot(counts: dict[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[100 * share for share in CITYSCAPES_CLASS_FREQUENCIES],
        y=NAMES,
        name="official",
        mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 3, "color": "#94a3b8"}},
        hovertemplate="official: %{y} %{x:.3g} %<extra></extra>",
    )
    for split, (color, symbol) in _MARKS.items():
        if split not in counts:
            continue
        figure.add_scatter(
            x=[100 * share or None for share in class_frequencies(counts[split])],
            y=NAMES,
            name=split,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 9},
            hovertemplate=f"{split}: " + "%{y} %{x:.3g} %<extra></extra>",
        )
    figure.update_layout(
        height=32 * len(CLASSES) + 60,
        margin={"l": 0, "r": 12, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"type": "log", "fixedrange": True, "ticksuffix": " %", "dtick": 1},
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  ", "dtick": 1},
    )
    return figure
