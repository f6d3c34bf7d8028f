"""The choice of weights in the sidebar."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from seg.data.cityscapes import CITYSCAPES
from seg.evaluation.evaluate import format_score
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard, WeightsError
from seg.models.registry import DEFAULT_WEIGHTS, list_weights, no_weights_message, read_card
from ui.shared.text import plain
from ui.state.address import follow_address, write_address
from ui.state.model_pool import MAX_COMPARED
from ui.state.session import session


def choose_weights(comparable: bool = True) -> list[ModelCard]:
    """Draw the choice of weights; stop the page with instructions if there are none.

    Args:
        comparable: Whether other weights can be chosen for comparison.

    Returns:
        The card of the chosen weights, then those of the weights to compare.
    """
    cards = _readable_cards()
    with st.sidebar:
        names = sorted(cards, key=lambda name: name != DEFAULT_WEIGHTS)
        linked = st.query_params.get_all("weights"), st.query_params.get_all("beside") if comparable else []
        page = session()["title"]
        if not set(names).issuperset(sum(linked, [])):
            session()["lost_weights"] = linked, page
        _follow(names)
        card = cards[st.selectbox("Weights", names, key="weights", on_change=_dismiss_missing)]
        write_address("weights", card.name, names[0])
        _show_missing(card, cards, page)
        st.html(_summary(card))
        others = [name for name in names if name != card.name] if comparable else []
        if not others:
            return [card]
        follow_address("beside", [])
        st.session_state["beside"] = [name for name in st.session_state["beside"] if name in others]
        compared = st.multiselect(
            "Compare with",
            others,
            key="beside",
            max_selections=MAX_COMPARED - 1,
            on_change=_dismiss_missing,
            placeholder="Other weights",
            help="Shows their masks next to those of the weights above.",
        )
        write_address("beside", compared, [])
    return [card, *(cards[name] for name in compared)]


def _follow(names: list[str]) -> None:
    """Choose the weights that the address names, or the first ones if they do not exist."""
    follow_address("weights", names[0])
    if st.session_state["weights"] not in names:
        st.session_state["weights"] = names[0]


def _readable_cards() -> dict[str, ModelCard]:
    cards, errors = {}, []
    for name in list_weights():
        try:
            cards[name] = read_card(name)
        except WeightsError as error:
            errors.append(str(error))
    for message in errors:
        st.warning(plain(message), icon=":material/error:")
    if not cards:
        st.info(
            f"No usable weights. {plain(no_weights_message())}",
            icon=":material/download:",
        )
        st.stop()
    return cards


def _dismiss_missing() -> None:
    session().pop("lost_weights", None)


def _show_missing(card: ModelCard, cards: dict[str, ModelCard], page: str) -> None:
    """Report weights that the link names and that do not exist, on the page that was linked."""
    (first, compared), linked_page = session().get("lost_weights", (([], []), ""))
    missing = ", ".join(dict.fromkeys(plain(name[:80]) for name in [*first, *compared] if name not in cards))
    if missing and linked_page == page:
        shown = "" if cards.keys() >= set(first) else f" {plain(card.name)} is shown instead."
        st.info(f"These weights of the link do not exist here: {missing}.{shown}", icon=":material/link_off:")


def _summary(card: ModelCard) -> str:
    scores = card.metrics.get("variants", {})
    reports = {DISPLAY_NAMES[v]: scores[v] for v in card.variants if v in scores}
    on_all = {name: report["all_labelled"] for name, report in reports.items() if "all_labelled" in report}
    is_cityscapes = card.class_set == CITYSCAPES  # whose labels are blended
    rows = {
        "Trained on": ", ".join(Path(folder).name for folder in card.data) or "no data",
        "Mean IoU": _mean_ious(reports) or "not measured",
        **({"On all labelled pixels": _mean_ious(on_all) or "not measured"} if is_cityscapes else {}),
        "Encoder": card.encoder["source"],
        "Size": f"{card.parameters / 1e6:.1f} million parameters, {card.bytes / 1e6:.0f} MB",
        "License": card.licence,
    }
    cells = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    return f'<dl class="card">{cells}</dl>'


def _mean_ious(reports: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {format_score(report['mean_iou'], 2)}" for name, report in reports.items())
