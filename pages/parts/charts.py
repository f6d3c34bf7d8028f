"""Charts and tables of a prediction: class shares, and where the time went."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from pages.parts.cached import Judgement
from seg.labels import CLASSES, TRAIN_ID

STYLE = """
table.legend { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
table.legend :is(th, td) { padding: .28rem .4rem; border: 0; border-bottom: 1px solid #8883; text-align: right; }
table.legend th { font-weight: 400; }
table.legend thead th { font-weight: 600; }
table.legend :is(th, td):first-child { text-align: left; }
table.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .55rem;
  vertical-align: -.08rem; box-shadow: inset 0 0 0 1px #8886; }
table.legend:not(.point) :is(td, th:has(i)) { white-space: nowrap; }
table.legend td.none { opacity: .45; }
table.legend tr.sum { font-weight: 600; }
.wide { overflow-x: auto; }
table.legend.point { width: auto; min-width: 24rem; max-width: 100%; }
.times { font-size: .875rem; }
.times div { display: flex; height: .5rem; gap: 2px; border-radius: .25rem; overflow: hidden; margin: .3rem 0 .6rem; }
.times div i { min-width: 2px; }
.times ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: 0; padding: 0; }
.times li { margin: 0; font-size: .8125rem; }
.times li i { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .4rem; }
"""

_PARTS = {
    "decode": ("reading the file", "#94a3b8"),
    "preprocess": ("resizing", "#7dd3fc"),
    "encoder": ("encoder", "#0f766e"),
    "heads": ("scores and upsampling", "#2dd4bf"),
    "averaging": ("averaging sizes and mirrors", "#f472b6"),
    "post": ("masks", "#fbbf24"),
}


def percent(share: float) -> str:
    """A share of the image as HTML; what is there but rounds to nothing is not called nothing."""
    if share == 0:
        return "–"
    return f"{share:.1%}" if share >= 0.0005 else "&lt; 0.1%"


def legend(shares: Mapping[str, Mapping[str, float]]) -> str:
    """HTML table: a row per class present, a column of shares for each of `shares`, the largest class first."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in shares)
    rows = []
    for name in _by_size(shares):
        cells = (of.get(name, 0.0) for of in shares.values())
        tds = "".join(f'<td class="none">{percent(c)}</td>' if c == 0 else f"<td>{percent(c)}</td>" for c in cells)
        rows.append(f'<tr><th scope="row">{named(name)}</th>{tds}</tr>')
    caption = '<tr><th scope="col">Class</th>'
    return _wide(f'<table class="legend"><thead>{caption}{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>')


def _wide(table: str) -> str:
    """A table that is moved sideways where there is no room for it."""
    return f'<div class="wide">{table}</div>'


def pairs(shares: Mapping[str, float]) -> str:
    """HTML table of names and shares."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{percent(share)}</td></tr>' for name, share in shares.items())
    return f'<table class="legend"><tbody>{rows}</tbody></table>'


def point(title: str, rows: Sequence[tuple[str, str, str, str]]) -> str:
    """HTML table of what every network says at a point: network, class, how sure, runner-up."""
    head = "".join(f'<th scope="col">{name}</th>' for name in (escape(title), "says", "sure", "then"))
    cells = [
        f'<tr><th scope="row">{escape(who)}</th><td>{named(what)}</td><td>{sure}</td><td>{named(second)}</td></tr>'
        for who, what, sure, second in rows
    ]
    return f'<table class="legend point"><thead><tr>{head}</tr></thead><tbody>{"".join(cells)}</tbody></table>'


def truth_table(found: Mapping[str, Judgement], limits: Mapping[str, float | None]) -> str:
    """HTML table of IoU: a row per class in the truth or a mask, then means, a column for each mask."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in found)
    scores = [judgement.scores for judgement in found.values()]
    rows = []
    for k, one in enumerate(CLASSES):
        if any(not math.isnan(s.iou[k]) for s in scores):
            rows.append((f"{_swatch(one.name)}{one.name}", [s.iou[k] for s in scores], ""))
    rows.append(("Mean IoU", [s.mean_iou for s in scores], "sum"))
    rows.append(("its grid’s ceiling", [math.nan if limits[column] is None else limits[column] for column in found], ""))
    rows.append(("Boundary IoU", [judgement.boundary_iou for judgement in found.values()], ""))
    rows.append(("Pixel accuracy", [s.pixel_accuracy for s in scores], ""))
    body = "".join(
        f'<tr class="{kind}"><th scope="row">{name}</th>{"".join(f"<td>{_score(value)}</td>" for value in values)}</tr>'
        for name, values, kind in rows
    )
    return _wide(f'<table class="legend"><thead><tr><th scope="col">IoU</th>{head}</tr></thead><tbody>{body}</tbody></table>')


def fine_percent(share: float) -> str:
    """A share with enough digits for classes that are rare in a whole data set, as HTML."""
    if share == 0:
        return "–"
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}" if share >= 0.001 else f"{share:.3%}"


