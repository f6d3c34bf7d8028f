"""Plots of a comparison of two networks, and its report as one HTML file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import PAIR_ASPECT
from seg.evaluation.bootstrap import MIN_PHOTOS
from seg.evaluation.comparison import Difference, NetworkComparison, PhotoDifference
from seg.evaluation.evaluate import format_difference_interval, format_score
from seg.evaluation.photo_traits import TRAITS
from seg.system.atomic_io import write_atomic

BETTER, WORSE, GRAY = "#0d9488", "#d97706", "#94a3b8"
"""Colors of positive and negative differences, and of lines, visible on white and on black."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 16px;
color: #1e293b }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: 13px; white-space: nowrap }}
td, th {{ padding: 4px 10px; border-bottom: 1px solid #e2e8f0; text-align: right }} th {{ font-weight: 600 }}
td:first-child, th:first-child {{ text-align: left }}
.row {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 8px }}
figure {{ margin: 0 }} img {{ width: 100%; display: block; image-rendering: pixelated }}
figcaption {{ font-size: 12px; color: #475569 }}
.legend span {{ display: inline-block; margin-right: 12px }}
.legend i {{ display: inline-block; width: 12px; height: 12px; margin-right: 4px; vertical-align: -1px }}
</style><h1>{title}</h1>{body}</html>"""


@dataclass(frozen=True)
class ComparisonFacts:
    """What a report states beside the differences.

    Attributes:
        titles: names of the two networks.
        about: a sentence on data and pixels.
        notes: sentences that readers need.
        small_classes: the classes that count as small objects.
        seconds: seconds per photo of each network; None if unknown.
        photos: the names of the photos in the order of the split.
    """

    titles: tuple[str, str]
    about: str
    notes: Sequence[str]
    small_classes: Sequence[str]
    seconds: Sequence[float | None]
    photos: Sequence[str]


def class_figure(comparison: NetworkComparison) -> go.Figure:
    """Plot the difference of the IoU of each class with its interval, in descending order."""
    known = {name: row for name, row in comparison.by_class.items() if row.difference is not None}
    names = sorted(known, key=lambda name: known[name].difference or 0)
    return _difference_figure([known[name] for name in names], names, "difference of the IoU")


def slice_figure(comparison: NetworkComparison) -> go.Figure:
    """Plot the difference of the mean IoU on each slice with its interval; a line marks all photos."""
    rows = [row for row in comparison.slices[::-1] if row.difference.difference is not None]
    names = [row.name.partition(" (")[0] if row.group in TRAITS else row.name for row in rows]
    figure = _difference_figure([row.difference for row in rows], names, "difference of the mean IoU")
    if comparison.overall.difference is not None:
        figure.add_vline(comparison.overall.difference, line_dash="dot", line_color=GRAY)
    return figure


def _difference_figure(rows: Sequence[Difference], names: Sequence[str], axis: str) -> go.Figure:
    values = [row.difference or 0 for row in rows]
    high = [0 if row.high is None else row.high - value for row, value in zip(rows, values, strict=True)]
    low = [0 if row.low is None else value - row.low for row, value in zip(rows, values, strict=True)]
    figure = go.Figure()
    figure.add_scatter(
        x=values,
        y=list(names),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high,
            "arrayminus": low,
            "width": 3,
            "color": GRAY,
        },
        mode="markers",
        marker={"size": 9, "color": [BETTER if value >= 0 else WORSE for value in values]},
        hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
    )
    figure.add_vline(0, line_color=GRAY)
    figure.update_xaxes(title=axis, fixedrange=True, nticks=6)
    figure.update_yaxes(automargin=True, fixedrange=True)
    return figure.update_layout(height=120 + 24 * len(rows), margin={"l": 8, "r": 8, "t": 8})


def photo_figure(comparison: NetworkComparison, facts: ComparisonFacts) -> go.Figure:
    """Plot the mean IoU of each photo with the first network by that with the second."""
    figure = go.Figure()
    parts = (("first is better", BETTER, 1), ("second is better", WORSE, -1))
    for name, color, sign in parts:
        photos = [photo for photo in comparison.photos if sign * photo.difference > 0]
        figure.add_scatter(
            x=[photo.second for photo in photos],
            y=[photo.first for photo in photos],
            text=[facts.photos[photo.index] for photo in photos],
            name=f"{name}: {len(photos)} photos",
            mode="markers",
            marker={"color": color, "size": 6, "opacity": 0.7},
            hovertemplate="%{text}<br>first %{y:.3f}, second %{x:.3f}<extra></extra>",
        )
    scores = [score for photo in comparison.photos for score in (photo.first, photo.second)]
    low, high = (min(scores), max(scores)) if scores else (0, 1)
    figure.add_shape(type="line", x0=low, y0=low, x1=high, y1=high, line={"color": GRAY, "dash": "dot"})
    figure.update_xaxes(title=f"second: {facts.titles[1]}", fixedrange=True)
    figure.update_yaxes(title=f"first: {facts.titles[0]}", fixedrange=True)
    legend = {"orientation": "h", "y": -0.2, "yanchor": "top"}
    return figure.update_layout(height=480, legend=legend, margin={"l": 48, "r": 8, "t": 8})


def difference_cells(row: Difference) -> list[str]:
    """Return the cells of a table: photos, both metrics, their difference and its interval."""
    difference = "–" if row.difference is None else f"{row.difference:+.4f}"
    interval = format_difference_interval(row.low, row.high)
    return [f"{row.photos:,}", format_score(row.first), format_score(row.second), difference, interval]


def seconds_cell(seconds: float | None) -> str:
    """Return a time per photo in milliseconds, or a dash if it is unknown."""
    return "–" if seconds is None else f"{1000 * seconds:.0f} ms"


def shown_photo(split: DecodedSplit, index: int) -> Image.Image:
    """Return a photo as it looks in the scene: that of a pair is widened."""
    photo = split.photo(index)
    return photo.resize((photo.width * PAIR_ASPECT, photo.height)) if split.is_pairs else photo


def shown_ids(split: DecodedSplit, ids: np.ndarray) -> np.ndarray:
    """Return a label or a mask of the size of the label in the shape of `shown_photo`."""
    return ids.repeat(PAIR_ASPECT, axis=1) if split.is_pairs else ids


def write_html(
    comparison: NetworkComparison,
    facts: ComparisonFacts,
    split: DecodedSplit,
    regressions: Sequence[tuple[PhotoDifference, Sequence[np.ndarray]]],
    file: Path,
) -> None:
    """Write a comparison as one HTML file that needs no others.

    Args:
        comparison: the differences.
        facts: what the report states beside them.
        split: the photos and labels.
        regressions: photos with the masks of both networks at the size of the label.
        file: the HTML file; its folder is created if missing.
    """
    first, second = map(escape, facts.titles)
    sentences = [facts.about, "All differences are the first network minus the second.", *facts.notes]
    body = [f"<p>First: {first}. Second: {second}. {escape(' '.join(sentences))}</p>"]
    totals = {"mean IoU": comparison.overall, "mean IoU of a photo": comparison.per_photo}
    body += [
        _table("all photos", totals),
        f"<p>{escape(f'{verdict(comparison)} {photos_sentence(comparison)}')}</p>",
    ]
    times = [f"{escape(t)}: {seconds_cell(s)}" for t, s in zip(facts.titles, facts.seconds, strict=True)]
    body.append(f"<h2>Time per photo</h2><p>{', '.join(times)}.</p>")
    figures = {
        "Photos": photo_figure(comparison, facts),
        "Classes": class_figure(comparison),
        "Slices": slice_figure(comparison),
    }
    tables = {
        "Classes": _table("class", comparison.by_class),
        "Slices": _table("slice", {row.name: row.difference for row in comparison.slices})
        + f"<p>{escape(slices_sentence(facts.small_classes))}</p>",
    }
    for number, (title, figure) in enumerate(figures.items()):
        plot = figure.update_layout(template="plotly_white").to_html(
            full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False, "responsive": True}
        )
        body.append(f"<h2>{title}</h2>{plot}{tables.get(title, '')}")
    body.append(f"<h2>Worst regressions</h2>{_legend(split)}")
    body += [_regression(photo, masks, facts, split) for photo, masks in regressions]
    if not regressions:
        body.append("<p>The first network is worse on no photo.</p>")
    title = f"{first} against {second}"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, _PAGE.format(title=title, body="".join(body)).encode())


def verdict(comparison: NetworkComparison) -> str:
    """Return what the interval of the difference of the mean IoU says."""
    low, high = comparison.overall.low, comparison.overall.high
    if low is None or high is None:
        return f"An interval needs at least {MIN_PHOTOS} photos."
    if low > 0:
        return "The first network is better: the interval of the difference is above 0."
    if high < 0:
        return "The second network is better: the interval of the difference is below 0."
    return "The interval of the difference contains 0, so these photos do not show which network is better."


def photos_sentence(comparison: NetworkComparison) -> str:
    """Return how many photos the first network won and lost."""
    return (
        f"The first network is better on {comparison.won:,} of {len(comparison.photos):,} photos, worse on"
        f" {comparison.lost:,} and equal on {comparison.equal:,}."
    )


def slices_sentence(small_classes: Sequence[str]) -> str:
    """Return how slices are made."""
    small = f" Small objects are pixels of {', '.join(small_classes)}." if small_classes else ""
    return f"The mean IoU of a slice is over the classes in the labels of its photos.{small}"


def _table(title: str, rows: dict[str, Difference]) -> str:
    header = (title, "photos", "first", "second", "difference", "95 % interval")
    lines = [_table_row("th", header)]
    lines += [_table_row("td", [name, *difference_cells(row)]) for name, row in rows.items()]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _table_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _legend(split: DecodedSplit) -> str:
    entries = [
        f'<span><i style="background: rgb{info.color}"></i>{escape(info.name)}</span>'
        for info in split.classes.classes
    ]
    return f'<p class="legend">{"".join(entries)}</p>'


def _regression(
    photo: PhotoDifference, masks: Sequence[np.ndarray], facts: ComparisonFacts, split: DecodedSplit
) -> str:
    """Return a photo, its label and both masks side by side."""
    ids = (split.label(photo.index), *masks)
    pictures = [_data_uri(shown_photo(split, photo.index), "JPEG")]
    pictures += [_data_uri(Image.fromarray(split.classes.colorize(shown_ids(split, i))), "PNG") for i in ids]
    captions = ("photo", "label", *(f"{title}: {score:.3f}" for title, score in _scored(photo, facts)))
    cells = "".join(
        f'<figure><img src="{uri}" alt="{escape(text)}"><figcaption>{escape(text)}</figcaption></figure>'
        for uri, text in zip(pictures, captions, strict=True)
    )
    name = escape(facts.photos[photo.index])
    return f'<h3>{name}: {photo.difference:+.4f}</h3><div class="row">{cells}</div>'


def _scored(photo: PhotoDifference, facts: ComparisonFacts) -> list[tuple[str, float]]:
    return list(zip(facts.titles, (photo.first, photo.second), strict=True))


def _data_uri(picture: Image.Image, kind: str) -> str:
    out = io.BytesIO()
    picture.save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"
