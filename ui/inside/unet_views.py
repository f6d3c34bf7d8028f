"""The views of a U-Net: its encoder and decoder as a drawing, and its masks without some skip connections."""

from collections.abc import Iterator

import streamlit as st

from seg.interpretability.unet_activations import (
    DECODER_STRIDES,
    ENCODER_STRIDES,
    SCORE_STEP,
    SKIP_STRIDES,
    Skips,
    UNetActivations,
)
from seg.models.model_card import ModelCard
from ui.components.network_diagram import (
    Node,
    Step,
    ids_node,
    network_diagram,
    score_node,
    strength_node,
)
from ui.inside.network_diagram import PREDICTED, choose_class, encoder_nodes, title_of
from ui.inside.skip_playground import draw_masks
from ui.state.photos import Photo

NO_ATTRIBUTION = (
    "U-Net has no exact attribution: its decoder applies non-linear functions between the strides, so a "
    "logit is no sum of contributions. Receptive field shows on which pixels a logit depends."
)

_COLUMN = {2: 4, 4: 5, 8: 6, 16: 7, 32: 8}
"""Column of each stride; the photo is before them, and the enlarged node below it."""

_STEP_TEXT = (
    "The decoder starts from the last features. Each block doubles their resolution, concatenates the "
    "encoder’s features of that stride (the skip connection) and applies two 3 × 3 convolutions. FCN adds "
    "class scores instead; here the network combines features, and predicts class scores only at full "
    "resolution."
)


def draw_network(
    photo: Photo, card: ModelCard, activity: UNetActivations, point: tuple[float, float]
) -> tuple[float, float] | None:
    """Draw the network.

    Args:
        photo: The photo.
        card: Card of the weights.
        activity: Activations for the photo.
        point: The point (x, y) in shares of the photo.

    Returns:
        The point that was clicked last, or None.
    """
    shown = choose_class(card)
    nodes = [*encoder_nodes(photo, card, activity, 3, _COLUMN), *_decoder_nodes(activity)]
    nodes.append(_output_node(activity, shown, card))
    edges = _edges()
    steps = [Step("U-Net", _STEP_TEXT, "output", edges)]
    return network_diagram(nodes, edges, steps, point, title_of(shown), key="diagram", classes=card.class_set)


def _decoder_nodes(activity: UNetActivations) -> Iterator[Node]:
    for stride, values in activity.decoder_activity.items():
        channels = activity.decoder_channels[stride]
        height, width = values.shape
        if stride in SKIP_STRIDES:
            source = f"the coarser features, upsampled twice, and the encoder’s features at stride {stride}"
        else:
            source = "the coarser features, upsampled twice, without a skip connection"
        yield strength_node(
            values,
            id=f"decoder{stride}",
            title=f"Decoder, stride {stride}",
            column=_COLUMN.get(stride, _COLUMN[2]),
            row=2 if stride in SKIP_STRIDES else 3,
            shape=f"{channels} × {height} × {width}",
            text=f"Two 3 × 3 convolutions of {source}: {channels} channels. The picture shows their mean; "
            "bright is strong.",
        )


def _output_node(activity: UNetActivations, shown: str, card: ModelCard) -> Node:
    height, width = activity.size
    facts = {"id": "output", "title": "U-Net", "column": _COLUMN[2], "row": 4}
    facts["shape"] = f"{len(card.classes)} × {height} × {width}"
    text = "A 3 × 3 convolution predicts the class scores of every pixel."
    if shown == PREDICTED:
        return ids_node(
            activity.masks[()], text=f"{text} The class with the highest score is predicted.", **facts
        )
    note = f" The picture has every {SCORE_STEP}th row and column."
    return score_node(activity.scores[card.classes.index(shown)].numpy(), text=text + note, **facts)


def _edges() -> list[tuple[str, str]]:
    encoder = ["photo", *(f"stage{stride}" for stride in ENCODER_STRIDES)]
    decoder = [encoder[-1], *(f"decoder{stride}" for stride in DECODER_STRIDES), "output"]
    skips = [(f"stage{stride}", f"decoder{stride}") for stride in SKIP_STRIDES]
    return [
        *zip(encoder, encoder[1:], strict=False),
        *zip(decoder, decoder[1:], strict=False),
        *skips,
    ]


@st.fragment
def draw_skips(photo: Photo, card: ModelCard, activity: UNetActivations) -> None:
    """Draw the mask as trained, and the one without chosen skip connections.

    Args:
        photo: The photo.
        card: Card of the weights.
        activity: Activations for the photo.
    """
    choices: dict[str, Skips] = {f"stride {stride}": (stride,) for stride in SKIP_STRIDES}
    choices["all"] = SKIP_STRIDES
    chosen = st.segmented_control(
        "Skip connection that is left out", list(choices), default="all", required=True, key="left_out"
    )
    draw_masks(photo, card, "unet", activity.masks[()], activity.masks[choices[chosen]])
    st.caption(
        "The features of a skip connection that is left out are replaced by zeros. U-Net was trained with "
        "all of them, so the masks show how much it relies on each, not how a network without it would do. "
        "Its skip connections concatenate features, so they have no weight to move gradually, as those of an "
        "FCN."
    )
