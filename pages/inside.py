"""Inside: how coarse scores become a fine mask, tensor by tensor, for a photo and a point of the visitor's own."""

import streamlit as st

from pages.parts import cached, field, path, skips, upsampling
from pages.parts.frame import choose_weights, frame, plain
from pages.parts.photos import choose_photo, render_thumbnails
from seg import inside, weights
from seg.fcn import VARIANTS
from seg.networks import ARCHITECTURES, TITLES

PATH, SKIPS, KERNELS, FIELD, REASONS = (
    "The path",
    "Touch the skips",
    "Transposed convolution",
    "Receptive field",
    "Why this class",
)
"""The views of the page; only the one that is chosen is computed."""

SOURCES = """
- Scores, skips, learned upsampling: Long, Shelhamer, Darrell, *Fully Convolutional Networks for Semantic Segmentation*, CVPR
  2015.
- The encoder: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition*, 2015.
- Transposed convolution: Dumoulin, Visin, *A guide to convolution arithmetic for deep learning*, 2016; Odena, Dumoulin, Olah,
  *Deconvolution and Checkerboard Artifacts*, Distill 2016.
- Receptive fields: Luo, Li, Urtasun, Zemel, *Understanding the Effective Receptive Field in Deep Convolutional Neural Networks*,
  NIPS 2016.
"""


def main() -> None:
    """Draw the page."""
    frame(
        "Inside",
        "Follow a photo through the network: how coarse scores become a fine mask, and what the skips have to do with it.",
    )
    card = choose_weights(beside=False)[0]
    if ARCHITECTURES[card.architecture].variants != VARIANTS:
        st.info(
            f"{plain(card.name)} is no FCN with scores and skips, so there is no such way to look into. Choose other weights in "
            "the sidebar.",
            icon=":material/schema:",
        )
        return
    photo = choose_photo("inside")
    view = st.segmented_control(
        "View", [PATH, SKIPS, KERNELS, FIELD, REASONS], default=PATH, required=True, key="inside_view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    try:
        show(view, photo, card)
    except (*cached.UNABLE, inside.InsideError) as error:
        st.error(plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    except MemoryError:
        st.error("There is not enough memory for this photo. Choose a smaller one.")
    with st.expander("Sources", icon=":material/menu_book:"):
        st.markdown(SOURCES)
    render_thumbnails()


def show(view: str, photo: cached.Photo, card: weights.Card) -> None:
    """One view. A click in it moves the point, for all views."""
    if view == KERNELS:
        upsampling.draw(card)
        return
    with st.container(key="looking"), st.spinner("Looking at the photo …", show_time=True):
        seen = cached.inside_of(photo, card, card.working_height, cached.place())
    if view == SKIPS:
        skips.draw(photo, card, seen)
        return
    draw = {PATH: path.draw, FIELD: field.draw_fields, REASONS: field.draw_reasons}[view]
    if card.variants[-1] != "32s":
        st.button(
            "Go where the skips decide", icon=":material/my_location:", on_click=decide, args=(card, seen),
            help=f"To where {TITLES[card.variants[-1]]} is surest of a class that it would not name without its skips.",
        )  # fmt: skip
    point = st.session_state.get("point", (0.5, 0.5))
    clicked = draw(photo, card, seen, point)
    if clicked is not None and clicked != st.session_state.get(f"clicked {view}"):
        st.session_state[f"clicked {view}"] = clicked
        st.session_state["point"] = clicked
        st.rerun()


def decide(card: weights.Card, seen: inside.Seen) -> None:
    """Moves the point to where the skips decide most."""
    with cached.network(card) as predictor:
        row, column = inside.decided(inside.fcn_of(predictor), seen)
    height, width = seen.size
    st.session_state["point"] = ((column + 0.5) / width, (row + 0.5) / height)


main()
