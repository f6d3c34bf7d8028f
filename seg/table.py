"""The comparison: every published network and every control beside each other, under the ceiling of its grid.

Figures are read off the cards that `publish` wrote; times are measured here and now. Nothing in the table is typed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from plotly.subplots import make_subplots

from seg import encoder, evaluate, labels, preprocess, weights
from seg.networks import ARCHITECTURES, STRIDE_OF, TITLES, build
from seg.predict import Device, Predictor, pick_device

STRIDES = (8, 16, 32)
HEIGHTS = (256, 320, 384, 512)
"""Input heights at which ceilings are computed, beside those that the cards name; inputs are twice as wide."""
REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One variant of one card."""

    weights: str
    network: str
    variant: str
    parameters: int
    photos: int  # views seen in training, those of what it went on from included
    start: str
    height: int
    report: dict[str, Any]  # `evaluate.report`
    seconds: float  # per 2:1 photo of 512x1024: to the image, network, mask
    common_height: int  # the greatest working height of all cards
    common_seconds: float  # a photo's time there, where times can be compared
    ceiling: float | None


def cards(controls: Path, registry: Path = weights.FOLDER) -> list[weights.Card]:
    """The cards of all published weights, then those of `controls`: a registry of cards alone, of networks that are not shipped.

    Raises `weights.WeightsError` for a card that cannot be used.
    """
    return [weights.read_card(name, folder) for folder in (registry, controls) for name in weights.names(folder)]


def rows(
    of: Sequence[weights.Card],
    limits: dict[tuple[int, int], float],
    device: Device = "auto",
    told: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """A row for each variant of each card."""
    made = []
    times: dict[tuple, float] = {}
    common = max((card.working_height for card in of), default=0)

    def clocked(card: weights.Card, variant: str, best: bool, height: int) -> float:
        """It does not depend on the parameters: networks of a kind are timed once."""
        key = card.architecture, card.encoder["strides"], variant, best, height
        if key not in times:
            times[key] = _seconds(card, variant, best, height, device)
        return times[key]

    for done, card in enumerate(of):
        scored = [(variant, False, report) for variant, report in card.metrics.get("variants", {}).items()]
        scored += [(variant, True, report) for variant, report in card.metrics.get("best", {}).items()]
        for variant, best, report in scored:
            limit = limits.get((card.working_height, STRIDE_OF.get(variant, 0)))
            network = f"{TITLES[variant]}, {encoder.TITLES[ARCHITECTURES[card.architecture].backbone]}" + ", best quality" * best
            made.append(
                Row(
                    weights=card.name,
                    network=network,
                    variant=variant,
                    parameters=card.parameters,
                    photos=_photos(card),
                    start=card.encoder["name"],
                    height=card.working_height,
                    report=report,
                    seconds=clocked(card, variant, best, card.working_height),
                    common_height=common,
                    common_seconds=clocked(card, variant, best, common),
                    ceiling=limit,
                )
            )
        if told:
            told(done + 1, len(of))
    return made


def _photos(card: weights.Card) -> int:
    seen, parent = card.photos, card.parent
    while parent:
        seen, parent = seen + parent["photos"], parent["parent"]
    return seen


def _seconds(card: weights.Card, variant: str, best: bool, height: int, device: Device) -> float:
    """The median time of a photo through an untrained network of the card's kind."""
    model = build(card.architecture, len(labels.CLASSES), card.variants, card.encoder["strides"])
    predictor = Predictor(model, height, pick_device(device))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8))
    taken = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        preprocess.to_mask(predictor.logits(photo, [variant], best=best)[variant], photo.height, photo.width)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])  # the first one warms up


def write(made: Sequence[Row], limits: dict[tuple[int, int], float], file: Path) -> None:
    """Draws accuracy against time per photo, IoU by class and IoU by size of the truth's parts, as one page of HTML."""
    titles = ("Mean IoU against time per photo", "IoU by class", "IoU by size of the truth's connected parts")
    figure = make_subplots(rows=3, cols=1, subplot_titles=titles, vertical_spacing=0.1)
    colors = ["#0f766e", "#d97706", "#7c3aed", "#dc2626", "#2563eb", "#65a30d", "#db2777", "#475569", "#0891b2", "#854d0e"]
    for number, row in enumerate(made):
        name, color = f"{row.network} ({row.weights})", colors[number % len(colors)]
        low, high = row.report["intervals"]["mean_iou"]
        score = row.report["mean_iou"]
        error = {"type": "data", "symmetric": False, "array": [high - score], "arrayminus": [score - low]}
        style = {"name": name, "legendgroup": name, "marker": {"color": color}}
        figure.add_scatter(x=[row.seconds], y=[score], error_y=error, mode="markers", row=1, col=1, **style)
        iou = row.report["iou"]
        figure.add_bar(x=list(iou), y=list(iou.values()), showlegend=False, row=2, col=1, **style)
        sizes = row.report["by_size"]
        words = [evaluate.size_words(size) for size in sizes]
        figure.add_scatter(x=words, y=[size["iou"] for size in sizes], showlegend=False, row=3, col=1, **style)
    for stride in STRIDES:
        limit = limits[256, stride]
        figure.add_hline(limit, line_dash="dot", annotation_text=f"ceiling, stride {stride}, 256 × 512", row=1, col=1)
    figure.update_layout(height=1500, template="plotly_white", title="Street FCN: the comparison")
    figure.update_xaxes(title="seconds per photo", type="log", row=1, col=1)
    figure.update_yaxes(range=[0, 1])
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(file, include_plotlyjs=True)
