"""The Network view: encoder, scores, skip connections, transposed convolutions and masks of a photo as a
drawing."""

from collections.abc import Iterator, Mapping

import numpy as np
import streamlit as st
import torch

from seg.interpretability import activations
from seg.models.encoder import DISPLAY_NAMES as ENCODERS
from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES
from seg.models.fcn import VARIANTS
from seg.models.model_card import ModelCard
from ui.components.network_diagram import (
    Node,
    Step,
    ids_node,
    network_diagram,
    photo_node,
    score_node,
    strength_node,
)
from ui.shared.pictures import resized_jpeg
from ui.state.model_pool import borrow_model
from ui.state.photos import Photo
from ui.state.predictions import Activations
from ui.state.session import forget_unless

PREDICTED = "predicted class"

_COLUMN = {2: 2, 4: 3, 8: 4, 16: 6, 32: 8}
"""Column of each stride. The columns between 8 and 16, and 16 and 32, hold the upsampled scores."""

_STAGES = {
    "resnet50": {2: "conv1", 4: "conv2_x", 8: "conv3_x", 16: "conv4_x", 32: "conv5_x"},
    "vgg16": {2: "conv2_2", 4: "conv3_3", 8: "conv4_3", 16: "conv5_3", 32: "pool5"},
}
"""Names of the stages by encoder and stride: He et al. 2015, table 1; Simonyan, Zisserman 2015."""

_STEPS = {
    "32s": (
        "FCN-32s",
        "The last features of the encoder are semantically rich but have one cell for every 32 × 32 pixels. "
        "One transposed convolution upsamples their scores 32 times: objects are recognized, but outlines "
        "are coarse.",
    ),
    "16s": (
        "+ skip 16 → FCN-16s",
        "The same scores are upsampled twice and added to scores predicted from the features at stride 16: "
        "the skip connection. The sum is upsampled 16 times. The cells are half as wide.",
    ),
    "8s": (
        "+ skip 8 → FCN-8s",
        "The sum is upsampled twice, the scores at stride 8 are added, and the result is upsampled 8 times. "
        "The cells are half as wide again. Long, Shelhamer and Darrell found no further gain from finer skip "
        "connections.",
    ),
}


