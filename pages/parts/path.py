"""The way of one photo through the network, as a drawing: encoder, scores, skips, transposed convolutions, masks."""

from collections.abc import Iterator

import numpy as np
import streamlit as st
import torch

from pages.parts import cached
from pages.parts.diagram import Node, Step, diagram, ids_node, photo_node, score_node, strength_node
from seg import inside, weights
from seg.encoder import TITLES as ENCODERS
from seg.fcn import VARIANTS
from seg.labels import CLASSES, NAMES
from seg.networks import ARCHITECTURES, TITLES

WINNER = "the winning class"

_COLUMN = {2: 2, 4: 3, 8: 4, 16: 6, 32: 8}
"""Where each stride stands; between 8 and 16, and 16 and 32, stand the scores that are brought up."""

_RESNET = {2: "conv1", 4: "conv2_x", 8: "conv3_x", 16: "conv4_x", 32: "conv5_x"}
"""He et al. 2015, table 1."""

_STEPS = {
    "32s": (
        "FCN-32s",
        "The encoder’s last features know what is there, but have one cell for every 32 × 32 pixels. Their scores are brought up "
        "32 times by one transposed convolution: the mask is right about what, and vague about where.",
    ),
    "16s": (
        "+ skip 16 → FCN-16s",
        "The same scores are brought up only twice, and scores made from the finer features at stride 16 are added: the skip. "
        "The sum is brought up 16 times. Cells are half as wide now.",
    ),
    "8s": (
        "+ skip 8 → FCN-8s",
        "Once more: the sum is brought up twice, the scores at stride 8 are added, and that is brought up 8 times. Poles, signs "
        "and outlines gain most. Long, Shelhamer and Darrell stopped here: finer skips promised little more.",
    ),
}


def draw(photo: cached.Photo, card: weights.Card, seen: inside.Seen, point: tuple[float, float]) -> tuple[float, float] | None:
    """The drawing. Returns the point that was clicked last; None before that."""
    shown = st.selectbox(
        "The nodes of scores show", [WINNER, *NAMES], key="shown_class", bind="query-params", width=280,
        format_func=lambda name: name if name == WINNER else f"the scores of {name}",
    )  # fmt: skip
    found = _tensors(card, seen)
    nodes = [*_encoder(photo, card, seen), *(_node(name, values, shown, card) for name, values in found.items())]
    edges = _edges(nodes)
    return diagram(nodes, edges, list(_steps(card, edges)), point, shown, key="diagram")


def _tensors(card: weights.Card, seen: inside.Seen) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    with cached.network(card) as predictor:
        for variant in card.variants:
            found |= inside.climb(inside.fcn_of(predictor), seen.scores, variant)
    height, width = seen.size
    return {name: values[:, :height, :width] if name in inside.LAST.values() else values for name, values in found.items()}


def _encoder(photo: cached.Photo, card: weights.Card, seen: inside.Seen) -> Iterator[Node]:
    height, width = seen.size
    padded = tuple(32 * size for size in seen.scores[32].shape[1:])
    more = f" Padded to {padded[0]} × {padded[1]}, multiples of 32, by repeating its edge." if padded != seen.size else ""
    yield photo_node(
        cached.working_jpeg(photo, (width, height)), (width, height), id="photo", title="Photo", column=1, row=1,
        shape=f"3 × {height} × {width}", text=f"The photo at its working resolution.{more}",
    )  # fmt: skip
    backbone = ARCHITECTURES[card.architecture].backbone
    for stride, values in seen.activity.items():
        stage = f" ({_RESNET[stride]} of {ENCODERS[backbone]})" if backbone == "resnet50" else f" of {ENCODERS[backbone]}"
        yield strength_node(
            values, id=f"stage{stride}", title=f"Features, stride {stride}", column=_COLUMN[stride], row=1,
            shape=f"{seen.channels[stride]} × {values.shape[0]} × {values.shape[1]}",
            text=f"The encoder’s features{stage}: {seen.channels[stride]:,} numbers for every {stride} × {stride} pixels. Shown "
            "is their mean; bright is strong.",
        )  # fmt: skip


def _node(name: str, values: torch.Tensor, shown: str, card: weights.Card) -> Node:
    k, height, width = values.shape
    number = int(name.strip("abcdefghijklmnopqrstuvwxyz"))
    title, column, row, text = _words(name, number, card)
    facts = {"id": name, "title": title, "shape": f"{k} × {height} × {width}", "column": column, "row": row, "text": text}
    if shown == WINNER:
        return ids_node(values.max(0).indices.numpy().astype(np.uint8), **facts)
    return score_node(values[NAMES.index(shown)].numpy(), **facts)


def _words(name: str, number: int, card: weights.Card) -> tuple[str, int, int, str]:
    """Title, column, row and text of a node."""
    classes = len(CLASSES)
    if name.startswith("score"):
        skip = "" if number == 32 else " As trained they only mend the coarser ones that they are added to: alone they look odd."
        return f"Scores, stride {number}", _COLUMN[number], 2, (
            f"A 1 × 1 convolution makes {classes} scores, one a class, of the features of each cell: {name}.{skip}"
        )  # fmt: skip
    if name.startswith("fuse"):
        return f"Sum, stride {number}", _COLUMN[number], 3, (
            f"The coarser scores, brought up twice, plus the scores at stride {number}, cell by cell, class by class: the skip."
        )  # fmt: skip
    variant = next((v for v in VARIANTS if inside.LAST[v] == name), None)
    if variant in card.variants:
        return TITLES[variant], _COLUMN[number], 4, (
            f"A transposed convolution of stride {number} with one learned {2 * number} × {2 * number} kernel a class brings the "
            f"scores to full size: {name}. At each pixel the highest wins."
        )  # fmt: skip
    return f"×2, to stride {16 if number == 2 else 8}", 7 if number == 2 else 5, 3, (
        f"A transposed convolution of stride 2 with one learned 4 × 4 kernel a class brings the scores to twice the size: "
        f"{name}. It began as bilinear interpolation."
    )  # fmt: skip


def _edges(nodes: list[Node]) -> list[tuple[str, str]]:
    chain = ["photo", *(f"stage{stride}" for stride in (2, 4, 8, 16, 32))]
    wanted = [
        *zip(chain, chain[1:], strict=False),
        *((f"stage{s}", f"score{s}") for s in (8, 16, 32)),
        *(("score32", "upscore32"), ("score32", "upscore2"), ("upscore2", "fuse16"), ("score16", "fuse16")),
        *(("fuse16", "upscore16"), ("fuse16", "upscore4"), ("upscore4", "fuse8"), ("score8", "fuse8"), ("fuse8", "upscore8")),
    ]
    there = {node.id for node in nodes}
    return [edge for edge in wanted if there.issuperset(edge)]


def _steps(card: weights.Card, edges: list[tuple[str, str]]) -> Iterator[Step]:
    """A step for each variant of the card: all that leads to its mask is lit."""
    for variant in card.variants:
        lit, ends = [], {inside.LAST[variant]}
        while new := [edge for edge in edges if edge[1] in ends and edge not in lit]:
            lit += new
            ends |= {start for start, _ in new}
        title, text = _STEPS[variant]
        yield Step(title, text, inside.LAST[variant], lit)
