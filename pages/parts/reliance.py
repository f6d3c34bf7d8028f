"""How far the figures can be relied on: calibration, the card, its file's hash, and its scores computed anew."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.parts import evaluations, limits
from pages.parts.curves import INK
from pages.parts.frame import plain
from pages.parts.pairs import Chosen
from seg import scoring, weights
from seg.evaluate import BINS
from seg.networks import TITLES

SAME = 0.0005
"""Scores that differ by less are called the same: other processors round otherwise."""


def calibration(card: weights.Card, pairs: Chosen | None, found: scoring.Scoring | None) -> None:
    """Accuracy against confidence, and the expected calibration error, of every variant."""
    reports = found.report["variants"] if found else card.metrics.get("variants", {})
    told = {variant: report for variant, report in reports.items() if "calibration" in report}
    if not told:
        evaluations.offer(card, pairs, "The card says nothing of calibration. To see it, score the weights here once.")
        return
    for place, (variant, report) in zip(st.columns(max(3, len(told))), told.items(), strict=False):
        place.metric(f"{TITLES[variant]}: calibration error", f"{report['calibration_error']:.4f}")
    left, right = st.columns(2)
    left.plotly_chart(_reliability(told), key="reliability", alt="Accuracy against confidence; on the diagonal both are equal.")
    right.plotly_chart(_spread(told), key="spread", alt="The share of the pixels at each confidence.")
    st.caption(
        "Of all pixels that a network was, say, 80 % sure of, 80 % should be right: then the points lie on the diagonal. Below "
        "it the network is too sure, above it not sure enough. The expected calibration error is the mean distance from it, "
        f"over {BINS} bins of confidence, weighted by their pixels (Guo et al. 2017). Bins of few pixels weigh little: look at "
        "both plots."
    )


def draw_card(card: weights.Card, pairs: Chosen | None, found: scoring.Scoring | None) -> None:
    """All that the card says; whether the file is the one that it describes; and whether its scores come out again."""
    rows = {
        "Network": f"{card.architecture}, {', '.join(TITLES[v] for v in card.variants)}",
        "Trained on": ", ".join(f"{Path(folder).name} ({digest[:12]}…)" for folder, digest in card.data.items()) or "nothing",
        "Views": f"{card.photos:,} in {card.hours:.2f} hours" + (f", after {_before(card)}" if card.parent else ""),
        "Working height": f"{card.working_height} pixels, rule “{card.working_rule}”",
        "Encoder": f"{card.encoder['source']}; strides {card.encoder['strides']}; {card.encoder['licence']}",
        "Scored on": f"{card.metrics['images']} photos of {card.metrics['split']}" if card.metrics.get("images") else "nothing",
        "Parameters": f"{card.parameters:,}, a file of {card.bytes:,} bytes",
        "sha256": card.sha256,
        "Licence": card.licence,
    }
    st.dataframe({"": list(rows), "of the card": list(rows.values())}, hide_index=True, key="card", height="content",
                 alt="The card of the weights.")  # fmt: skip
    if card.command:
        st.caption("The training command")
        st.code(card.command, language="bash", wrap_lines=True)
    left, right = st.columns(2)
    with left:
        st.download_button("The whole card as JSON", weights.to_json(card), f"{card.name}.json", "application/json",
                           icon=":material/download:", on_click="ignore", key="card_json")  # fmt: skip
    with right:
        st.button("Verify the file", icon=":material/verified:", key="verify", help="Its sha256 against the card’s.")
    if st.session_state["verify"]:
        try:
            limits.looks().count()  # it reads all of the file
            weights.verify(card.name, weights.FOLDER)
            st.success(
                f"{plain(card.name)} is the file that its card describes: the sha256 is right.", icon=":material/verified:"
            )
        except (weights.WeightsError, limits.LimitError) as error:
            st.error(plain(str(error)), icon=":material/gpp_bad:")
    st.subheader("Its scores, computed anew", anchor=False)
    if found is None or scoring.progress(scoring.place(card.sha256, pairs.digest)).get("status") == "running":
        evaluations.offer(card, pairs, "Computes every score again, here, and sets it beside the card’s.")
        return
    compare(card, found)
    st.space("small")
    evaluations.offer(card, pairs, "")


def compare(card: weights.Card, found: scoring.Scoring) -> None:
    """The card's scores beside those computed here."""
    same_pairs = found.report["digest"] == card.metrics.get("digest")
    rows = scoring.differences(card.metrics.get("variants", {}), found.report["variants"], card.variants)
    most = max((abs(one - other) for *_, one, other in rows), default=None)
    if not same_pairs:
        st.info("These pairs are not those that the card was scored on, so other scores are to be expected.",
                icon=":material/difference:")  # fmt: skip
    elif most is not None and most < SAME:
        st.success(
            f"The same as the card says: no score differs by {SAME} or more; the most is {most:.6f}.", icon=":material/check:"
        )
    elif most is not None:
        st.warning(f"A score differs from the card’s by {most:.4f}.", icon=":material/warning:")
    st.dataframe(
        {
            "network": [TITLES[variant] for variant, *_ in rows],
            "score": [key.replace("_", " ").replace("iou", "IoU") for _, key, *_ in rows],
            "card": [one for *_, one, _ in rows],
            "here": [other for *_, other in rows],
            "difference": [other - one for *_, one, other in rows],
        },
        hide_index=True,
        key="compared",
        height="content",
        column_config={
            name: st.column_config.NumberColumn(format=form)
            for name, form in (("card", "%.4f"), ("here", "%.4f"), ("difference", "%+.6f"))
        },
        alt="The card's scores beside those computed here.",
    )
    when = scoring.place(found.report["sha256"], found.report["digest"]) / "report.json"
    data, height = Path(found.report["data"]).name, found.report["working_height"]
    st.caption(
        f"Computed on {time.strftime('%d %B %Y, %H:%M', time.localtime(when.stat().st_mtime))}, on {found.report['images']:,} "
        f"photos of {plain(data)} {found.report['split']}, {height} pixels high."
    )


