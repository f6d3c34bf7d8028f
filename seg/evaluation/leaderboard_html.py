"""Plots and the HTML page of the leaderboard, from its rows."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from seg.evaluation import evaluate
from seg.evaluation.grid_reference import GridReference
from seg.evaluation.leaderboard import (
    STRIDES,
    LeaderboardRow,
    TimingCase,
    finest,
    format_row,
    header,
)
from seg.models.factory import ARCHITECTURES
from seg.system.atomic_io import write_atomic

TICKS = [digit * 10**power for power in range(5) for digit in (1, 2, 5)]
"""Ticks of the cost axis."""

MARGIN = 1.7
"""Factor between the outermost costs and the ends of their axis, between which there is a tick then."""

COLORS = {
    "fcn-resnet50": ("#5eead4", "#14b8a6", "#115e59"),
    "fcn-vgg16": ("#fdba74", "#f97316", "#9a3412"),
    "unet-resnet50": ("#7c3aed",),
    "dilated-resnet50": ("#db2777",),
}
"""Colors of the variants of each architecture, the coarsest first."""

PATTERNS, SYMBOLS = ("", "/", "x", "."), ("circle", "square", "triangle-up", "cross")
"""Patterns of bars and symbols of points, to tell weights with the same color apart."""


def write_html(
    rows: Sequence[LeaderboardRow],
    references: Mapping[tuple[int, int], GridReference],
    about: str,
    file: Path,
) -> None:
    """Write the leaderboard as one HTML page.

    The page contains the table, accuracy by time per photo, and for each of the published weights the IoU by
    class and by component size.

    Args:
        rows: the rows of the leaderboard.
        references: cell-share references by input height and stride.
        about: text above the table.
        file: the HTML file; its folder is created if missing.
    """
    figures = [accuracy_time_figure(rows, references)]
    if len(finest_rows := finest(rows)) > 1:
        figures.append(class_iou_figure("the finest mask of each", finest_rows))
    for name in dict.fromkeys(row.weights for row in rows if not row.is_baseline):
        variants = [row for row in rows if row.weights == name and not row.is_baseline and not row.tta]
        figures += [class_iou_figure(name, variants), size_iou_figure(name, variants)]
    config = {"responsive": True, "displaylogo": False}
    plots = "".join(
        figure.to_html(full_html=False, include_plotlyjs=number == 0, config=config)
        for number, figure in enumerate(figures)
    )
    table = _table_row("th", header(rows)) + "".join(_table_row("td", format_row(row)) for row in rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, _PAGE.format(table=table, about=escape(about), plots=plots).encode())


def _table_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Street FCN leaderboard</title><style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1600px; padding: 16px;
color: #1e293b }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: 12px; white-space: nowrap }}
td, th {{ padding: 4px 8px; border-bottom: 1px solid #e2e8f0; text-align: right }} th {{ font-weight: 600 }}
td:nth-child(-n+3), th:nth-child(-n+3) {{ text-align: left }}
</style><h1>Street FCN leaderboard</h1><p>{about}</p>
<div class="scroll"><table>{table}</table></div>{plots}</html>"""


def accuracy_time_figure(
    rows: Sequence[LeaderboardRow], references: Mapping[tuple[int, int], GridReference]
) -> go.Figure:
    """Plot mean IoU with its interval by the time per photo at the common height, for rows with a time.

    Args:
        rows: the rows of the leaderboard.
        references: cell-share references by input height and stride.
    """
    timed = [(row, 1000 * row.common_seconds) for row in rows if row.common_seconds is not None]
    return _accuracy_figure(timed, references, "Mean IoU by time per photo", "ms")


def accuracy_operations_figure(
    rows: Sequence[LeaderboardRow],
    references: Mapping[tuple[int, int], GridReference],
    operations: Mapping[TimingCase, int],
) -> go.Figure:
    """Plot mean IoU with its interval by the operations of a photo at the common height.

    Args:
        rows: the rows of the leaderboard.
        references: cell-share references by input height and stride.
        operations: `leaderboard.count_operations` of the rows.
    """
    counted = [(row, operations[row.common_case] / 1e9) for row in rows]
    title = "Mean IoU by operations per photo"
    return _accuracy_figure(counted, references, title, "GFLOP")


