"""The comparison: every published network and every control beside each other, under the ceiling of its grid.

Figures are read off the cards that `publish` wrote; times are measured here and now. Nothing in the table is typed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from seg import encoder, evaluate, labels, preprocess, weights
from seg.checkpoint import write_atomic
from seg.networks import ARCHITECTURES, STRIDE_OF, TITLES, Architecture, build
from seg.predict import Device, Predictor, pick_device

STRIDES = (8, 16, 32)
HEIGHTS = (256, 320, 384, 512)
"""Input heights at which ceilings are computed, beside those that the cards name; inputs are twice as wide."""
REPEATS = 6
TICKS = [digit * 10**power for power in range(5) for digit in (1, 2, 5)]
"""Milliseconds that the axis of times names."""
COLORS = {
    "fcn-resnet50": ("#5eead4", "#14b8a6", "#115e59"),
    "fcn-vgg16": ("#fdba74", "#f97316", "#9a3412"),
    "unet-resnet50": ("#7c3aed",),
    "dilated-resnet50": ("#db2777",),
}
"""Of the variants of each architecture, the coarsest first."""


@dataclass(frozen=True)
class Row:
    """One variant of one card."""

    weights: str
    control: bool  # scored for comparison only, not published
    architecture: Architecture
    network: str
    variant: str
    best: bool  # the mean of three sizes, each also mirrored
    parameters: int
    photos: int  # views seen in training, those of what it went on from included
    start: str
    height: int
    report: dict[str, Any]  # `evaluate.report`
    seconds: float | None  # per 2:1 photo of 512x1024: to the image, network, mask; None where it was not measured
    common_height: int  # the greatest working height of all cards
    common_seconds: float | None  # a photo's time there, where times can be compared
    ceiling: float | None  # None where it is not known: of several sizes at once, or on other pairs than the row was scored on


Kind = tuple[Architecture, encoder.Strides, str, bool, int]
"""What a time depends on: architecture, place of the strides, variant, best quality or not, working height."""


def cards(controls: Path, registry: Path = weights.FOLDER) -> tuple[list[weights.Card], list[weights.Card]]:
    """The cards of all published weights, and those of `controls`: a registry of cards alone, of networks that are not shipped.

    Raises `weights.WeightsError` for a card that cannot be used.
    """
    published, compared = ([weights.read_card(name, of) for name in weights.names(of)] for of in (registry, controls))
    return published, compared


def rows(
    published: Sequence[weights.Card],
    controls: Sequence[weights.Card],
    limits: Mapping[tuple[int, int], float],
    digest: str,
    seconds: Mapping[Kind, float],
) -> list[Row]:
    """A row for each variant of each card. `limits` are the ceilings on the pairs of `digest`, by input height and stride;
    `seconds` is what `measure` made of `kinds`."""
    common = _common((*published, *controls))
    return [
        Row(
            weights=card.name,
            control=card in controls,
            architecture=card.architecture,
            network=f"{TITLES[variant]}, {encoder.TITLES[ARCHITECTURES[card.architecture].backbone]}" + ", best quality" * best,
            variant=variant,
            best=best,
            parameters=card.parameters,
            photos=_photos(card),
            start=card.encoder["name"],
            height=card.working_height,
            report=report,
            seconds=seconds.get(_kind(card, variant, best, card.working_height)),
            common_height=common,
            common_seconds=seconds.get(_kind(card, variant, best, common)),
            ceiling=limits.get((card.working_height, STRIDE_OF.get(variant, 0)))
            if card.metrics.get("digest") == digest and not best
            else None,
        )
        for card, variant, best, report in _scored((*published, *controls))
    ]


def kinds(of: Sequence[weights.Card]) -> list[Kind]:
    """Whose times `rows` of these cards wants: at their own heights, and at the common one."""
    heights = {card.name: (card.working_height, _common(of)) for card in of}
    return sorted({_kind(card, v, best, height) for card, v, best, _ in _scored(of) for height in heights[card.name]})


def _scored(of: Sequence[weights.Card]) -> Iterator[tuple[weights.Card, str, bool, dict[str, Any]]]:
    for card in of:
        for best, key in ((False, "variants"), (True, "best")):
            for variant, report in card.metrics.get(key, {}).items():
                yield card, variant, best, report


def _kind(card: weights.Card, variant: str, best: bool, height: int) -> Kind:
    return card.architecture, card.encoder["strides"], variant, best, height


def _common(of: Sequence[weights.Card]) -> int:
    return max((card.working_height for card in of), default=0)


def _photos(card: weights.Card) -> int:
    seen, parent = card.photos, card.parent
    while parent:
        seen, parent = seen + parent["photos"], parent["parent"]
    return seen


def measure(kinds: Sequence[Kind], device: Device = "auto", told: Callable[[int, int], None] | None = None) -> dict[Kind, float]:
    """The least time of a photo of each kind, measured in turns so that other work on the machine slows all alike.

    It does not depend on the parameters: untrained networks serve.
    """
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8))
    on = pick_device(device)
    networks = {}
    for architecture, strides, *_ in kinds:
        model = build(architecture, len(labels.CLASSES), ARCHITECTURES[architecture].variants, strides)
        networks[architecture, strides] = Predictor.folded(model, 1, on).model
    least: dict[Kind, float] = {}
    for turn in range(REPEATS):
        for number, kind in enumerate(kinds):
            architecture, strides, variant, best, height = kind
            predictor = Predictor(networks[architecture, strides], height, on)
            began = time.perf_counter()
            preprocess.to_mask(predictor.logits(photo, [variant], best=best)[variant], photo.height, photo.width)
            least[kind] = min(least.get(kind, float("inf")), time.perf_counter() - began)
            if told:
                told(turn * len(kinds) + number + 1, REPEATS * len(kinds))
    return least


def cells(row: Row) -> list[str]:
    """A row as it is printed, under `head`."""
    low, high = row.report["intervals"]["mean_iou"]
    scores = (row.report[key] for key in ("pixel_accuracy", "mean_accuracy", "mean_iou"))
    return [
        *(row.network, row.weights, row.start, str(row.photos), f"{row.parameters / 1e6:.1f} M", str(row.height)),
        *(evaluate.figure(score) for score in scores),
        *(f"{low:.4f}–{high:.4f}", evaluate.figure(row.report["boundary_iou"]), evaluate.figure(row.ceiling)),
        *("–" if seconds is None else f"{1000 * seconds:.0f}" for seconds in (row.seconds, row.common_seconds)),
    ]


def head(made: Sequence[Row]) -> list[str]:
    """What the columns of `cells` are."""
    words = ["network", "weights", "start", "views", "parameters", "height", "pixel acc.", "mean acc.", "mean IoU", "95 %"]
    return [*words, "boundary IoU", "ceiling", "ms", *(f"ms, {row.common_height} high" for row in made[:1])]


def write(made: Sequence[Row], limits: Mapping[tuple[int, int], float], about: str, file: Path) -> None:
    """Writes one page of HTML: the table; accuracy against time per photo; of each of the published weights IoU by class and by
    size of the truth's parts. `about` says what the ceilings were computed on."""
    figures = [accuracy_and_time(made, limits)]
    for name in dict.fromkeys(row.weights for row in made if not row.control):
        own = [row for row in made if row.weights == name and not row.control and not row.best]
        figures += [by_class(name, own), by_size(name, own)]
    drawn = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0, config={"responsive": True, "displaylogo": False})
        for number, figure in enumerate(figures)
    ]
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in cells(row)) for row in made]
    table = f"<tr>{''.join(f'<th>{escape(word)}</th>' for word in head(made))}</tr>" + "".join(f"<tr>{x}</tr>" for x in lines)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, _PAGE.format(table=table, about=escape(about), plots="".join(drawn)).encode())


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Street FCN: the comparison</title><style>
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1600px; padding: 16px; color: #1e293b }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: 12px; white-space: nowrap }}
td, th {{ padding: 4px 8px; border-bottom: 1px solid #e2e8f0; text-align: right }} th {{ font-weight: 600 }}
td:nth-child(-n+3), th:nth-child(-n+3) {{ text-align: left }}
</style><h1>Street FCN: the comparison</h1><p>{about}</p><div class="scroll"><table>{table}</table></div>{plots}</html>"""


def accuracy_and_time(made: Sequence[Row], limits: Mapping[tuple[int, int], float]) -> go.Figure:
    """Mean IoU with its interval against the time of a photo at the common height; only rows whose time is known."""
    timed = [(row, row.common_seconds) for row in made if row.common_seconds is not None]
    figure = go.Figure()
    for row, seconds in timed:
        low, high = row.report["intervals"]["mean_iou"]
        score = row.report["mean_iou"]
        figure.add_scatter(
            x=[1000 * seconds],
            y=[score],
            error_y={"type": "data", "symmetric": False, "array": [high - score], "arrayminus": [score - low], "width": 3},
            name=f"{row.network} ({row.weights})",
            mode="markers",
            marker={
                "color": _color(row),
                "size": 10,
                "symbol": "diamond-open" if row.control else "star" if row.best else "circle",
            },
        )
    for row, _ in timed[:1]:
        for stride in STRIDES:
            if (limit := limits.get((row.common_height, stride))) is not None:
                figure.add_hline(limit, line_dash="dot", line_color="#94a3b8", annotation_text=f"ceiling of stride {stride}")
        figure.update_xaxes(title=f"ms per photo, {row.common_height} high", type="log", tickvals=TICKS)
    figure.update_yaxes(title="mean IoU", range=[0, 1])
    return _laid_out(figure, "Mean IoU against time per photo", 520 + 22 * len(timed))


def by_class(name: str, own: Sequence[Row]) -> go.Figure:
    """IoU by class of the rows of some weights, the finest's best class first."""
    figure = go.Figure()
    finest = own[-1].report["iou"] if own else {}
    names = sorted(finest, key=lambda k: -(finest[k] or 0))
    for row in own:
        figure.add_bar(x=names, y=[row.report["iou"][k] for k in names], name=row.network, marker_color=_color(row))
    figure.update_yaxes(range=[0, 1])
    return _laid_out(figure, f"IoU by class: {name}", 460)


def by_size(name: str, own: Sequence[Row]) -> go.Figure:
    """Mean IoU of the truth's connected parts by their size, of the rows of some weights."""
    figure = go.Figure()
    for row in own:
        sizes = row.report["by_size"]
        words = [evaluate.size_words(size).removeprefix("parts of ") for size in sizes]
        figure.add_scatter(x=words, y=[size["iou"] for size in sizes], name=row.network, line_color=_color(row))
    figure.update_yaxes(range=[0, 1])
    return _laid_out(figure, f"IoU by size of the truth's connected parts: {name}", 460)


def _color(row: Row) -> str:
    return COLORS[row.architecture][list(ARCHITECTURES[row.architecture].variants).index(row.variant)]


def _laid_out(figure: go.Figure, title: str, height: int) -> go.Figure:
    legend = {"orientation": "h", "y": -0.25, "yanchor": "top"}
    return figure.update_layout(title=title, height=height, template="plotly_white", legend=legend, margin={"l": 48, "r": 8})
