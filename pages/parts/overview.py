"""All published weights beside each other: their scores, and their times measured on this machine."""

from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.frame import plain
from pages.parts.pairs import Chosen, decoded
from pages.parts.wishes import allowed, why_not
from seg import ceiling, table, weights
from seg.labels import NAMES
from seg.networks import TITLES

CONTROLS = Path(__file__).parent.parent.parent / "docs" / "controls"
"""The cards of networks that were scored for comparison only."""

_HELP = {
    "mean IoU": "How far masks and truth cover each other, the mean over the classes.",
    "95 %": "In which the mean IoU of other such photos lies, 95 times of 100.",
    "boundary IoU": "The same, of what lies within three pixels of a class’s outline.",
    "ceiling": "The mean IoU of the truth itself, seen through the network’s grid.",
    "ms": "For a 2:1 photo at the working height, on this machine.",
}


def draw(pairs: Chosen | None) -> None:
    """The table, which sorts by a click on a column's head, and accuracy against time."""
    controls = st.toggle(
        "With the controls", key="controls", bind="query-params",
        help="Networks that were trained for comparison at a small budget and are not shipped; only their cards are here.",
    )  # fmt: skip
    published = _cards(weights.FOLDER)
    compared = _cards(CONTROLS) if controls else []
    cards = [*published, *compared]
    digest, limits = (pairs.digest, _limits(cards, pairs.digest)) if pairs else ("", {})
    made = table.rows(published, compared, limits, digest, _times())
    unscored = [card.name for card in published if not card.metrics.get("variants")]
    if made:
        st.dataframe(_columns(made), hide_index=True, column_config=_config(), key="all_weights",
                     alt="The scores of every variant of all weights; their cards have the same figures.")  # fmt: skip
    if unscored:
        st.caption(f"Published without scores: {', '.join(map(plain, unscored))}.")
    kinds = [kind for kind in table.kinds(cards) if kind not in _times()]
    heights = sorted({card.working_height for card in cards})
    if kinds or (pairs and not limits):
        st.button(
            "Measure times and ceilings here", icon=":material/timer:", disabled=not allowed(), key="measure", type="primary",
            help="Every network on a 2:1 photo, in turns, the least of six; ceilings from the labels of the data set.",
        )  # fmt: skip
        if st.session_state["measure"]:
            measure(kinds, heights, pairs)
            st.rerun()
        words = "The time of a photo is measured on this machine, now: a minute or more. Then it is drawn against accuracy."
        st.caption(words if allowed() else f"Nothing can be measured from this page: {why_not()}.")
    if any(row.common_seconds is not None for row in made):
        st.plotly_chart(
            table.accuracy_and_time(made, limits), key="accuracy_time",
            alt="Mean IoU against milliseconds a photo, with the ceilings of strides 32, 16 and 8; the table has the figures.",
        )  # fmt: skip


def measure(kinds: list[table.Kind], heights: list[int], pairs: Chosen | None) -> None:
    """Times and ceilings, with progress; they are kept for all visitors."""
    bar = st.progress(0.0, "Measuring times …")
    _times().update(table.measure(kinds, told=lambda done, total: bar.progress(done / total, f"Times: {done} of {total}")))
    if pairs:
        split = decoded(pairs, ask=False)
        ceiling.over_split(
            split, heights, table.STRIDES, lambda done, total: bar.progress(done / total, f"Ceilings: {done} of {total} labels")
        )
    bar.empty()


def by_class(card: weights.Card) -> None:
    """IoU by class and by the size of the truth's parts, variant beside variant."""
    made = [row for row in table.rows([card], [], {}, "", {}) if not row.best]
    st.plotly_chart(
        table.by_class(card.name, made), key="by_class", alt="Bars of the IoU of every class; the table has the figures."
    )
    st.plotly_chart(
        table.by_size(card.name, made), key="by_size", alt="Lines of the IoU of parts of five sizes, variant by variant."
    )
    st.caption(
        "Sizes are those of the connected parts of the truth, in pixels of the 256 × 256 labels; a part counts as found as far "
        "as predicted parts of its class cover it (Rottmann et al. 2020). Small parts gain most."
    )
    counts = [sum(row) for row in made[0].report["confusion"]]
    columns: dict[str, list[Any]] = {"class": list(NAMES), "share of the truth": [100 * n / sum(counts) for n in counts]}
    columns |= {TITLES[row.variant]: [row.report["iou"][name] for name in NAMES] for row in made}
    st.dataframe(columns, hide_index=True, key="iou_by_class", height="content", column_config={
        "share of the truth": st.column_config.NumberColumn(format="%.2f %%"),
        **{TITLES[row.variant]: st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f") for row in made},
    }, alt="IoU of every class and variant.")  # fmt: skip


def _cards(folder: Path) -> list[weights.Card]:
    """Those that can be read; the page has said which cannot."""
    found = []
    for name in weights.names(folder):
        try:
            found.append(weights.read_card(name, folder))
        except weights.WeightsError:
            continue
    return found


@st.cache_resource(show_spinner=False)
def _times() -> dict[table.Kind, float]:
    """What was measured since the server began."""
    return {}


def _limits(cards: list[weights.Card], digest: str) -> dict[tuple[int, int], float]:
    known = ceiling.known(digest)
    wanted = {(card.working_height, stride) for card in cards for stride in table.STRIDES}
    return {(h, s): known[h // s] for h, s in wanted if h // s in known}


def _columns(made: list[table.Row]) -> dict[str, list[Any]]:
    return {
        "network": [row.network for row in made],
        "weights": [row.weights + " (control)" * row.control for row in made],
        "mean IoU": [row.report["mean_iou"] for row in made],
        "95 %": ["{:.3f}–{:.3f}".format(*row.report["intervals"]["mean_iou"]) for row in made],
        "ceiling": [row.ceiling for row in made],
        "pixel accuracy": [row.report["pixel_accuracy"] for row in made],
        "boundary IoU": [row.report["boundary_iou"] for row in made],
        "parameters": [row.parameters / 1e6 for row in made],
        "height": [row.height for row in made],
        "ms": [row.seconds and 1000 * row.seconds for row in made],
        "start": [row.start for row in made],
        "views": [row.photos for row in made],
    }


def _config() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    shares = ("mean IoU", "ceiling", "pixel accuracy", "boundary IoU")
    return {name: number(format="%.4f", help=_HELP.get(name)) for name in shares} | {
        "95 %": st.column_config.TextColumn(help=_HELP["95 %"]),
        "parameters": number(format="%.1f M"),
        "ms": number(format="%.0f", help=_HELP["ms"]),
        "height": number(help="Pixels; the working height of the weights."),
        "views": number(help="Photos that training showed it, each time another view."),
    }
