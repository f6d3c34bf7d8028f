"""The view Two networks: differences on the same photos, slices, and the photos on which one is worse."""

from typing import Any

import numpy as np
import streamlit as st

from seg import jobs
from seg.errors import StreetFCNError
from seg.evaluation import comparison_html, leaderboard
from seg.evaluation.compared_counts import SourceRecord, known_counts, stored_counts, stored_sources
from seg.evaluation.comparison import Difference, NetworkComparison, PhotoDifference, compare
from seg.evaluation.comparison_html import ComparisonFacts
from seg.evaluation.mask_sources import MaskSource, WeightsSource, open_source
from seg.evaluation.photo_traits import PhotoTraits, load_traits
from seg.models.model_card import ModelCard
from ui.dataset.pair_cache import ChosenSplit, decoded_split
from ui.evaluation import evaluation_runs
from ui.evaluation.comparison_photo import show_photo
from ui.evaluation.error_analysis import choose_variant
from ui.evaluation.leaderboard_view import count_operations, measured_times, published_cards
from ui.shared.text import plain, plural, unique_name
from ui.state.session import forget_unless

WORSE, BETTER = "First is worse", "First is better"
"""The photos of the grid."""

Compared = WeightsSource | SourceRecord
"""Weights, or masks and networks of others that the command has counted."""


def draw(card: ModelCard, pairs: ChosenSplit | None) -> None:
    """Draw the choice of two networks and their comparison.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
    """
    if pairs is None:
        evaluation_runs.evaluate_section(card, None, "")
        return
    left, right = st.columns([1, 1])
    with left:
        first = WeightsSource(card, choose_variant(card))
    with right:
        second = _choose_second(first, pairs)
    if second is None:
        st.info("There is no other network with these classes.", icon=":material/compare:")
    else:
        _draw(first, second, pairs)
    _show_command(first, pairs)


def _choose_second(first: WeightsSource, pairs: ChosenSplit) -> Compared | None:
    """Draw the choice of the second network: other variants and weights, and what the command has counted."""
    cards = published_cards(first.card.class_set)
    weights = [WeightsSource(card, variant) for card in cards for variant in card.variants]
    options: dict[str, Compared] = {
        source.title: source for source in weights if source.fingerprint != first.fingerprint
    }
    for record in stored_sources(pairs.digest):
        if record.kind != "weights" and record.photos == len(pairs.files):
            options[unique_name(record.title, list(options))] = record
    if not options:
        return None
    forget_unless("second_network", options)
    return options[st.selectbox("Compared with", options, key="second_network", bind="query-params")]


def _draw(first: WeightsSource, second: Compared, pairs: ChosenSplit) -> None:
    counts = []
    for source in (first, second):
        known = _counts(source, pairs)
        if known is None:
            _ask_for_counts(source, pairs)
            return
        counts.append(known)
    split = decoded_split(pairs)
    traits = _traits(pairs.digest, split) if split is not None else None
    names, is_measured = first.card.classes, traits is not None
    fingerprints = first.fingerprint, second.fingerprint
    compared = _compared(*fingerprints, pairs.digest, is_measured, counts[0], counts[1], names, traits)
    facts = ComparisonFacts(
        titles=(first.title, second.title),
        about="",
        notes=[] if isinstance(second, WeightsSource) else second.notes,
        small_classes=traits.small_classes(first.card.classes) if traits else [],
        seconds=(None, None),
        photos=[file.name for file in pairs.files],
    )
    _draw_totals(compared, facts, first, second)
    _draw_photos(compared, facts, first, second, pairs)
    _draw_classes(compared)
    _draw_slices(compared, facts)


def _counts(source: Compared, pairs: ChosenSplit) -> np.ndarray | None:
    if isinstance(source, SourceRecord):
        return stored_counts(source, pairs.digest)
    return known_counts(source, pairs.digest, len(pairs.files))


def _ask_for_counts(source: Compared, pairs: ChosenSplit) -> None:
    """Offer the evaluation of weights; the counts of others were deleted while the page was drawn."""
    if isinstance(source, WeightsSource):
        reason = f"A comparison needs the counts of every photo. {plain(source.card.name)} has none here yet."
        evaluation_runs.evaluate_section(source.card, pairs, reason)
    else:
        st.info(f"The counts of {plain(source.title)} are gone. Run the command below again.")


@st.cache_data(max_entries=16, show_spinner="Comparing the networks …")
def _compared(
    first: str,
    second: str,
    digest: str,
    is_measured: bool,
    _first: np.ndarray,
    _second: np.ndarray,
    _names: list[str],
    _traits: PhotoTraits | None,
) -> NetworkComparison:
    groups = _traits.groups(range(len(_first))) if _traits else {}
    return compare(_first, _second, _names, groups)


@st.cache_data(max_entries=4, show_spinner="Measuring the photos …")
def _traits(digest: str, _split: Any) -> PhotoTraits:
    return load_traits(_split)


