"""The choice of the pixels on which metrics are shown: unambiguous, all labelled, or exact labels."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from seg.data.label_decoder import IgnoreReason
from seg.evaluation.evaluate import LABEL_SETS

UNAMBIGUOUS = "unambiguous pixels"

HELP = (
    "The labels are color pictures with blended colors at outlines and thin objects. Unambiguous pixels"
    " have one certain class. All labelled pixels include the ambiguous ones with their most likely class,"
    " so they are harder. Exact labels exist for rendered scenes only."
)

_REASONS = {
    IgnoreReason.TIE: "an even blend of two classes",
    IgnoreReason.AMBIGUOUS: "two classes are about as likely",
    IgnoreReason.UNKNOWN: "no class explains the color",
}


def choose_label_set(report: Mapping[str, Any]) -> str | None:
    """Draw the choice among the label sets of a report, if there are several.

    Args:
        report: Metrics of a variant, as `evaluate.report` returns them.

    Returns:
        A key of `LABEL_SETS`, or None for the unambiguous pixels.
    """
    names = {UNAMBIGUOUS: None} | {name: key for key, name in LABEL_SETS.items() if key in report}
    if len(names) == 1:
        return None
    chosen = st.segmented_control(
        "Pixels",
        list(names),
        default=UNAMBIGUOUS,
        required=True,
        key="pixels",
        bind="query-params",
        help=HELP,
    )
    return names[chosen]


def of_label_set(report: dict[str, Any], label_set: str | None) -> dict[str, Any]:
    """Return the metrics of a report on a label set; those on the unambiguous pixels if it lacks the set."""
    return report if label_set is None else report.get(label_set, report)


def show_ignored(metrics: Mapping[str, Any]) -> None:
    """State which labelled pixels are ambiguous.

    Args:
        metrics: Metrics of a card, or the results of an evaluation.
    """
    ignored = metrics.get("ignored")
    if not ignored:
        return
    reasons = ", ".join(
        f"{_REASONS[IgnoreReason[reason.upper()]]} ({share:.1%})"
        for reason, share in ignored["by_reason"].items()
    )
    st.caption(f"{ignored['share']:.1%} of the labelled pixels are ambiguous: {reasons}.")
