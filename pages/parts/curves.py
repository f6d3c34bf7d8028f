"""Plots of what trainings recorded: loss, learning rate, and the scores on the held-out pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from seg import labels
from seg.networks import TITLES

INK = ("#0d9488", "#d97706", "#7c3aed", "#db2777", "#2563eb", "#65a30d")
"""A colour for each run that is compared."""

DASHES = {"32s": "dot", "16s": "dash", "8s": "solid"}

Records = Sequence[Mapping[str, Any]]
"""The lines of a run's metrics."""


def loss(runs: Mapping[str, Records], batch: Mapping[str, int]) -> go.Figure:
    """The loss of each run, smoothed, against the views it has seen; what was recorded faintly behind it."""
    figure = go.Figure()
    for color, (name, lines) in zip(INK, runs.items(), strict=False):
        lines = [line for line in lines if "loss" in line]
        seen, values = [line["step"] * batch[name] for line in lines], [line["loss"] for line in lines]
        seen, values = _thin(seen), _thin(values)
        figure.add_scatter(x=seen, y=values, line={"color": color, "width": 1}, opacity=0.25, hoverinfo="skip", showlegend=False)
        figure.add_scatter(x=seen, y=_smooth(values), name=name, line={"color": color, "width": 2})
    figure.update_traces(mode="lines")
    return _laid_out(figure, "Loss, all variants", "views seen", len(runs) > 1)


def rate(runs: Mapping[str, Records], batch: Mapping[str, int]) -> go.Figure:
    """The learning rate of each run's scores against the views it has seen."""
    figure = go.Figure()
    for color, (name, lines) in zip(INK, runs.items(), strict=False):
        lines = [line for line in lines if "lr" in line]
        seen, values = _thin([line["step"] * batch[name] for line in lines]), _thin([line["lr"] for line in lines])
        figure.add_scatter(x=seen, y=values, name=name, mode="lines", line={"color": color, "width": 2})
    figure.update_yaxes(exponentformat="power")
    return _laid_out(figure, "Learning rate", "views seen", len(runs) > 1)


def scores(runs: Mapping[str, Records], key: str, title: str) -> go.Figure:
    """A score of every variant on the held-out pairs after each epoch; runs by colour, variants by dashes."""
    figure = go.Figure()
    for color, (name, lines) in zip(INK, runs.items(), strict=False):
        held = [line for line in lines if "loss" not in line]
        for variant in dict.fromkeys(v for line in held for v in line if isinstance(line[v], Mapping)):
            at = [line for line in held if variant in line]
            figure.add_scatter(
                x=[line["epoch"] + 1 for line in at],
                y=[line[variant][key] for line in at],
                name=f"{name}, {TITLES[variant]}" if len(runs) > 1 else TITLES[variant],
                mode="lines+markers",
                line={"color": color if len(runs) > 1 else INK[list(TITLES).index(variant) % len(INK)], "width": 2,
                      "dash": DASHES.get(variant, "solid") if len(runs) > 1 else "solid"},
                hovertemplate="epoch %{x}: %{y:.4f}",
            )  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(dtick=1 if _most_epochs(runs) < 12 else None)
    return _laid_out(figure, title, "epoch", True)


def by_class(lines: Records) -> go.Figure:
    """The IoU of every class and variant on the held-out pairs after the last whole epoch, the best class first."""
    last = next((line for line in reversed(lines) if "loss" not in line), {})
    found = {v: value["iou"] for v, value in last.items() if isinstance(value, Mapping)}
    figure = go.Figure()
    finest = list(found)[-1] if found else None
    names = sorted(labels.NAMES, key=lambda name: -(found[finest][name] or 0)) if finest else []
    for variant, iou in found.items():
        color = INK[list(TITLES).index(variant) % len(INK)]
        figure.add_bar(x=names, y=[iou[name] for name in names], name=TITLES[variant], marker_color=color)
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_traces(hovertemplate="%{x}: %{y:.3f}")
    return _laid_out(figure, "IoU by class, after the last epoch", "", True)


def _laid_out(figure: go.Figure, title: str, across: str, legend: bool) -> go.Figure:
    figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "xanchor": "left"},
        height=300,
        margin={"l": 0, "r": 8, "t": 44, "b": 0},
        showlegend=legend,
        legend={"orientation": "h", "y": -0.3},
        hovermode="x unified",
        uirevision="kept",  # a zoom outlives the next reading
    )
    figure.update_xaxes(title=across or None, fixedrange=False)
    if not figure.data:
        figure.add_annotation(text="after the first epoch", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
        figure.update_layout(xaxis_visible=False, yaxis_visible=False)
    return figure


def _most_epochs(runs: Mapping[str, Records]) -> int:
    return max((line.get("epoch", 0) + 1 for lines in runs.values() for line in lines), default=0)


def _thin(values: Sequence[float], most: int = 600) -> list[float]:
    """Not more points than a screen can show; the last one is among them."""
    step = -(-len(values) // most) or 1
    return list(values[::-1][::step][::-1])


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean that forgets, of about the last sixth and twenty values at most, without a bias at the beginning."""
    memory = 1 - 1 / max(2, min(20, len(values) / 6))
    found, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = memory * mean + (1 - memory) * value, memory * weight + (1 - memory)
        found.append(mean / weight)
    return found