def _draw_totals(
    compared: NetworkComparison, facts: ComparisonFacts, first: WeightsSource, second: Compared
) -> None:
    """Draw the differences over all photos, and the cost of both networks."""
    st.markdown(
        f"**{plain(facts.titles[0])}** (first) against **{plain(facts.titles[1])}** (second). "
        f"{comparison_html.verdict(compared)} {comparison_html.photos_sentence(compared)}"
    )
    for note in facts.notes:
        st.info(plain(note), icon=":material/info:")
    totals = {"mean IoU": compared.overall, "mean IoU of a photo": compared.per_photo}
    _table("metric", totals, "compared_totals", "Differences of the mean IoU over all photos.")
    costs = [_cost(source) for source in (first, second)]
    st.caption(
        "All differences are the first network minus the second, on the unambiguous pixels. Intervals are"
        f" over photos of the cities of this split. Cost of a photo: first {costs[0]}, second {costs[1]}."
    )


def _cost(source: Compared) -> str:
    """Return the time of a photo if it was measured here, and the operations of published weights."""
    if isinstance(source, SourceRecord):
        seconds = source.seconds
        return "unknown" if seconds is None else comparison_html.seconds_cell(seconds)
    card = source.card
    case = leaderboard.timing_case(card, source.variant, False, card.working_height)
    operations = f"{count_operations((case,))[case] / 1e9:.0f} GFLOP"
    seconds = measured_times().get(case)
    return operations if seconds is None else f"{comparison_html.seconds_cell(seconds)}, {operations}"


def _draw_photos(
    compared: NetworkComparison,
    facts: ComparisonFacts,
    first: WeightsSource,
    second: Compared,
    pairs: ChosenSplit,
) -> None:
    st.subheader("Photos", anchor=False)
    st.plotly_chart(
        comparison_html.photo_figure(compared, facts),
        key="compared_photos",
        alt="Mean IoU of every photo with the first network by that with the second.",
    )
    choice = st.segmented_control(
        "Photos", [WORSE, BETTER], default=WORSE, required=True, key="compared_by", bind="query-params"
    )
    ranked = compared.regressions() if choice == WORSE else compared.improvements()
    if not ranked:
        st.caption("There is no such photo.")
        return
    st.caption(f"{plural(len(ranked), 'photo')}, the largest difference first.")
    index = evaluation_runs.choose_image(pairs, [(p.index, _photo_text(p)) for p in ranked], "compared")
    if index is None:
        return
    sources = [_opened(source) for source in (first, second)]
    changed = [source for source in sources if isinstance(source, str)]
    if changed:
        st.warning(plain(changed[0]), icon=":material/sync_problem:")
        return
    show_photo([source for source in sources if not isinstance(source, str)], pairs, index, first.card)


def _photo_text(photo: PhotoDifference) -> str:
    return f"{photo.difference:+.3f}"


def _opened(source: Compared) -> MaskSource | str:
    """Return a source that makes masks, or why there are none."""
    if isinstance(source, WeightsSource):
        return source
    try:
        opened = open_source(source.text)
        if opened.fingerprint == source.fingerprint:
            return _kept_open(source.fingerprint, opened)
        problem = f"{source.title} has changed since it was counted."
    except (StreetFCNError, OSError) as error:
        problem = str(error)
    return f"{problem} Run the command compare again."


@st.cache_resource(max_entries=2, show_spinner=False)
def _kept_open(fingerprint: str, _source: MaskSource) -> MaskSource:
    """Return the source that was opened first, which has loaded its network already."""
    return _source


def _draw_classes(compared: NetworkComparison) -> None:
    st.subheader("Classes", anchor=False)
    alt = "Difference of the IoU of every class with its interval. The table has the values."
    st.plotly_chart(comparison_html.class_figure(compared), key="compared_classes", alt=alt)
    _table("class", compared.by_class, "compared_by_class", "Difference of the IoU of every class.")


def _draw_slices(compared: NetworkComparison, facts: ComparisonFacts) -> None:
    st.subheader("Slices", anchor=False)
    alt = "Difference of the mean IoU on slices of the photos. The table has the values."
    st.plotly_chart(comparison_html.slice_figure(compared), key="compared_slices", alt=alt)
    rows = {row.name: row.difference for row in compared.slices}
    _table("slice", rows, "compared_by_slice", "Difference of the mean IoU on slices of the photos.")
    st.caption(plain(comparison_html.slices_sentence(facts.small_classes)))


def _table(title: str, rows: dict[str, Difference], key: str, alt: str) -> None:
    cells = [comparison_html.difference_cells(row) for row in rows.values()]
    number = st.column_config.NumberColumn
    st.dataframe(
        {
            title: list(rows),
            "photos": [row.photos for row in rows.values()],
            "first": [row.first for row in rows.values()],
            "second": [row.second for row in rows.values()],
            "difference": [row.difference for row in rows.values()],
            "95 % CI": [row[-1] for row in cells],
        },
        hide_index=True,
        height="content",
        key=key,
        placeholder="–",
        column_config={
            **{name: number(format="%.4f") for name in ("first", "second")},
            "difference": number(format="%+.4f"),
        },
        alt=alt,
    )


def _show_command(first: WeightsSource, pairs: ChosenSplit) -> None:
    """Show how masks and networks of others get into the choice, and how a report is written."""
    with st.expander("Masks or networks of others, and a report"):
        st.markdown(
            "This command compares with a folder of masks, named like the photos, or with an ONNX file that"
            " has a JSON description beside it, and writes a report. They can then be chosen above."
        )
        args = ["compare", first.text, "MASKS", "--data", str(pairs.data), "--report", "comparison.html"]
        st.code(jobs.displayed_command(args), language="bash", wrap_lines=True)
