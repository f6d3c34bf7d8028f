"""The views Calibration and Model card: calibration, provenance, file integrity and reproducibility."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from seg import jobs
from seg.evaluation import leaderboard, store
from seg.evaluation.evaluate import BINS, format_score
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard, WeightsError, to_json
from seg.models.registry import verify_weights
from ui.dataset.pair_cache import ChosenSplit
from ui.evaluation import evaluation_runs, label_sets
from ui.shared import card_facts, rate_limit
from ui.shared.text import plain
from ui.training.curves import COLORS

TOLERANCE = 0.0005
"""Maximum difference of scores that count as reproduced: rounding differs between processors."""


def draw_calibration(
    card: ModelCard, pairs: ChosenSplit | None, evaluation: store.StoredEvaluation | None
) -> None:
    """Draw reliability diagrams and the expected calibration error of every variant.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        evaluation: Evaluation on these pairs, if there is one.
    """
    reports = evaluation.report["variants"] if evaluation else card.metrics.get("variants", {})
    calibrated = {variant: report for variant, report in reports.items() if "calibration" in report}
    if not calibrated:
        reason = "The model card has no calibration data. Evaluate the weights here to compute it."
        evaluation_runs.evaluate_section(card, pairs, reason)
        return
    temperatures = (evaluation.report if evaluation else card.metrics).get("temperature") or {}
    label_set = label_sets.choose_label_set(next(iter(calibrated.values())))
    calibrated = {
        variant: label_sets.of_label_set(report, label_set) for variant, report in calibrated.items()
    }
    for column, (variant, report) in zip(
        st.columns(max(3, len(calibrated))), calibrated.items(), strict=False
    ):
        column.metric(
            f"{DISPLAY_NAMES[variant]}: calibration error", format_score(report["calibration_error"])
        )
    left, right = st.columns(2)
    alt = "Accuracy against confidence. On the diagonal both are equal."
    left.plotly_chart(_reliability_figure(calibrated), key="reliability", alt=alt)
    right.plotly_chart(_histogram(calibrated), key="spread", alt="Share of the pixels at each confidence.")
    st.caption(
        "For a calibrated network, 80 % of the pixels predicted with a confidence of 80 % are correct, and "
        "the points lie on the diagonal. Points below it show overconfidence, points above it "
        f"underconfidence. The expected calibration error is the mean distance from the diagonal over {BINS} "
        "bins of confidence, weighted by their pixels (Guo et al. 2017)."
    )
    st.caption(_scaling_note(card, temperatures))


def _scaling_note(card: ModelCard, temperatures: Mapping[str, float]) -> str:
    """Return whether the confidences are those before or after temperature scaling."""
    if temperatures:
        values = ", ".join(f"{DISPLAY_NAMES[v]} {value:.3f}" for v, value in temperatures.items())
        return (
            "These are the confidences **after** temperature scaling: the logits are divided by a "
            f"temperature fitted on held-out samples of train ({values}). Masks do not depend on it."
        )
    command = jobs.displayed_command(["weights", "calibrate", card.name])
    hint = "" if card.calibration else f" The model card has no temperature; `{command}` prints one."
    return f"These are the confidences **before** temperature scaling.{hint}"


def draw_card(card: ModelCard, pairs: ChosenSplit | None, evaluation: store.StoredEvaluation | None) -> None:
    """Draw the model card, the verification of the weights file and the reproduced metrics.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        evaluation: Evaluation on these pairs, if there is one.
    """
    rows = card_facts.card_rows(card)
    st.dataframe(
        {"": list(rows), "value": list(rows.values())},
        hide_index=True,
        key="card",
        height="content",
        alt="The model card.",
    )
    if card.command:
        stopped = card.training is not None and card.training["ended"] == "stopped"
        st.caption("Training command" + " (the training was stopped early)" * stopped)
        st.code(card.command, language="bash", wrap_lines=True)
    left, right = st.columns(2)
    with left:
        st.download_button(
            "Model card as JSON",
            to_json(card),
            f"{card.name}.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            key="card_json",
        )
    with right:
        help = "Compares the SHA-256 of the weights file with the model card."
        st.button("Verify the weights file", icon=":material/verified:", key="verify", help=help)
    if st.session_state["verify"]:
        _verify(card)
    st.subheader("Reproducibility", anchor=False)
    running = (
        pairs is not None
        and store.progress(store.store_dir(card.sha256, pairs.digest)).get("status") == "running"
    )
    if evaluation is None or running:
        reason = "Computes all metrics on this machine and compares them with the model card."
        evaluation_runs.evaluate_section(card, pairs, reason)
        return
    show_reproduced(card, evaluation)
    st.space("small")
    evaluation_runs.evaluate_section(card, pairs, "")


def _verify(card: ModelCard) -> None:
    try:
        rate_limit.rate_limiter().count()  # it reads the whole file
        verify_weights(card.name)
        message = f"The weights file of {plain(card.name)} is intact: its SHA-256 matches the model card."
        st.success(message, icon=":material/verified:")
    except (WeightsError, rate_limit.LimitError) as error:
        st.error(plain(str(error)), icon=":material/gpp_bad:")


def show_reproduced(card: ModelCard, evaluation: store.StoredEvaluation) -> None:
    """Compare the metrics of the card with those computed here.

    Args:
        card: Card of the weights.
        evaluation: Evaluation on this machine.
    """
    same_pairs = evaluation.report["digest"] == card.metrics.get("digest")
    rows = store.differences(card.metrics.get("variants", {}), evaluation.report["variants"], card.variants)
    largest = max((abs(published - computed) for *_, published, computed in rows), default=None)
    if not same_pairs:
        st.info(
            "These images are not those of the model card, so other scores are expected.",
            icon=":material/difference:",
        )
    elif not leaderboard.is_current(card):
        st.info(
            "An earlier version evaluated the model card: it resampled photos twice and used narrower "
            "boundaries,"
            " so other scores are expected.",
            icon=":material/difference:",
        )
    elif largest is not None and largest < TOLERANCE:
        st.success(
            f"Reproduced: all scores agree with the model card within {TOLERANCE}. Largest difference:"
            f" {largest:.6f}.",
            icon=":material/check:",
        )
    elif largest is not None:
        st.warning(
            f"Not reproduced: a score differs from the model card by {largest:.4f}.",
            icon=":material/warning:",
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        {
            "network": [DISPLAY_NAMES[variant] for variant, *_ in rows],
            "score": [key.replace("_", " ").replace("iou", "IoU") for _, key, *_ in rows],
            "card": [published for *_, published, _ in rows],
            "here": [computed for *_, computed in rows],
            "difference": [computed - published for *_, published, computed in rows],
        },
        hide_index=True,
        key="compared",
        height="content",
        column_config={
            "card": number(format="%.4f"),
            "here": number(format="%.4f"),
            "difference": number(format="%+.6f"),
        },
        alt="Scores of the model card and scores computed here.",
    )
    report = evaluation.report
    file = store.store_dir(report["sha256"], report["digest"]) / "report.json"
    computed_at = time.strftime("%d %B %Y, %H:%M", time.localtime(file.stat().st_mtime))
    st.caption(
        f"Computed on {computed_at}, on {report['images']:,} images of {plain(Path(report['data']).name)} "
        f"{report['split']}, at {report['working_height']} pixels height."
    )


def _reliability_figure(reports: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": "#94a3b8", "dash": "dot"},
        name="calibrated",
        hoverinfo="skip",
    )
    for color, (variant, report) in zip(COLORS, reports.items(), strict=False):
        bins = report["calibration"]
        figure.add_scatter(
            x=[bin["confidence"] for bin in bins],
            y=[bin["accuracy"] for bin in bins],
            name=DISPLAY_NAMES[variant],
            mode="lines+markers",
            line={"color": color},
            customdata=[bin["pixels"] for bin in bins],
            hovertemplate="confidence %{x:.1%}, accuracy %{y:.1%}, %{customdata:,} pixels",
        )
    return _apply_layout(figure, "confidence", "accuracy", {"range": [0, 1]})


def _histogram(reports: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    figure = go.Figure()
    for color, (variant, report) in zip(COLORS, reports.items(), strict=False):
        bins = report["calibration"]
        total = sum(bin["pixels"] for bin in bins)
        figure.add_scatter(
            x=[(bin["from"] + bin["to"]) / 2 for bin in bins],
            y=[bin["pixels"] / total for bin in bins],
            name=DISPLAY_NAMES[variant],
            mode="lines+markers",
            line={"color": color},
            hovertemplate="%{y:.2%} of the pixels",
        )
    return _apply_layout(figure, "confidence", "share of the pixels", {"type": "log", "tickformat": "~%"})


def _apply_layout(figure: go.Figure, x_title: str, y_title: str, y_axis: Mapping[str, Any]) -> go.Figure:
    return figure.update_layout(
        height=380,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 1.12},
        xaxis={"title": x_title, "range": [0, 1], "fixedrange": True},
        yaxis={"title": y_title, "fixedrange": True, **y_axis},
    )