def _accuracy_figure(
    points: Sequence[tuple[LeaderboardRow, float]],
    references: Mapping[tuple[int, int], GridReference],
    title: str,
    unit: str,
) -> go.Figure:
    """Plot mean IoU with its interval by the cost of each row, and the references as lines."""
    figure = go.Figure()
    rows = [row for row, _ in points]
    for row, cost in points:
        mean_iou = row.report["mean_iou"]
        low, high = row.report["intervals"].get("mean_iou", (mean_iou, mean_iou))
        figure.add_scatter(
            x=[cost],
            y=[mean_iou],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - mean_iou],
                "arrayminus": [mean_iou - low],
                "width": 3,
            },
            name=f"{row.network} ({row.weights})",
            mode="markers",
            marker={
                "color": _color(row),
                "size": 10,
                "symbol": "diamond-open"
                if row.is_baseline
                else "star"
                if row.tta
                else _of_weights(SYMBOLS, row, rows),
            },
        )
    for row, _ in points[:1]:
        for stride in STRIDES:
            if (reference := references.get((row.common_height, stride))) is not None:
                figure.add_hline(
                    reference.cell_shares,
                    line_dash="dot",
                    line_color="#94a3b8",
                    annotation_text=f"cell-share reference of stride {stride}",
                )
        figure.update_xaxes(title=f"{unit} per photo, {row.common_height} high", type="log", tickvals=TICKS)
        costs = [cost for _, cost in points]
        figure.update_xaxes(range=[math.log10(min(costs) / MARGIN), math.log10(max(costs) * MARGIN)])
    figure.update_yaxes(title="mean IoU", range=[0, 1])
    return _apply_layout(figure, title, 520 + 22 * len(points))


def class_iou_figure(name: str, rows: Sequence[LeaderboardRow]) -> go.Figure:
    """Plot the IoU of each class for some rows, in descending order of the last row.

    Args:
        name: completes the title.
        rows: the rows to plot, the finest variant last.
    """
    figure = go.Figure()
    finest_ious = rows[-1].report["iou"] if rows else {}
    classes = sorted(finest_ious, key=lambda k: -(finest_ious[k] or 0))
    networks = [row.network for row in rows]
    for row in rows:
        ious = [row.report["iou"][k] for k in classes]
        is_alone = networks.count(row.network) == 1
        figure.add_bar(
            x=classes,
            y=ious,
            name=row.network if is_alone else f"{row.network} ({row.weights})",
            marker={"color": _color(row), "pattern": {"shape": _of_weights(PATTERNS, row, rows)}},
        )
    figure.update_yaxes(range=[0, 1])
    return _apply_layout(figure, f"IoU by class: {name}", 460)


def size_iou_figure(name: str, rows: Sequence[LeaderboardRow]) -> go.Figure:
    """Plot the mean IoU of connected components by area for some rows.

    Args:
        name: completes the title.
        rows: the rows to plot.
    """
    figure = go.Figure()
    for row in rows:
        bins = row.report["by_size"]
        labels = [evaluate.size_bin_label(size).removeprefix("parts of ") for size in bins]
        ious = [size["iou"] for size in bins]
        figure.add_scatter(x=labels, y=ious, name=row.network, line_color=_color(row))
    figure.update_yaxes(range=[0, 1])
    return _apply_layout(figure, f"IoU of connected components by area: {name}", 460)


def _color(row: LeaderboardRow) -> str:
    variants = list(ARCHITECTURES[row.architecture].variants)
    return COLORS[row.architecture][variants.index(row.variant)]


def _of_weights(choices: Sequence[str], row: LeaderboardRow, rows: Sequence[LeaderboardRow]) -> str:
    """Return the choice for the weights of a row: the first one for the first weights of an architecture."""
    same = list(dict.fromkeys(other.weights for other in rows if other.architecture == row.architecture))
    return choices[same.index(row.weights) % len(choices)]


def _apply_layout(figure: go.Figure, title: str, height: int) -> go.Figure:
    legend = {"orientation": "h", "y": -0.25, "yanchor": "top"}
    return figure.update_layout(
        title=title, height=height, template="plotly_white", legend=legend, margin={"l": 48, "r": 8}
    )
