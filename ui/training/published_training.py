"""The Published view: how published weights were trained, from their card and the records beside it."""

import streamlit as st

from seg.models.model_card import ModelCard, WeightsError, evaluated_on
from seg.models.registry import METHODS, list_weights, no_weights_message, read_card, registry_of
from seg.training.config import TrainConfig
from seg.training.run import Run
from ui.shared import card_facts
from ui.shared.permissions import allowed, run_action, show_error
from ui.shared.text import plain
from ui.training import curves
from ui.training.new_run import show_copy
from ui.training.run_monitor import show_metrics


def show_published() -> None:
    """Show the training of chosen weights."""
    names = sorted(list_weights(), key=lambda name: name not in METHODS)
    if not names:
        st.info(plain(no_weights_message()), icon=":material/inventory_2:")
        return
    if st.session_state.get("trained") not in names:
        st.session_state["trained"] = names[0]
    st.pills(
        "Weights",
        names,
        key="trained",
        required=True,
        bind="query-params",
        format_func=plain,
        label_visibility="collapsed",
    )
    try:
        card = read_card(st.session_state["trained"])
    except WeightsError as error:
        st.error(plain(str(error)), icon=":material/broken_image:")
        return
    _show_result(card)
    _action_buttons(card)
    _show_curves(card)
    with st.expander("Settings", icon=":material/description:"):
        facts = card_facts.card_rows(card).items()
        st.markdown("\n".join(f"- **{label}**: {plain(text)}" for label, text in facts))
        st.code(card.command, language="bash", wrap_lines=True)


def _show_result(card: ModelCard) -> None:
    st.markdown(
        f":violet-badge[published] · {plain(card_facts.training_text(card))} ·"
        f" **{card.samples_seen:,}** samples seen"
    )
    show_metrics(card.metrics.get("variants", {}))
    st.caption(f"Unambiguous pixels of {plain(evaluated_on(card.metrics))}, from the model card.")


def _action_buttons(card: ModelCard) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if allowed():
            st.button(
                "Duplicate",
                icon=":material/content_copy:",
                on_click=run_action,
                args=(_duplicate, card),
                help="Copies the settings of this training into the form for a new one.",
            )
        query = {"weights": card.name}
        st.page_link("app.py", label="Open in Compare", icon=":material/compare:", query_params=query)
    show_error()


def _duplicate(card: ModelCard) -> None:
    show_copy(TrainConfig.from_json(card.config), card.name)


def _show_curves(card: ModelCard) -> None:
    records = Run(registry_of(card.name) / card.name).metrics()
    batch_size = card.config.get("batch_size")
    if isinstance(batch_size, int) and any("loss" in record for record in records):
        runs, batch_sizes = {card.name: records}, {card.name: batch_size}
        left, right = st.columns(2)
        left.plotly_chart(curves.loss(runs, batch_sizes), key="published_loss")
        right.plotly_chart(curves.rate(runs, batch_sizes), key="published_rate")
        if sum("loss" not in record for record in records) > 1:
            figure = curves.scores(runs, "mean_iou", "Validation mean IoU")
            st.plotly_chart(figure, key="published_mean_iou")
    else:
        st.caption("These weights were published without the records of their training.")
    title = f"IoU by class, {evaluated_on(card.metrics)}"
    st.plotly_chart(curves.by_class(card.metrics.get("variants", {}), title), key="published_by_class")
