"""Charts and HTML tables of predictions: class shares, metrics and processing times."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from ui.state.predictions import MaskMetrics

STYLE = """
table.legend { width: 100%; border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
table.legend :is(th, td) { padding: .28rem .4rem; border: 0; border-bottom: 1px solid #8883;
  text-align: right; }
table.legend th { font-weight: 400; }
table.legend thead th { font-weight: 600; }
table.legend :is(th, td):first-child { text-align: left; }
table.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem;
  margin-right: .55rem;
  vertical-align: -.08rem; box-shadow: inset 0 0 0 1px #8886; }
table.legend:not(.point) :is(td, th:has(i)) { white-space: nowrap; }
table.legend td.none { opacity: .45; }
table.legend tr.sum { font-weight: 600; }
.wide { overflow-x: auto; }
table.legend.point { width: auto; min-width: 24rem; max-width: 100%; }
.times { font-size: .875rem; }
.times div { display: flex; height: .5rem; gap: 2px; border-radius: .25rem; overflow: hidden;
  margin: .3rem 0 .6rem; }
.times div i { min-width: 2px; }
.times ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: 0; padding: 0; }
.times li { margin: 0; font-size: .8125rem; }
.times li i { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .4rem; }
"""

_STAGES = {
    "decode": ("decoding the file", "#94a3b8"),
    "preprocess": ("resizing", "#7dd3fc"),
    "encoder": ("encoder", "#0f766e"),
    "heads": ("decoder", "#2dd4bf"),
    "upsampling": ("upsampling", "#99f6e4"),
    "averaging": ("averaging scales and flips", "#f472b6"),
    "post": ("masks", "#fbbf24"),
}
"""Name and color of each stage of a prediction."""

BAR_COLOR, REFERENCE_COLORS = "#0d9488", ("#d97706", "#7c3aed")


def percent(share: float) -> str:
    """Format a share of the image as HTML; a share that rounds to zero is shown as "< 0.1%"."""
    if share == 0:
        return "–"
    return f"{share:.1%}" if share >= 0.0005 else "&lt; 0.1%"


def fine_percent(share: float) -> str:
    """Format a share as HTML with enough digits for classes that are rare in a dataset."""
    if share == 0:
        return "–"
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}" if share >= 0.001 else f"{share:.3%}"


def legend(shares: Mapping[str, Mapping[str, float]], classes: ClassSet = CITYSCAPES) -> str:
    """Return an HTML table with a row per class, the largest first.

    Args:
        shares: Class shares (0 to 1) by class name, for each column.
        classes: The classes, for their colors.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in shares)
    rows = []
    for name in _largest_first(shares):
        values = (column.get(name, 0.0) for column in shares.values())
        cells = (
            f'<td class="none">{percent(v)}</td>' if v == 0 else f"<td>{percent(v)}</td>" for v in values
        )
        rows.append(f'<tr><th scope="row">{class_label(name, classes)}</th>{"".join(cells)}</tr>')
    head = f'<thead><tr><th scope="col">Class</th>{head}</tr></thead>'
    return _scrollable(f'<table class="legend">{head}<tbody>{"".join(rows)}</tbody></table>')


def share_table(shares: Mapping[str, float]) -> str:
    """Return an HTML table of names and shares (0 to 1)."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{percent(share)}</td></tr>'
        for name, share in shares.items()
    )
    return f'<table class="legend"><tbody>{rows}</tbody></table>'


def pixel_table(title: str, rows: Sequence[tuple[str, str, str, str]], classes: ClassSet = CITYSCAPES) -> str:
    """Return an HTML table of the predictions at a pixel.

    Args:
        title: Head of the first column.
        rows: Network, predicted class, confidence and runner-up.
        classes: The classes, for their colors.
    """
    columns = (escape(title), "prediction", "confidence", "runner-up")
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    cells = [
        f'<tr><th scope="row">{escape(network)}</th><td>{class_label(name, classes)}</td>'
        f"<td>{confidence}</td><td>{class_label(runner_up, classes)}</td></tr>"
        for network, name, confidence, runner_up in rows
    ]
    return (
        f'<table class="legend point"><thead><tr>{head}</tr></thead><tbody>{"".join(cells)}</tbody></table>'
    )


References = Mapping[str, Mapping[str, float | None]]
"""By kind of reference, its value for each mask; None where there is none."""


def truth_table(
    scored: Mapping[str, MaskMetrics], references: References, classes: ClassSet = CITYSCAPES
) -> str:
    """Return an HTML table of metrics against the ground truth: a row per class, then the means.

    Args:
        scored: Metrics of each mask, by column.
        references: References of each mask's output grid, by column.
        classes: The classes of the metrics.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in scored)
    scores = [mask.scores for mask in scored.values()]
    rows = []
    for k, name in enumerate(classes.names):
        if any(not math.isnan(s.iou[k]) for s in scores):
            rows.append((class_label(name, classes), [s.iou[k] for s in scores], ""))
    rows.append(("Mean IoU", [s.mean_iou_in_target for s in scores], "sum"))
    for kind, of_kind in references.items():
        columns = (of_kind[column] for column in scored)
        rows.append((kind, [math.nan if value is None else value for value in columns], ""))
    rows.append(("Boundary IoU", [mask.boundary_iou for mask in scored.values()], ""))
    rows.append(("Pixel accuracy", [s.pixel_accuracy for s in scores], ""))
    body = ""
    for name, values, kind in rows:
        cells = "".join(f"<td>{_score(value)}</td>" for value in values)
        body += f'<tr class="{kind}"><th scope="row">{name}</th>{cells}</tr>'
    head = f'<thead><tr><th scope="col">IoU</th>{head}</tr></thead>'
    return _scrollable(f'<table class="legend">{head}<tbody>{body}</tbody></table>')