def _before(card: weights.Card) -> str:
    seen, parent = 0, card.parent
    while parent:
        seen, parent = seen + parent["photos"], parent["parent"]
    return f"{seen:,} of what it went on from"


def _reliability(told: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#94a3b8", "dash": "dot"}, name="as sure as right",
                       hoverinfo="skip")  # fmt: skip
    for color, (variant, report) in zip(INK, told.items(), strict=False):
        bins = report["calibration"]
        figure.add_scatter(
            x=[one["confidence"] for one in bins], y=[one["accuracy"] for one in bins], name=TITLES[variant],
            mode="lines+markers", line={"color": color}, customdata=[one["pixels"] for one in bins],
            hovertemplate="sure %{x:.1%}, right %{y:.1%}, %{customdata:,} pixels",
        )  # fmt: skip
    return _laid_out(figure, "confidence", "accuracy", {"range": [0, 1]})


def _spread(told: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    figure = go.Figure()
    for color, (variant, report) in zip(INK, told.items(), strict=False):
        bins, whole = report["calibration"], sum(one["pixels"] for one in report["calibration"])
        figure.add_scatter(
            x=[(one["from"] + one["to"]) / 2 for one in bins], y=[one["pixels"] / whole for one in bins], name=TITLES[variant],
            mode="lines+markers", line={"color": color}, hovertemplate="%{y:.2%} of the pixels",
        )  # fmt: skip
    return _laid_out(figure, "confidence", "share of the pixels", {"type": "log", "tickformat": "~%"})


def _laid_out(figure: go.Figure, across: str, up: str, axis: Mapping[str, Any]) -> go.Figure:
    return figure.update_layout(
        height=380,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.12},
        xaxis={"title": across, "range": [0, 1], "fixedrange": True},
        yaxis={"title": up, "fixedrange": True, **axis},
    )