def draw(
    photo: Photo, card: ModelCard, activity: activations.Activations, point: tuple[float, float]
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
    tensors = _tensors(card, activity)
    nodes = [*encoder_nodes(photo, card, activity, 1, _COLUMN)]
    nodes += [_score_node(name, values, shown, card) for name, values in tensors.items()]
    edges = _edges(nodes)
    title = title_of(shown)
    return network_diagram(
        nodes, edges, list(_steps(card, edges)), point, title, key="diagram", classes=card.class_set
    )


def choose_class(card: ModelCard) -> str:
    """Draw the choice of what the nodes of scores show: `PREDICTED`, or the name of a class."""
    options = [PREDICTED, *card.classes]
    forget_unless("shown_class", options)
    return st.selectbox(
        "Score nodes show",
        options,
        key="shown_class",
        bind="query-params",
        width=280,
        format_func=lambda name: "the predicted class" if name == PREDICTED else f"the scores of {name}",
    )


def title_of(shown: str) -> str:
    """Return the title of what is chosen by `choose_class`."""
    return "the predicted class" if shown == PREDICTED else shown


def _tensors(card: ModelCard, activity: activations.Activations) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    with borrow_model(card, activations=True) as predictor:
        for variant in card.variants:
            tensors |= activations.decode_steps(activations.fcn_of(predictor), activity.scores, variant)
    height, width = activity.size
    full_size = activations.FINAL_UPSAMPLE.values()
    return {
        name: values[:, :height, :width] if name in full_size else values for name, values in tensors.items()
    }


def encoder_nodes(
    photo: Photo,
    card: ModelCard,
    activity: Activations,
    photo_column: int,
    columns: Mapping[int, int],
) -> Iterator[Node]:
    """Yield the nodes of the photo and of the encoder, the first row of the drawing.

    Args:
        photo: The photo.
        card: Card of the weights.
        activity: Activations for the photo.
        photo_column: Column of the photo.
        columns: Column of each stride.
    """
    height, width = activity.size
    padded = tuple(32 * size for size in activity.activity[32].shape)
    yield photo_node(
        resized_jpeg(photo.jpeg, (width, height)),
        (width, height),
        id="photo",
        title="Photo",
        column=photo_column,
        row=1,
        shape=f"3 × {height} × {width}",
        text="The photo at its working resolution."
        + f" Padded to {padded[0]} × {padded[1]}, multiples of 32, by repeating the edge pixels."
        * (padded != activity.size),
    )
    backbone = ARCHITECTURES[card.architecture].backbone
    for stride, values in activity.activity.items():
        channels = activity.channels[stride]
        yield strength_node(
            values,
            id=f"stage{stride}",
            title=f"Features, stride {stride}",
            column=columns[stride],
            row=1,
            shape=f"{channels} × {values.shape[0]} × {values.shape[1]}",
            text=f"Features of {ENCODERS[backbone]} ({_STAGES[backbone][stride]}): {channels:,} channels for "
            f"every {stride} × {stride} pixels. The picture shows their mean; bright is strong.",
        )


def _score_node(name: str, values: torch.Tensor, shown: str, card: ModelCard) -> Node:
    channels, height, width = values.shape
    stride = int(name.strip("abcdefghijklmnopqrstuvwxyz"))
    title, column, row, text = _description(name, stride, card)
    shape = f"{channels} × {height} × {width}"
    facts = {"id": name, "title": title, "shape": shape, "column": column, "row": row, "text": text}
    if shown == PREDICTED:
        return ids_node(values.max(0).indices.numpy().astype(np.uint8), **facts)
    return score_node(values[card.classes.index(shown)].numpy(), **facts)


def _description(name: str, stride: int, card: ModelCard) -> tuple[str, int, int, str]:
    """Return title, column, row and text of a node."""
    if name.startswith("score"):
        classes = len(card.classes)
        text = f"{name}: a 1 × 1 convolution predicts {classes} class scores from the features of each cell."
        if stride != 32:
            text += " They are trained to correct the coarser scores to which they are added."
        return f"Scores, stride {stride}", _COLUMN[stride], 2, text
    if name.startswith("fuse"):
        text = (
            f"The skip connection: the coarser scores, upsampled twice, plus the scores at stride {stride}."
        )
        return f"Sum, stride {stride}", _COLUMN[stride], 3, text
    variant = next((v for v in VARIANTS if activations.FINAL_UPSAMPLE[v] == name), None)
    if variant in card.variants:
        text = (
            f"{name}: a transposed convolution of stride {stride} with one learned {2 * stride} × "
            f"{2 * stride} kernel per class upsamples the scores to full resolution. The class with the "
            "highest score is predicted. The paper fixes this kernel to bilinear interpolation; here it is "
            "learned."
        )
        return DISPLAY_NAMES[variant], _COLUMN[stride], 4, text
    text = (
        f"{name}: a transposed convolution of stride 2 with one learned 4 × 4 kernel per class doubles the "
        "resolution of the scores. It was initialized as bilinear interpolation."
    )
    return f"×2, to stride {16 if stride == 2 else 8}", 7 if stride == 2 else 5, 3, text


def _edges(nodes: list[Node]) -> list[tuple[str, str]]:
    chain = ["photo", *(f"stage{stride}" for stride in (2, 4, 8, 16, 32))]
    edges = [
        *zip(chain, chain[1:], strict=False),
        *((f"stage{s}", f"score{s}") for s in (8, 16, 32)),
        *(("score32", "upscore32"), ("score32", "upscore2"), ("upscore2", "fuse16"), ("score16", "fuse16")),
        *(("fuse16", "upscore16"), ("fuse16", "upscore4"), ("upscore4", "fuse8"), ("score8", "fuse8")),
        ("fuse8", "upscore8"),
    ]
    ids = {node.id for node in nodes}
    return [edge for edge in edges if ids.issuperset(edge)]


def _steps(card: ModelCard, edges: list[tuple[str, str]]) -> Iterator[Step]:
    """Yield a step per variant of the card, with all edges on the way to its mask highlighted."""
    for variant in card.variants:
        lit, ends = [], {activations.FINAL_UPSAMPLE[variant]}
        while new := [edge for edge in edges if edge[1] in ends and edge not in lit]:
            lit += new
            ends |= {start for start, _ in new}
        title, text = _STEPS[variant]
        yield Step(title, text, activations.FINAL_UPSAMPLE[variant], lit)
