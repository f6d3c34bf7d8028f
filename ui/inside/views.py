"""The views of the Inside page: activations of a network for a photo, and experiments with them."""

import streamlit as st

from seg.interpretability import activations
from seg.interpretability.unet_activations import UNetActivations
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from ui.inside import network_diagram, receptive_field, skip_playground, transposed_conv, unet_views
from ui.shared.layout import fresh_container
from ui.state import predictions
from ui.state.model_pool import borrow_model, card_digest, engine_name, queue_notice
from ui.state.photos import Photo
from ui.state.session import session

NETWORK, SKIPS, KERNELS, FIELD, ATTRIBUTION = (
    "Network",
    "Edit skip connections",
    "Transposed convolution",
    "Receptive field",
    "Logit attribution",
)
VIEWS = (NETWORK, SKIPS, KERNELS, FIELD, ATTRIBUTION)
"""The views of the page; only the chosen one is computed."""

ARCHITECTURES = ("fcn-resnet50", "fcn-vgg16", "unet-resnet50")
"""The architectures with skip connections."""


def show(view: str, photo: Photo, card: ModelCard) -> None:
    """Draw a view, computing the activations it needs.

    Args:
        view: One of `VIEWS`.
        photo: Photo to inspect.
        card: Card of weights of one of `ARCHITECTURES`.

    Raises:
        MODEL_ERRORS: No network is available.
        activations.InspectionError: The photo is too large to inspect.
    """
    if engine := engine_name():
        st.caption(f"This page needs the activations of the network, so PyTorch computes it, not {engine}.")
    if view == KERNELS:
        transposed_conv.draw(card)
        return
    if view == ATTRIBUTION and card.architecture == "unet-resnet50":
        st.info(unet_views.NO_ATTRIBUTION, icon=":material/info:")
        return
    inspected = (photo.digest, card_digest(card))
    progress = st.container(key="progress")
    results = fresh_container(session().get("inspected") != inspected)
    with progress, st.spinner("Computing the activations …", show_time=True):
        activity = predictions.activations_of(photo, card, card.working_height, queue_notice())
    session()["inspected"] = inspected
    with results:
        _show_activations(view, photo, card, activity)


def _show_activations(view: str, photo: Photo, card: ModelCard, activity: predictions.Activations) -> None:
    """Draw a view of these activations. A click in it moves the point of all views."""
    point = session().get("point", (0.5, 0.5))
    if view != SKIPS:
        _jump_button(card, activity)
    clicked = None
    if isinstance(activity, UNetActivations):
        if view == SKIPS:
            unet_views.draw_skips(photo, card, activity)
        elif view == NETWORK:
            clicked = unet_views.draw_network(photo, card, activity, point)
        else:
            clicked = receptive_field.draw_fields(photo, card, activity, point)
    elif view == SKIPS:
        skip_playground.draw(photo, card, activity)
    else:
        views = {
            NETWORK: network_diagram.draw,
            FIELD: receptive_field.draw_fields,
            ATTRIBUTION: receptive_field.draw_attribution,
        }
        clicked = views[view](photo, card, activity, point)
    if clicked is not None and clicked != st.session_state.get(f"clicked {view}"):
        st.session_state[f"clicked {view}"] = clicked
        session()["point"] = clicked
        st.rerun()


def _jump_button(card: ModelCard, activity: predictions.Activations) -> None:
    """Draw the button that moves the point, if the network has skip connections."""
    finest = card.variants[-1]
    if finest != "32s":
        st.button(
            "Jump to largest skip effect",
            icon=":material/my_location:",
            on_click=_move_to_largest_skip_effect,
            args=(card, activity),
            help=f"Moves the point to the pixel where {DISPLAY_NAMES[finest]} is most confident of a class "
            "that it would not predict without its skip connections.",
        )


def _move_to_largest_skip_effect(card: ModelCard, activity: predictions.Activations) -> None:
    """Move the point to the pixel whose prediction depends most on the skip connections."""
    if isinstance(activity, UNetActivations):
        row, column = activity.most_affected
    else:
        with borrow_model(card, activations=True) as predictor:
            row, column = activations.most_affected_pixel(activations.fcn_of(predictor), activity)
    height, width = activity.size
    session()["point"] = ((column + 0.5) / width, (row + 0.5) / height)
