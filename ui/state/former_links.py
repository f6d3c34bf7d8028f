"""Links from before version 1.0: their values are translated, so that they open the same view."""

import streamlit as st

from ui.state.session import session

FORMER_VALUES: dict[str, dict[str, str]] = {
    "detail": {"Best": "TTA"},
    "inside_view": {
        "The path": "Network",
        "Touch the skips": "Edit skip connections",
        "Why this class": "Logit attribution",
    },
    "shown_class": {"the winning class": "predicted class"},
    "scores_view": {
        "Classes and sizes": "Per class and size",
        "Confusion": "Confusion matrix",
        "Worst photos": "Worst images",
        "Card": "Model card",
    },
    "of": {"Share of the truth": "Recall", "Share of the prediction": "Precision"},
    "worst_by": {"mean IoU of a photo": "mean IoU"},
    "data_view": {"Class shares": "Class frequencies", "Decoding": "Label decoding"},
}
"""Former values and their present ones, by query parameter."""


def translate_former_values() -> None:
    """Replace former values in the address and rerun the page: call it before any widget is drawn."""
    former = {
        parameter: values[st.query_params[parameter]]
        for parameter, values in FORMER_VALUES.items()
        if st.query_params.get(parameter) in values
    }
    if former and not session().get("links_translated"):
        session()["links_translated"] = True  # once per session: a failure must not rerun forever
        st.query_params.update(former)
        st.rerun()
