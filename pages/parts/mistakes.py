"""What a network takes for what: the confusion matrix with the photos behind its cells, and the worst photos first."""

import numpy as np
import streamlit as st

from pages.parts import evaluations
from pages.parts.confusion import matrix
from pages.parts.pairs import Chosen
from seg import scoring, weights
from seg.labels import NAMES
from seg.networks import TITLES

ROWS, COLUMNS, PIXELS = "Share of the truth", "Share of the prediction", "Pixels"
EVERYTHING = "mean IoU of a photo"

_TOLD = {
    ROWS: "Of all pixels that are of a row’s class, how many were named as each column’s, in percent: the diagonal is recall.",
    COLUMNS: "Of all pixels that were named as a column’s class, how many are of each row’s, in percent: the diagonal is "
    "precision.",
    PIXELS: "Pixels, as a share of the largest cell, in percent.",
}


def confusion(card: weights.Card, pairs: Chosen | None, found: scoring.Scoring | None) -> None:
    """The matrix of a variant, and the photos behind the cell that is pressed."""
    left, right = st.columns([1, 1])
    with left:
        variant = variant_of(card)
    with right:
        of = st.segmented_control("Shows", [ROWS, COLUMNS, PIXELS], default=ROWS, required=True, key="of", bind="query-params")
    if found:
        counts = found.of(variant).sum(0)
    else:
        counts = np.array(card.metrics["variants"][variant]["confusion"])
    chosen = st.session_state.get("cell")
    pressed = matrix(shares(counts, of), _words(counts), chosen, key="matrix")
    st.caption(_TOLD[of] + " Colours grow with the square root, so that rare mistakes are seen.")
    if pressed and pressed != chosen:
        st.session_state["cell"] = pressed
        st.rerun()
    if chosen is None:
        return
    truth, prediction = chosen
    st.subheader(
        f"{NAMES[truth].capitalize()}, found"
        if truth == prediction
        else f"{NAMES[truth].capitalize()} taken for {NAMES[prediction]}",
        anchor=False,
    )
    if found is None:
        evaluations.offer(
            card, pairs, "The card has the matrix, not the photos behind it. To see them, score the weights here once."
        )
        return
    rows = [(index, f"{pixels:,} pixels") for index, pixels in scoring.behind(found.of(variant), truth, prediction)]
    evaluations.photos(card, pairs, rows, key="behind")


def worst(card: weights.Card, pairs: Chosen | None, found: scoring.Scoring | None) -> None:
    """The photos with the lowest scores first."""
    if found is None:
        evaluations.offer(card, pairs, "To rank the photos, the weights have to be scored here once.")
        return
    left, right = st.columns([1, 1])
    with left:
        variant = variant_of(card)
    with right:
        by = st.selectbox("By", [EVERYTHING, *NAMES], key="worst_by", bind="query-params",
                          format_func=lambda name: name if name == EVERYTHING else f"IoU of {name}")  # fmt: skip
    k = None if by == EVERYTHING else NAMES.index(by)
    rows = [(index, f"{score:.3f}") for index, score in scoring.worst(found.of(variant), k)]
    st.caption(
        f"{len(rows):,} photos, the worst first."
        + (f" Only those whose truth has at least {scoring.LEAST} pixels of {by}." if k is not None else "")
    )
    evaluations.photos(card, pairs, rows, key="worst")


def variant_of(card: weights.Card) -> str:
    """The variant that the visitor chose; the finest at first."""
    return st.segmented_control("Network", card.variants, default=card.variants[-1], required=True, format_func=TITLES.get,
                                key="scored_variant", bind="query-params")  # fmt: skip


def shares(counts: np.ndarray, of: str) -> np.ndarray:
    """K x K counts -> what a cell's colour and figure say, 0-1; nan where there is nothing to say."""
    whole = {ROWS: counts.sum(1, keepdims=True), COLUMNS: counts.sum(0, keepdims=True), PIXELS: counts.max(keepdims=True)}[of]
    return np.divide(counts, whole, out=np.full(counts.shape, np.nan), where=(whole > 0) & (counts > 0))


def _words(counts: np.ndarray) -> list[list[str]]:
    rows, columns = counts.sum(1), counts.sum(0)

    def said(t: int, p: int) -> str:
        n = counts[t, p]
        if not n:
            return f"No {NAMES[t]} was taken for {NAMES[p]}." if t != p else f"No {NAMES[t]} was found."
        what = f"{NAMES[t]} found" if t == p else f"{NAMES[t]} taken for {NAMES[p]}"
        return f"{what}: {n:,} pixels, {n / rows[t]:.2%} of all {NAMES[t]}, {n / columns[p]:.2%} of what was named {NAMES[p]}."

    return [[said(t, p) for p in range(len(NAMES))] for t in range(len(NAMES))]
