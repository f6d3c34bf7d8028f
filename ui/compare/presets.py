"""Comparisons that one click opens: the variants of one FCN, or three methods."""

import streamlit as st

from seg.models.model_card import ModelCard
from seg.models.registry import DEFAULT_WEIGHTS, METHODS, how_to_get, list_weights

VARIANTS, THREE_METHODS = "variants", "methods"

_OTHER_METHODS = tuple(name for name in METHODS if name != DEFAULT_WEIGHTS)

PRESETS = {
    VARIANTS: (
        (),
        "FCN-32s, 16s, 8s",
        "The three masks of one FCN on ResNet-50: the effect of its skip connections.",
    ),
    THREE_METHODS: (
        _OTHER_METHODS,
        "Three methods",
        "U-Net, FCN-8s on VGG-16 (without fc6 and fc7, trained from scratch) and FCN-8s on ResNet-50, with "
        "their disagreement.",
    ),
}
"""Weights that are compared with `DEFAULT_WEIGHTS`, label and help text of each preset."""


def choose(cards: list[ModelCard]) -> None:
    """Draw a button for each preset; the one that matches the chosen weights is highlighted, and one whose
    weights are missing is disabled. Without `DEFAULT_WEIGHTS` there is no preset.

    Args:
        cards: Cards of the chosen weights.
    """
    available, chosen = set(list_weights()), {card.name for card in cards}
    if DEFAULT_WEIGHTS not in available:
        return
    with st.container(horizontal=True, gap="small", key="presets"):
        for key, (others, label, help) in PRESETS.items():
            names = {DEFAULT_WEIGHTS, *others}
            missing = sorted(names - available)
            st.button(
                label,
                key=f"preset-{key}",
                type="primary" if chosen == names else "secondary",
                help=" ".join([help, *(f"{name} is not here. {how_to_get(name)}" for name in missing)]),
                disabled=bool(missing),
                on_click=st.session_state.update,
                args=({"weights": DEFAULT_WEIGHTS, "beside": list(others)},),
            )


def link(preset: str) -> dict[str, list[str]]:
    """Return the query parameters of the Compare page that open a preset."""
    return {"weights": [DEFAULT_WEIGHTS], "beside": list(PRESETS[preset][0])}
