"""The Inside page: the activations of a network for a photo, and experiments with them."""

import streamlit as st

from seg.interpretability import activations
from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES
from seg.models.fcn import VARIANTS
from seg.models.model_card import ModelCard
from ui.inside import network_diagram, receptive_field, skip_playground, transposed_conv
from ui.shared.layout import begin_page
from ui.shared.photo_picker import choose_photo, render_thumbnails
from ui.shared.text import plain
from ui.shared.weights_picker import choose_weights
from ui.state import predictions
from ui.state.model_pool import MODEL_ERRORS, borrow_model, queue_notice
from ui.state.photos import Photo
from ui.state.session import session

NETWORK, SKIPS, KERNELS, FIELD, ATTRIBUTION = (
    "Network",
    "Edit skip connections",
    "Transposed convolution",
    "Receptive field",
    "Logit attribution",
)
"""The views of the page; only the chosen one is computed."""

SOURCES = """
- Score layers, skip connections, learned upsampling: Long, Shelhamer, Darrell, *Fully Convolutional Networks
  for Semantic Segmentation*, CVPR 2015.
- The encoder: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition*, 2015.
- Transposed convolution: Dumoulin, Visin, *A guide to convolution arithmetic for deep learning*, 2016; Odena,
  Dumoulin, Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016.
- Receptive fields: Luo, Li, Urtasun, Zemel, *Understanding the Effective Receptive Field in Deep
  Convolutional Neural Networks*, NIPS 2016.
"""


def main() -> None:
    """Draw the page."""
    begin_page(
        "Inside", "Step through the activations of a network for a photo and edit its skip connections."
    )
    card = choose_weights(comparable=False)[0]
    if ARCHITECTURES[card.architecture].variants != VARIANTS:
        st.info(
            f"{plain(card.name)} is not an FCN with skip connections. Choose FCN weights in the sidebar.",
            icon=":material/schema:",
        )
        return
    photo = choose_photo("inside")
    view = st.segmented_control(
        "View",
        [NETWORK, SKIPS, KERNELS, FIELD, ATTRIBUTION],
        default=NETWORK,
        required=True,
        key="inside_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    try:
        show(view, photo, card)
    except (*MODEL_ERRORS, activations.InspectionError) as error:
        st.error(plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    except MemoryError:
        st.error("Not enough memory for this photo. Choose a smaller one.")
    with st.expander("Sources", icon=":material/menu_book:"):
        st.markdown(SOURCES)
    render_thumbnails()


def show(view: str, photo: Photo, card: ModelCard) -> None:
    """Draw a view. A click in it moves the point of all views."""
    if view == KERNELS:
        transposed_conv.draw(card)
        return
    with st.container(key="progress"), st.spinner("Computing the activations …", show_time=True):
        activity = predictions.activations_of(photo, card, card.working_height, queue_notice())
    if view == SKIPS:
        skip_playground.draw(photo, card, activity)
        return
    views = {
        NETWORK: network_diagram.draw,
        FIELD: receptive_field.draw_fields,
        ATTRIBUTION: receptive_field.draw_attribution,
    }
    finest = card.variants[-1]
    if finest != "32s":
        st.button(
            "Jump to largest skip effect",
            icon=":material/my_location:",
            on_click=move_to_largest_skip_effect,
            args=(card, activity),
            help=f"Moves the point to the pixel where {DISPLAY_NAMES[finest]} is most confident of a class "
            "that it would not predict without its skip connections.",
        )
    point = session().get("point", (0.5, 0.5))
    clicked = views[view](photo, card, activity, point)
    if clicked is not None and clicked != st.session_state.get(f"clicked {view}"):
        st.session_state[f"clicked {view}"] = clicked
        session()["point"] = clicked
        st.rerun()


def move_to_largest_skip_effect(card: ModelCard, activity: activations.Activations) -> None:
    """Move the point to the pixel whose prediction depends most on the skip connections."""
    with borrow_model(card) as predictor:
        row, column = activations.most_affected_pixel(activations.fcn_of(predictor), activity)
    height, width = activity.size
    session()["point"] = ((column + 0.5) / width, (row + 0.5) / height)


main()
