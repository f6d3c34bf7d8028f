"""The Compare page, which opens first: the masks of several networks for one photo, side by side."""

import streamlit as st

from seg.data import preprocess
from seg.data.image_io import PhotoError
from seg.models.model_card import ModelCard
from ui.compare import foreign_network, presets
from ui.compare.comparison import show
from ui.shared.layout import begin_page, link_params
from ui.shared.photo_picker import choose_photo, render_thumbnails
from ui.shared.text import plain
from ui.shared.weights_picker import choose_weights
from ui.state.model_pool import MODEL_ERRORS
from ui.state.photos import Photo

TTA = "TTA"

DETAIL = {"Fast": 0.75, "Default": 1.0, "Fine": 1.5, TTA: 1.0}
"""Multiples of the card's working height."""

EXPLANATION = """
A **mask** assigns one of nineteen classes, such as road, car or person, to every pixel of a photo. A fully
convolutional network (FCN) computes it from the features of an encoder. Deeper stages carry more semantic
information at a lower resolution.

- **FCN-32s** predicts class scores from the last features only, one vector of scores for every 32 × 32 pixels
  of the working image. A learned transposed convolution upsamples these scores to full resolution. Objects
  are recognized, but their outlines are coarse.
- **FCN-16s** upsamples the scores by two and adds scores predicted from the features at stride 16: a *skip
  connection*.
- **FCN-8s** repeats this with the features at stride 8, so that its grid can follow small objects and
  outlines.

All three share one pass through the encoder, so they differ in their skip connections and upsampling only.
The paper fixes the last upsampling to bilinear interpolation; here its kernels are learned.

**Three methods** compares FCN-8s on ResNet-50 with two others. **FCN-8s on VGG-16** has the same decoder on
the encoder of the paper, without its fully connected layers fc6 and fc7. **U-Net** has the ResNet-50 encoder
and a deeper decoder: it concatenates the features of every stage down to stride 2 and applies further
convolutions, where an FCN adds class scores of three stages. The ResNet-50 encoders were initialized from
ImageNet and VGG-16 randomly. The accuracy of FCN-8s on VGG-16 reflects this more than the architecture.

Sources: Long, Shelhamer, Darrell, *Fully Convolutional Networks for Semantic Segmentation*, CVPR 2015;
Ronneberger, Fischer, Brox, *U-Net: Convolutional Networks for Biomedical Image Segmentation*, MICCAI 2015.
"""


def main() -> None:
    """Draw the page."""
    begin_page(
        "Compare", "Upload a street photo and compare the masks of U-Net and FCN networks, pixel by pixel."
    )
    choices = st.container()  # its messages come and go without moving what follows
    with choices:
        cards = choose_weights()
        factor, tta = choose_detail()
        presets.choose(cards)
        foreign = foreign_network.choose()
    try:
        with choices:
            photo = choose_photo("compare", with_camera=True)
        show_working_size(photo, cards[0], factor, tta)
        show(photo, cards, factor, tta, foreign)
    except (*MODEL_ERRORS, PhotoError) as error:
        st.error(plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    except MemoryError:
        st.error("Not enough memory for this photo at this detail. Choose a lower detail or a smaller photo.")
    with st.expander("About the networks", icon=":material/help:"):
        st.markdown(EXPLANATION)
        st.page_link(
            "pages/inside.py",
            label="Inspect the network on this photo",
            icon=":material/account_tree:",
            query_params=link_params("pages/inside.py"),
        )
    render_thumbnails()


def choose_detail() -> tuple[float, bool]:
    """Draw the choice of detail.

    Returns:
        A multiple of the card's working height, and whether test-time augmentation is chosen.
    """
    with st.sidebar:
        name = st.segmented_control(
            "Detail",
            list(DETAIL),
            default="Default",
            required=True,
            key="detail",
            bind="query-params",
            width="stretch",
            help="Resolution at which the network processes the photo. Masks always have the photo's own "
            "size. TTA (multi-scale + flip) averages three scales and their mirror images: more accurate, "
            "several times slower.",
        )
    return DETAIL[name], name == TTA


def show_working_size(photo: Photo, card: ModelCard, factor: float, tta: bool) -> None:
    """Show in the sidebar at what resolution the network processes the photo."""
    target = round(card.working_height * factor)
    height, width = preprocess.working_size(photo.width, photo.height, target, card.resize_mode)
    scales = ", and at a lower and a higher resolution" if tta else ""
    st.sidebar.caption(f"The network processes this photo at {width} × {height} pixels{scales}.")


main()
