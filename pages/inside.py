"""The Inside page: the activations of a network for a photo, and experiments with them."""

import streamlit as st

from seg.data.image_io import PhotoError
from seg.interpretability import activations
from ui.inside.views import ARCHITECTURES, VIEWS, show
from ui.shared.layout import begin_page
from ui.shared.photo_picker import choose_photo, render_thumbnails
from ui.shared.text import plain
from ui.shared.weights_picker import choose_weights
from ui.state.model_pool import MODEL_ERRORS

SOURCES = """
- Score layers, skip connections, learned upsampling: Long, Shelhamer, Darrell, *Fully Convolutional Networks
  for Semantic Segmentation*, CVPR 2015.
- U-Net: Ronneberger, Fischer, Brox, *U-Net: Convolutional Networks for Biomedical Image Segmentation*,
  MICCAI 2015.
- The encoders: He, Zhang, Ren, Sun, *Deep Residual Learning for Image Recognition*, 2015; Simonyan,
  Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, 2015.
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
    choices = st.container()  # its messages come and go without moving what follows
    with choices:
        card = choose_weights(comparable=False)[0]
    if card.architecture not in ARCHITECTURES:
        st.info(
            f"{plain(card.name)} has no skip connections. Choose weights of an FCN or a U-Net in the"
            " sidebar.",
            icon=":material/schema:",
        )
        return
    with choices:
        photo = choose_photo("inside")
    view = st.segmented_control(
        "View",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="inside_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    try:
        show(view, photo, card)
    except (*MODEL_ERRORS, PhotoError, activations.InspectionError) as error:
        st.error(plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    except MemoryError:
        st.error("Not enough memory for this photo. Choose a smaller one.")
    with st.expander("Sources", icon=":material/menu_book:"):
        st.markdown(SOURCES)
    render_thumbnails()


main()
