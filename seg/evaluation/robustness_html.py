"""Plot and HTML page of the robustness of weights."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from seg.evaluation.corruptions import STRENGTHS
from seg.evaluation.robustness import Robustness, VariantRobustness
from seg.models.factory import DISPLAY_NAMES
from seg.system.atomic_io import write_atomic

COLORS = ("#0d9488", "#94a3b8", "#d97706", "#7c3aed", "#2563eb", "#db2777", "#65a30d", "#06b6d4")
"""A color per corruption, visible on white and on black."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<body style="font: 14px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 0 auto; padding: 16px">
<h1>{title}</h1><p>{about}</p>{plots}</body></html>"""


def strength_figure(results: VariantRobustness, title: str = "") -> go.Figure:
    """Plot the mean IoU of a variant by strength, a line per corruption; strength 0 is the clean photo.

    Args:
        results: the results of the variant.
        title: title of the plot.
    """
    figure = go.Figure()
    for color, (corruption, scores) in zip(COLORS, results.corrupted.items(), strict=True):
        figure.add_scatter(
            x=[0, *STRENGTHS],
            y=[results.clean, *scores],
            name=corruption,
            mode="lines+markers",
            line={"color": color},
            hovertemplate="%{y:.4f}",
        )
    figure.update_xaxes(title="strength (0: clean photos)", tickvals=[0, *STRENGTHS], fixedrange=True)
    figure.update_yaxes(title="mean IoU", rangemode="tozero", fixedrange=True)
    legend = {"orientation": "h", "y": -0.25, "yanchor": "top"}
    margin = {"l": 48, "r": 8, "t": 40 if title else 8}
    return figure.update_layout(height=460, title=title, legend=legend, margin=margin)


def write_html(results: Robustness, variants: Sequence[str], file: Path) -> None:
    """Write the plots of some variants as one HTML page.

    Args:
        results: the results of the weights.
        variants: the variants to plot.
        file: the HTML file; its folder is created if missing.
    """
    plots = "".join(
        strength_figure(results.variants[variant], DISPLAY_NAMES[variant])
        .update_layout(template="plotly_white")
        .to_html(full_html=False, include_plotlyjs=number == 0)
        for number, variant in enumerate(variants)
    )
    title = escape(f"Robustness of {results.weights}")
    about = escape(f"Mean IoU on {results.images} pairs of {results.data} {results.split}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, _PAGE.format(title=title, about=about, plots=plots).encode())
