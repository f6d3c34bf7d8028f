"""The views All weights and Per class and size: metrics of published weights, and times measured on this
machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from seg import paths
from seg.data.classes import ClassSet
from seg.data.decode_cache import HELD_OUT
from seg.evaluation import evaluate, grid_reference, leaderboard
from seg.evaluation.bootstrap import PairedDifference
from seg.evaluation.leaderboard_html import (
    accuracy_operations_figure,
    accuracy_time_figure,
    class_iou_figure,
    size_iou_figure,
)
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard, WeightsError, evaluated_on
from seg.models.registry import list_weights, read_card
from ui.compare import presets
from ui.compare.ground_truth import GRID_REFERENCE_HELP
from ui.dataset.pair_cache import ChosenSplit, decoded_split
from ui.evaluation import label_sets
from ui.shared.permissions import allowed, why_not
from ui.shared.text import plain
from ui.state.model_pool import card_digest

GRID_REFERENCE = "cell shares"
ALL_LABELLED = "mean IoU, all labelled"
OPERATIONS = "operations"
UNKNOWN = "–"
"""Placeholder of values that a model card lacks or that were not measured."""

References = dict[tuple[int, int], grid_reference.GridReference]
"""By working height and stride."""

_HELP = {
    "mean IoU": "Intersection over union of mask and ground truth, averaged over the classes, on the "
    "unambiguous pixels.",
    ALL_LABELLED: f"The same on all labelled pixels. {label_sets.HELP}",
    "95 % CI": "Confidence interval of the mean IoU over photos of the cities of this split, for this one "
    "training. Two networks must not be compared by their intervals: see the differences below.",
    "boundary IoU": "IoU of the pixels close to a class boundary, within 2 % of the diagonal.",
    GRID_REFERENCE: f"Cell-share reference of the output grid. {GRID_REFERENCE_HELP}",
    "ms": "Milliseconds for a 2:1 photo at the working height, on this machine.",
    OPERATIONS: "Multiplications and additions for a 2:1 photo at the greatest working height of the table, "
    "in billions. They are the same on every machine.",
}


def draw(pairs: ChosenSplit | None, classes: ClassSet) -> None:
    """Draw the sortable table of all weights, and accuracy against time.

    Args:
        pairs: The evaluation split.
        classes: The classes; weights of others cannot be compared.
    """
    with_baselines = st.toggle(
        "Show baselines",
        key="controls",
        bind="query-params",
        help=(
            "Networks trained for comparison with a small budget. Only their model cards are included, not"
            " their weights."
        ),
    )
    published = published_cards(classes)
    baselines = _readable_cards(paths.baselines(), classes) if with_baselines else []
    cards = [*published, *baselines]
    digest, references = (pairs.digest, _references(cards, pairs.digest)) if pairs else ("", {})
    rows = leaderboard.rows(published, baselines, references, digest, measured_times())
    operations = {} if _is_timed(rows) else count_operations(tuple(row.common_case for row in rows))
    if rows:
        st.dataframe(
            _columns(rows, operations),
            hide_index=True,
            column_config=_column_config(),
            placeholder=UNKNOWN,
            key="all_weights",
            alt="Metrics of every variant of all weights. The model cards contain the same values.",
        )
    if note := leaderboard.about_methods(published):
        st.markdown(note)
        st.page_link(
            "app.py",
            label="Compare the three methods on a photo",
            icon=":material/compare:",
            query_params=presets.link(presets.THREE_METHODS),
        )
    unscored = [card.name for card in published if not card.metrics.get("variants")]
    if unscored:
        st.caption(f"Published without metrics: {', '.join(map(plain, unscored))}.")
    for card in cards:
        _show_split(card)
    if note := leaderboard.earlier_version_note(cards):
        st.caption(plain(note[0].upper() + note[1:]) + ".")
    _show_comparisons(published)
    _measure_section(cards, pairs, references)
    _figures(rows, references, operations)


@st.cache_data(max_entries=4, show_spinner="Counting operations …")
def count_operations(cases: tuple[leaderboard.TimingCase, ...]) -> dict[leaderboard.TimingCase, int]:
    """Return `leaderboard.count_operations`, cached for all visitors."""
    return leaderboard.count_operations(cases)


def _is_timed(rows: list[leaderboard.LeaderboardRow]) -> bool:
    return any(row.common_seconds is not None for row in rows)


@st.cache_data(max_entries=4, show_spinner="Comparing the networks …")
def _comparisons(card_digests: tuple[str, ...], _published: list[ModelCard]) -> list[leaderboard.Comparison]:
    """Return the comparisons of published networks; they take seconds."""
    return leaderboard.comparisons(_published)


def _show_comparisons(published: list[ModelCard]) -> None:
    """Show the differences of networks on the same photos."""
    compared = _comparisons(tuple(map(card_digest, published)), published)
    rows = [row for row in compared if row.unambiguous.low is not None]
    if not rows:
        return
    st.subheader("Differences on the same photos", anchor=False)
    st.dataframe(
        {
            "network": [_network_name(*row.first) for row in rows],
            "compared with": [_network_name(*row.second) for row in rows],
            "mean IoU": [row.unambiguous.mean_iou for row in rows],
            "95 % CI": [_difference_interval(row.unambiguous) for row in rows],
            ALL_LABELLED: [row.all_labelled.mean_iou for row in rows],
            "95 % CI, all labelled": [_difference_interval(row.all_labelled) for row in rows],
        },
        hide_index=True,
        key="comparisons",
        column_config={
            name: st.column_config.NumberColumn(format="%+.4f") for name in ("mean IoU", ALL_LABELLED)
        },
        alt="Differences of the mean IoU of two networks with intervals.",
    )
    st.caption(
        "Differences of the mean IoU of two networks on the same photos of val, with intervals over photos "
        "of its cities. Each network was trained once: the intervals do not say how another training of the "
        "same recipe would differ."
    )


def _network_name(weights: str, variant: str) -> str:
    return f"{DISPLAY_NAMES[variant]} ({weights})"


def _difference_interval(difference: PairedDifference) -> str:
    return evaluate.format_difference_interval(difference.low, difference.high)


def _measure_section(cards: list[ModelCard], pairs: ChosenSplit | None, references: References) -> None:
    cases = [case for case in leaderboard.timing_cases(cards) if case not in measured_times()]
    if not cases and not (pairs and not references):
        return
    st.button(
        "Measure times and cell-share references",
        icon=":material/timer:",
        disabled=not allowed(),
        key="measure",
        type="primary",
        help=(
            "Times every network on a 2:1 photo (interleaved, best of six) and computes the cell-share "
            "references of the output grids from the labels of the dataset."
        ),
    )
    if st.session_state["measure"]:
        measure(cases, sorted({card.working_height for card in cards}), pairs)
        st.rerun()
    st.caption(_unmeasured_note(bool(cases), not references and pairs is not None))


def _unmeasured_note(lacks_times: bool, lacks_references: bool) -> str:
    """Return what is not measured yet, and what measuring takes."""
    missing = ["times"] * lacks_times + ["cell-share references"] * lacks_references
    note = (
        "The model cards contain neither times nor cell-share references, which depend on the machine and on "
        f"the dataset. Not measured here yet: {' and '.join(missing)}."
    )
    if lacks_times and not measured_times():
        note += " Until then the plot shows operations in place of times."
    if not allowed():
        return f"{note} Measuring from this page is disabled: {why_not()}."
    return f"{note} Measuring takes a minute or more."


def _figures(
    rows: list[leaderboard.LeaderboardRow],
    references: References,
    operations: dict[leaderboard.TimingCase, int],
) -> None:
    if len(finest := leaderboard.finest(rows)) > 1:
        st.plotly_chart(
            class_iou_figure("the finest mask of each", finest),
            key="by_class_of_all",
            alt="Bars of the IoU of every class and network. The view Per class and size has the values.",
        )
    if not rows:
        return
    timed = _is_timed(rows)
    st.plotly_chart(
        accuracy_time_figure(rows, references)
        if timed
        else accuracy_operations_figure(rows, references, operations),
        key="accuracy_time",
        alt=(
            f"Mean IoU against {'milliseconds' if timed else 'operations'} per photo, with the cell-share "
            "references of strides 32, 16 and 8. The table has the values."
        ),
    )


def measure(cases: list[leaderboard.TimingCase], heights: list[int], pairs: ChosenSplit | None) -> None:
    """Measure times and cell-share references with a progress bar; the results are cached for all visitors.

    Args:
        cases: Networks and variants to time.
        heights: Working heights in pixels for which references are computed.
        pairs: The evaluation split.
    """
    bar = st.progress(0.0, "Measuring times …")

    def show(label: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{label}: {done} of {total}")

    measured_times().update(
        leaderboard.measure(cases, "auto", lambda done, total: show("Times", done, total))
    )
    split = decoded_split(pairs, ask=False) if pairs else None
    if split is not None:
        grid_reference.reference_scores(
            split,
            heights,
            leaderboard.STRIDES,
            lambda done, total: show("Cell-share references, labels", done, total),
            heights,
        )
    bar.empty()


def draw_by_class(card: ModelCard) -> None:
    """Draw the IoU by class and by the size of connected components, for each variant.

    Args:
        card: Card of the weights.
    """
    _show_split(card)
    rows = [row for row in leaderboard.rows([card], [], {}, "", {}) if not row.tta]
    label_set = label_sets.choose_label_set(rows[0].report)
    rows = [replace(row, report=label_sets.of_label_set(row.report, label_set)) for row in rows]
    label_sets.show_ignored(card.metrics)
    st.plotly_chart(
        class_iou_figure(card.name, rows),
        key="by_class",
        alt="Bars of the IoU of every class. The table has the values.",
    )
    st.plotly_chart(
        size_iou_figure(card.name, rows),
        key="by_size",
        alt="Lines of the IoU of connected components in five size bins, for each variant.",
    )
    st.caption(
        "Connected components of the ground truth by area, in pixels of the labels. A component’s "
        "IoU counts the predicted components of its class that overlap it (Rottmann et al. 2020)."
        + _largest_gain(rows)
    )
    counts = [sum(row) for row in rows[0].report["confusion"]]
    share = "share of the ground truth"
    shares = [100 * n / sum(counts) for n in counts]
    columns: dict[str, list[Any]] = {"class": card.classes, share: shares}
    columns |= {
        DISPLAY_NAMES[row.variant]: [row.report["iou"][name] for name in card.classes] for row in rows
    }
    bars = st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f")
    st.dataframe(
        columns,
        hide_index=True,
        key="iou_by_class",
        height="content",
        placeholder=UNKNOWN,
        column_config={
            share: st.column_config.NumberColumn(format="%.2f %%"),
            **{DISPLAY_NAMES[row.variant]: bars for row in rows},
        },
        alt="IoU of every class and variant.",
    )


def _largest_gain(rows: list[leaderboard.LeaderboardRow]) -> str:
    """Return a sentence on the sizes at which the finest variant gains most over the coarsest."""
    coarse, fine = (row.report["by_size"] for row in (rows[0], rows[-1]))
    gains = {
        evaluate.size_bin_label(after): after["iou"] - before["iou"]
        for before, after in zip(coarse, fine, strict=True)
        if before["iou"] is not None and after["iou"] is not None
    }
    if len(rows) < 2 or not gains:
        return ""
    largest = max(gains, key=lambda name: gains[name])
    networks = f"{DISPLAY_NAMES[rows[-1].variant]} gains most over {DISPLAY_NAMES[rows[0].variant]}"
    return f" {networks} on {largest}: {gains[largest]:+.3f}."


def _show_split(card: ModelCard) -> None:
    """State on which pairs weights were evaluated, unless it was val."""
    if card.metrics.get("split") == HELD_OUT:
        st.caption(f"{plain(card.name)} was evaluated on another split: {evaluated_on(card.metrics)}.")


def published_cards(classes: ClassSet) -> list[ModelCard]:
    """Return the readable cards of published weights with these classes."""
    return _readable_cards(None, classes)


def _readable_cards(folder: Path | None, classes: ClassSet) -> list[ModelCard]:
    """Return the readable cards of networks with these classes; the sidebar reports damaged ones."""
    cards = []
    for name in list_weights(folder):
        try:
            card = read_card(name, folder)
        except WeightsError:
            continue
        if card.class_set.names == classes.names:
            cards.append(card)
    return cards


@st.cache_resource(show_spinner=False)
def measured_times() -> dict[leaderboard.TimingCase, float]:
    """Return the seconds per case measured since the server started."""
    return {}


def _references(cards: list[ModelCard], digest: str) -> References:
    """Return the stored cell-share references by working height and stride."""
    stored = grid_reference.stored_references(digest)
    grids = {(card.working_height, stride) for card in cards for stride in leaderboard.STRIDES}
    return {grid: stored[grid] for grid in grids if grid in stored}


def _columns(
    rows: list[leaderboard.LeaderboardRow], operations: dict[leaderboard.TimingCase, int]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "network": [row.network for row in rows],
        "weights": [row.weights + " (baseline)" * row.is_baseline for row in rows],
        "mean IoU": [row.report["mean_iou"] for row in rows],
        "95 % CI": [evaluate.format_interval(row.report["intervals"].get("mean_iou"), 3) for row in rows],
        ALL_LABELLED: [row.report.get("all_labelled", {}).get("mean_iou") for row in rows],
        GRID_REFERENCE: [row.grid_reference and row.grid_reference.cell_shares for row in rows],
        "pixel accuracy": [row.report["pixel_accuracy"] for row in rows],
        "boundary IoU": [row.report["boundary_iou"] for row in rows],
        "parameters": [row.parameters / 1e6 for row in rows],
        "height": [row.height for row in rows],
        "ms": [row.seconds and 1000 * row.seconds for row in rows],
        OPERATIONS: [operations[row.common_case] / 1e9 if operations else None for row in rows],
        "pretraining": [row.start for row in rows],
        "samples seen": [row.samples_seen for row in rows],
    }
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _column_config() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    scores = ("mean IoU", ALL_LABELLED, GRID_REFERENCE, "pixel accuracy", "boundary IoU")
    return {name: number(format="%.4f", help=_HELP.get(name)) for name in scores} | {
        "95 % CI": st.column_config.TextColumn(help=_HELP["95 % CI"]),
        "parameters": number(format="%.1f M"),
        "ms": number(format="%.0f", help=_HELP["ms"]),
        OPERATIONS: number(format="%.0f G", help=_HELP[OPERATIONS]),
        "height": number(help="Working height in pixels."),
        "samples seen": number(help="Training samples, each a random crop of a photo."),
    }
