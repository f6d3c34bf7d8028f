"""How much of each class a data set has: by split, and against Cityscapes' own labels."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.parts import charts, pairs
from seg import dataset
from seg.labels import CLASSES, NAMES, OFFICIAL_SHARES

BOTH = "both"

_MARKS = {"train": ("#0d9488", "circle"), "val": ("#d97706", "diamond")}


def draw(chosen: pairs.Chosen) -> None:
    """Table and chart of all splits. Raises as `pairs.decoded` does."""
    counted: dict[str, np.ndarray] = {}
    for split in dataset.SPLITS:
        if any((chosen.data / split).glob("*.jpg")):
            found = pairs.counts(pairs.of(chosen.data, split))
            if found is None:
                return
            counted[split] = found
    if len(counted) > 1:
        counted[BOTH] = np.concatenate(list(counted.values()))
    if dataset.is_rendered(chosen.data):
        st.caption(
            "This set is rendered: another world than Cityscapes, with streets, traffic and people of its own. The official "
            "shares stand beside it to show how far the two are apart; there is no reason why they should agree."
        )
    else:
        st.caption(
            "Shares of the pixels that have a class. Official are Cityscapes’ fine labels of train at their full 2048 × 1024 "
            "pixels (Cordts et al. 2016): decoded labels of the same photos should come near, small classes a little below, "
            "since what is thinner than a pixel of 256 × 256 is lost."
        )
    table, chart = st.columns([1, 1], gap="large")
    table.html(_table(counted))
    with chart:
        st.caption("Share of the pixels that have a class, in percent, on a logarithmic axis")
        st.plotly_chart(
            _dots(counted), config={"displayModeBar": False}, key="balance",
            alt="Dots of the share of each class in each split, and in the official labels; the table has the figures.",
        )  # fmt: skip
    if missing := [NAMES[k] for k in range(len(NAMES)) if not any(found[:, k].any() for found in counted.values())]:
        st.caption(f"Not in this set at all: {', '.join(missing)}.")


def shares(counted: np.ndarray) -> np.ndarray:
    """n x 20 counts -> 19 shares of the pixels that have a class."""
    total = counted.sum(0)[: len(NAMES)]
    return total / max(total.sum(), 1)


def _table(counted: dict[str, np.ndarray]) -> str:
    first, last = list(counted)[0], list(counted)[-1]
    head = [
        *(f"{split} ({len(found):,})" for split, found in counted.items()),
        "official",
        f"{first} / official",
        "pairs with it",
    ]
    columns = [*(shares(found) for found in counted.values()), np.array(OFFICIAL_SHARES)]
    within = (counted[last][:, : len(NAMES)] > 0).mean(0)
    rows = {}
    for k, name in enumerate(NAMES):
        ratio = columns[0][k] / OFFICIAL_SHARES[k]
        rows[name] = [*(charts.fine_percent(column[k]) for column in columns), f"{ratio:.2f}", f"{within[k]:.0%}"]
    rows["ignored, of all pixels"] = [
        *(charts.fine_percent(found[:, -1].sum() / found.sum()) for found in counted.values()), "", "", ""
    ]  # fmt: skip
    return charts.grid("Class", head, rows)


def _dots(counted: dict[str, np.ndarray]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[100 * share for share in OFFICIAL_SHARES], y=NAMES, name="official", mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 3, "color": "#94a3b8"}},
        hovertemplate="official: %{y} %{x:.3g} %<extra></extra>",
    )  # fmt: skip
    for split, (color, symbol) in _MARKS.items():
        if split not in counted:
            continue
        of = shares(counted[split])
        figure.add_scatter(
            x=[100 * share or None for share in of], y=NAMES, name=split, mode="markers",
            marker={"color": color, "symbol": symbol, "size": 9},
            hovertemplate=f"{split}: " + "%{y} %{x:.3g} %<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=32 * len(CLASSES) + 60,
        margin={"l": 0, "r": 12, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"type": "log", "fixedrange": True, "ticksuffix": " %", "dtick": 1},
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  ", "dtick": 1},
    )
    return figure
