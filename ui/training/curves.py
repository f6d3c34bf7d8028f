"""Training curves: loss, learning rate and validation metrics."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from seg.models.factory import DISPLAY_NAMES

COLORS = ("#0d9488", "#d97706", "#7c3aed", "#db2777", "#2563eb", "#65a30d")
"""A color per compared run."""

DASHES = {"32s": "dot", "16s": "dash", "8s": "solid"}
"""Line style of each variant when several runs are compared."""

Records = Sequence[Mapping[str, Any]]
"""The lines of a run's metrics file."""


def loss(runs: Mapping[str, Records], batch_sizes: Mapping[str, int]) -> go.Figure:
    """Plot the smoothed loss of each run over the raw values, against the samples seen.

    Args:
        runs: Records by the name of the run.
        batch_sizes: Batch size by the name of the run.
    """
    figure = go.Figure()
    for color, (name, records) in zip(COLORS, runs.items(), strict=False):
        steps, values = _series(records, "loss")
        samples = [step * batch_sizes[name] for step in steps]
        figure.add_scatter(
            x=samples,
            y=values,
            line={"color": color, "width": 1},
            opacity=0.25,
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(x=samples, y=_smooth(values), name=name, line={"color": color, "width": 2})
    figure.update_traces(mode="lines")
    return _apply_layout(figure, "Training loss, all variants", "samples seen", len(runs) > 1)


def rate(runs: Mapping[str, Records], batch_sizes: Mapping[str, int]) -> go.Figure:
    """Plot the learning rate of the score layers of each run against the samples seen.

    Args:
        runs: Records by the name of the run.
        batch_sizes: Batch size by the name of the run.
    """
    figure = go.Figure()
    for color, (name, records) in zip(COLORS, runs.items(), strict=False):
        steps, values = _series(records, "lr")
        samples = [step * batch_sizes[name] for step in steps]
        figure.add_scatter(x=samples, y=values, name=name, mode="lines", line={"color": color, "width": 2})
    figure.update_yaxes(exponentformat="power")
    return _apply_layout(figure, "Learning rate", "samples seen", len(runs) > 1)


def scores(runs: Mapping[str, Records], key: str, title: str) -> go.Figure:
    """Plot a validation metric of every variant by epoch; colors show runs, line styles variants.

    Args:
        runs: Records by the name of the run.
        key: Key of the metric.
        title: Title of the plot.
    """
    figure = go.Figure()
    for color, (name, records) in zip(COLORS, runs.items(), strict=False):
        validations = [record for record in records if "loss" not in record]
        variants = (v for record in validations for v in record if _is_report(record, v))
        for variant in dict.fromkeys(variants):
            evaluated = [r for r in validations if _is_report(r, variant) and "epoch" in r]
            line = {"color": color, "width": 2, "dash": DASHES.get(variant, "solid")}
            if len(runs) == 1:
                line = {"color": _variant_color(variant), "width": 2, "dash": "solid"}
            figure.add_scatter(
                x=[record["epoch"] + 1 for record in evaluated],
                y=[record[variant].get(key) for record in evaluated],
                name=f"{name}, {DISPLAY_NAMES[variant]}" if len(runs) > 1 else DISPLAY_NAMES[variant],
                mode="lines+markers",
                line=line,
                hovertemplate="epoch %{x}: %{y:.4f}",
            )
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(dtick=1 if _most_epochs(runs) < 12 else None)
    return _apply_layout(figure, title, "epoch", True)


def last_validation(records: Records) -> Mapping[str, Any]:
    """Return the metrics by variant after the last epoch that was evaluated; empty if there is none."""
    return next((record for record in reversed(records) if "loss" not in record), {})


def by_class(reports: Mapping[str, Any], title: str) -> go.Figure:
    """Plot the IoU of every class and variant, the best class first.

    Args:
        reports: Metrics by variant; other keys are ignored.
        title: Title of the plot.
    """
    ious = {variant: reports[variant].get("iou", {}) for variant in reports if _is_report(reports, variant)}
    figure = go.Figure()
    finest = list(ious)[-1] if ious else None
    names = sorted(ious[finest], key=lambda name: -(ious[finest][name] or 0)) if finest else []
    for variant, iou in ious.items():
        figure.add_bar(
            x=[escape(name) for name in names],
            y=[iou.get(name) for name in names],
            name=DISPLAY_NAMES[variant],
            marker_color=_variant_color(variant),
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_traces(hovertemplate="%{x}: %{y:.3f}")
    return _apply_layout(figure, title, "", True)


def _series(records: Records, key: str) -> tuple[list[float], list[float]]:
    """Return the steps and values of the records that have a key, thinned out."""
    having = [record for record in records if key in record]
    return _thin([record["step"] for record in having]), _thin([record[key] for record in having])


def _is_report(record: Mapping[str, Any], variant: str) -> bool:
    """Return whether a record contains the metrics of a variant that this version knows."""
    return variant in DISPLAY_NAMES and isinstance(record.get(variant), Mapping)


def _variant_color(variant: str) -> str:
    return COLORS[list(DISPLAY_NAMES).index(variant) % len(COLORS)]


def _apply_layout(figure: go.Figure, title: str, x_title: str, legend: bool) -> go.Figure:
    figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "xanchor": "left"},
        height=300,
        margin={"l": 0, "r": 8, "t": 44, "b": 0},
        showlegend=legend,
        legend={"orientation": "h", "y": -0.3},
        hovermode="x unified",
        uirevision="kept",  # keeps the zoom when the data are updated
    )
    figure.update_xaxes(title=x_title or None, fixedrange=False)
    if not figure.data:
        figure.add_annotation(
            text="Available after the first epoch", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
        )
        figure.update_layout(xaxis_visible=False, yaxis_visible=False)
    return figure


def _most_epochs(runs: Mapping[str, Records]) -> int:
    return max((record.get("epoch", 0) + 1 for records in runs.values() for record in records), default=0)


def _thin(values: Sequence[float], most: int = 600) -> list[float]:
    """Drop points beyond what a screen can show, but never the last one."""
    step = -(-len(values) // most) or 1
    return list(values[::-1][::step][::-1])


def _smooth(values: Sequence[float]) -> list[float]:
    """Return a bias-corrected exponential moving average over about a sixth of the values, at most twenty."""
    decay = 1 - 1 / max(2, min(20, len(values) / 6))
    smoothed, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = decay * mean + (1 - decay) * value, decay * weight + (1 - decay)
        smoothed.append(mean / weight)
    return smoothed
