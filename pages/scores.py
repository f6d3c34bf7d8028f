"""The Evaluation page: metrics of published weights, failure cases, calibration and reproducibility."""

import streamlit as st

from seg.data.image_io import PhotoError
from seg.errors import user_message
from ui.evaluation import (
    comparison_view,
    error_analysis,
    evaluation_runs,
    leaderboard_view,
    reliability,
    robustness_view,
)
from ui.shared.layout import begin_page
from ui.shared.permissions import ACTION_ERRORS
from ui.shared.text import plain
from ui.shared.weights_picker import choose_weights
from ui.state.model_pool import MODEL_ERRORS

ALL, TWO, CLASSES, CONFUSION = "All weights", "Two networks", "Per class and size", "Confusion matrix"
WORST, CALIBRATION, ROBUSTNESS, CARD = "Worst images", "Calibration", "Robustness", "Model card"
"""The views of the page; only the chosen one is computed."""


def main() -> None:
    """Draw the page."""
    begin_page(
        "Evaluation",
        "Compare model metrics, inspect failure cases and check that published results reproduce.",
    )
    card = choose_weights(comparable=False)[0]
    pairs = evaluation_runs.choose_pairs(card)
    view = st.segmented_control(
        "View",
        [ALL, TWO, CLASSES, CONFUSION, WORST, CALIBRATION, ROBUSTNESS, CARD],
        default=ALL,
        required=True,
        key="scores_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    evaluation = evaluation_runs.load_evaluation(card, pairs)
    try:
        if view == ALL:
            leaderboard_view.draw(pairs, card.class_set)
        elif view == TWO:
            comparison_view.draw(card, pairs)
        elif view == CARD:
            reliability.draw_card(card, pairs, evaluation)
        elif view == WORST:
            error_analysis.draw_worst(card, pairs, evaluation)
        elif view == CALIBRATION:
            reliability.draw_calibration(card, pairs, evaluation)
        elif view == ROBUSTNESS:
            robustness_view.draw(card, pairs)
        elif not card.metrics.get("variants"):
            st.info(f"{plain(card.name)} was published without metrics.", icon=":material/leaderboard:")
            reason = "The model card has no per-class metrics. Evaluate the weights here to compute them."
            evaluation_runs.evaluate_section(card, pairs, reason)
        elif view == CLASSES:
            leaderboard_view.draw_by_class(card)
        else:
            error_analysis.draw_confusion(card, pairs, evaluation)
    except (*ACTION_ERRORS, *MODEL_ERRORS, MemoryError, PhotoError) as error:
        st.error(plain(user_message(error)), icon=":material/error:")


main()
