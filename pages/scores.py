"""Scores: what every published network reaches, where it fails, and whether the figures can be relied on."""

import streamlit as st

from pages.parts import cached, evaluations, mistakes, overview, reliance
from pages.parts.frame import choose_weights, frame, plain
from pages.parts.wishes import REFUSALS
from seg.files import why
from seg.photo import PhotoError

ALL, CLASSES, CONFUSION, WORST, CALIBRATION, CARD = (
    *("All weights", "Classes and sizes", "Confusion", "Worst photos", "Calibration", "Card"),
)
"""The views of the page; only the one that is chosen is computed."""


def main() -> None:
    """Draw the page."""
    frame("Scores", "What each network reaches, where it fails and on which photos, and whether its figures come out again.")
    card = choose_weights(beside=False)[0]
    pairs = evaluations.choose_pairs(card)
    view = st.segmented_control(
        "View", [ALL, CLASSES, CONFUSION, WORST, CALIBRATION, CARD], default=ALL, required=True, key="scores_view",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    found = evaluations.evaluation(card, pairs)
    try:
        if view == ALL:
            overview.draw(pairs)
        elif view == CARD:
            reliance.draw_card(card, pairs, found)
        elif view == WORST:
            mistakes.worst(card, pairs, found)
        elif view == CALIBRATION:
            reliance.calibration(card, pairs, found)
        elif not card.metrics.get("variants"):
            st.info(f"{plain(card.name)} was published without scores.", icon=":material/leaderboard:")
            evaluations.offer(card, pairs, "Its card says nothing of classes. Score it here to see what it reaches.")
        elif view == CLASSES:
            overview.by_class(card)
        else:
            mistakes.confusion(card, pairs, found)
    except (*REFUSALS, *cached.UNABLE, MemoryError, PhotoError) as error:
        st.error(plain(why(error)), icon=":material/error:")


main()