def grid(corner: str, head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """HTML table of cells that are HTML already; a row that is named as a class gets its colour."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    named = {name: (_swatch(name) if name in TRAIN_ID else "") + name for name in rows}
    rest = {name: "".join(f"<td>{cell}</td>" for cell in cells) for name, cells in rows.items()}
    body = "".join(f'<tr><th scope="row">{named[name]}</th>{cells}</tr>' for name, cells in rest.items())
    table = (
        f'<table class="legend"><thead><tr><th scope="col">{escape(corner)}</th>{top}</tr></thead><tbody>{body}</tbody></table>'
    )
    return _wide(table)


def sums(head: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """HTML table of numbers whose last row is the sum of those above."""
    top = "".join(f'<th scope="col">{named(name)}</th>' for name in head)
    last = list(rows)[-1]
    body = "".join(
        f'<tr class="{"sum" if name == last else ""}"><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{value:+.2f}</td>' for value in values)}</tr>"
        for name, values in rows.items()
    )
    return f'<table class="legend"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def reach_bars(found: Mapping[str, Judgement], limits: Mapping[str, float | None]) -> go.Figure:
    """Mean IoU of each mask, and the ceiling of its grid as a line across."""
    names = list(found)
    figure = go.Figure()
    reached = [found[name].scores.mean_iou for name in names]
    figure.add_bar(x=reached, y=names, orientation="h", marker_color="#0d9488", hovertemplate="%{y}: %{x:.3f}<extra></extra>")
    bound = [name for name in names if limits[name] is not None]
    figure.add_scatter(
        x=[limits[name] for name in bound],
        y=bound,
        mode="markers",
        marker={"symbol": "line-ns", "size": 22, "line": {"width": 3, "color": "#d97706"}},
        hovertemplate="%{y}: its grid allows %{x:.3f}<extra></extra>",
    )
    figure.update_layout(
        showlegend=False,
        bargap=0.45,
        height=70 + 48 * len(names),
        margin={"l": 0, "r": 24, "t": 8, "b": 0},
        xaxis={"range": [0, 1], "dtick": 0.25, "fixedrange": True},
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
    )
    return figure


def share_bars(shares: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """One stacked bar for each of `shares`, in the classes' own colours."""
    rows = list(shares)
    figure = go.Figure()
    for name in _by_size(shares):
        figure.add_bar(
            x=[100 * shares[row].get(name, 0.0) for row in rows],
            y=rows,
            name=name,
            orientation="h",
            marker={"color": _css(name), "line": {"width": 0}},
            hovertemplate="%{y}: " + name + " %{x:.2f} %<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        showlegend=False,
        bargap=0.35,
        height=70 + 48 * len(rows),
        margin={"l": 0, "r": 24, "t": 8, "b": 0},
        xaxis={"range": [0, 100], "dtick": 25, "ticksuffix": " %", "fixedrange": True},
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
    )
    return figure


def times(seconds: Mapping[str, float], device: str, working_size: tuple[int, int], whose: str = "") -> str:
    """HTML: how long a prediction took, on what, and which part took how much of it."""
    height, width = working_size
    parts = [(*_PARTS.get(key, (key, "#888")), value) for key, value in seconds.items()]
    whole = sum(seconds.values()) or 1
    bar = "".join(f'<i style="flex:{100 * value / whole:.2f};background:{color}"></i>' for _, color, value in parts)
    items = "".join(f'<li><i style="background:{color}"></i>{escape(what)} {_time(value)}</li>' for what, color, value in parts)
    where = f"GPU ({escape(device)})" if device.startswith("cuda") else "CPU"
    total = f"{escape(whose)}<b>{_time(sum(seconds.values()))}</b> on the {where}, at {width} × {height} pixels"
    return f'<div class="times">{total}<div>{bar}</div><ul>{items}</ul></div>'


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"


def _by_size(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    most: dict[str, float] = {}
    for of in shares.values():
        for name, share in of.items():
            most[name] = max(share, most.get(name, 0))
    return sorted(most, key=lambda name: -most[name])


def _swatch(name: str) -> str:
    return f'<i style="background:{_css(name)}"></i>'


def named(name: str) -> str:
    """A class with its colour; other words as they are."""
    return (_swatch(name) if name in TRAIN_ID else "") + escape(name)


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _css(name: str) -> str:
    return "rgb({},{},{})".format(*CLASSES[TRAIN_ID[name]].color)