def grid(
    corner: str,
    head: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    classes: ClassSet = CITYSCAPES,
) -> str:
    """Return an HTML table; a row named like a class shows its color.

    Args:
        corner: Head of the first column.
        head: Heads of the other columns.
        rows: HTML cells by row name.
        classes: The classes, for their colors.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    labels = {name: class_label(name, classes) for name in rows}
    cells = {name: "".join(f"<td>{cell}</td>" for cell in row) for name, row in rows.items()}
    body = "".join(f'<tr><th scope="row">{labels[name]}</th>{row}</tr>' for name, row in cells.items())
    head_row = f'<thead><tr><th scope="col">{escape(corner)}</th>{top}</tr></thead>'
    return _scrollable(f'<table class="legend">{head_row}<tbody>{body}</tbody></table>')


def sums(head: Sequence[str], rows: Mapping[str, Sequence[float]], classes: ClassSet = CITYSCAPES) -> str:
    """Return an HTML table of numbers whose last row is the sum of the others."""
    top = "".join(f'<th scope="col">{class_label(name, classes)}</th>' for name in head)
    last = list(rows)[-1]
    body = "".join(
        f'<tr class="{"sum" if name == last else ""}"><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{value:+.2f}</td>' for value in values)}</tr>"
        for name, values in rows.items()
    )
    return f'<table class="legend"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def metric_bars(scored: Mapping[str, MaskMetrics], references: References) -> go.Figure:
    """Plot the mean IoU of each mask with the references of its output grid as marks across the bar."""
    names = list(scored)
    figure = go.Figure()
    figure.add_bar(
        x=[scored[name].scores.mean_iou_in_target for name in names],
        y=names,
        orientation="h",
        marker_color=BAR_COLOR,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    for (kind, values), color in zip(references.items(), REFERENCE_COLORS, strict=False):
        marked = [name for name in names if values[name] is not None]
        figure.add_scatter(
            x=[values[name] for name in marked],
            y=marked,
            mode="markers",
            marker={"symbol": "line-ns", "size": 22, "line": {"width": 3, "color": color}},
            hovertemplate=f"%{{y}}: {kind.lower()} %{{x:.3f}}<extra></extra>",
        )
    return _bar_layout(figure, len(names), 0.45, {"range": [0, 1], "dtick": 0.25})


def share_bars(shares: Mapping[str, Mapping[str, float]], classes: ClassSet = CITYSCAPES) -> go.Figure:
    """Plot one stacked bar of class shares per mask, in the colors of the classes."""
    rows = list(shares)
    figure = go.Figure()
    for name in _largest_first(shares):
        figure.add_bar(
            x=[100 * shares[row].get(name, 0.0) for row in rows],
            y=rows,
            name=escape(name),
            orientation="h",
            marker={"color": _css(name, classes), "line": {"width": 0}},
            hovertemplate="%{y}: " + escape(name) + " %{x:.2f} %<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    return _bar_layout(figure, len(rows), 0.35, {"range": [0, 100], "dtick": 25, "ticksuffix": " %"})


def times(seconds: Mapping[str, float], device: str, working_size: tuple[int, int], prefix: str = "") -> str:
    """Return HTML that shows how long a prediction took, stage by stage.

    Args:
        seconds: Seconds by stage.
        device: Name of the device.
        working_size: Height and width of the working image.
        prefix: Text before the total.
    """
    height, width = working_size
    stages = [(*_STAGES.get(key, (key, "#888")), value) for key, value in seconds.items()]
    total = sum(seconds.values())
    widths = [(100 * value / (total or 1), color) for _, color, value in stages]
    bar = "".join(f'<i style="flex:{width:.2f};background:{color}"></i>' for width, color in widths)
    items = "".join(
        f'<li><i style="background:{color}"></i>{escape(name)} {seconds_text(value)}</li>'
        for name, color, value in stages
    )
    processor = "CPU" if device.startswith("cpu") else f"GPU ({escape(device)})"
    summary = f"{escape(prefix)}<b>{seconds_text(total)}</b> on the {processor}, at {width} × {height} pixels"
    return f'<div class="times">{summary}<div>{bar}</div><ul>{items}</ul></div>'


def seconds_text(seconds: float) -> str:
    """Format the time of a prediction or of one of its stages."""
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"


def class_label(name: str, classes: ClassSet = CITYSCAPES) -> str:
    """Return a class name as HTML with its color; other texts are only escaped."""
    swatch = f'<i style="background:{_css(name, classes)}"></i>' if name in classes.train_id else ""
    return swatch + escape(name)


def _bar_layout(figure: go.Figure, bars: int, gap: float, axis: Mapping[str, Any]) -> go.Figure:
    return figure.update_layout(
        showlegend=False,
        bargap=gap,
        height=70 + 48 * bars,
        margin={"l": 0, "r": 24, "t": 8, "b": 0},
        xaxis={"fixedrange": True, **axis},
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
    )


def _scrollable(table: str) -> str:
    """Wrap a table so that it scrolls sideways on narrow screens."""
    return f'<div class="wide">{table}</div>'


def _largest_first(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    largest: dict[str, float] = {}
    for column in shares.values():
        for name, share in column.items():
            largest[name] = max(share, largest.get(name, 0))
    return sorted(largest, key=lambda name: -largest[name])


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _css(name: str, classes: ClassSet) -> str:
    return "rgb({},{},{})".format(*classes.classes[classes.train_id[name]].color)
