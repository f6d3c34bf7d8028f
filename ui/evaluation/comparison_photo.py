"""A photo of a comparison in the viewer, with the masks of both networks and the ground truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from seg.evaluation import agreement
from seg.evaluation.mask_sources import MaskSource, WeightsSource
from seg.inference import mask_io
from seg.models.model_card import ModelCard
from ui.compare.prediction_view import Mask, mask_pane, score_masks
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.dataset.pair_cache import ChosenSplit, decoded_split
from ui.evaluation.evaluation_runs import open_image
from ui.shared.pictures import resize_mask
from ui.shared.text import plain, short
from ui.state import predictions
from ui.state.photos import Photo


def show_photo(sources: Sequence[MaskSource], pairs: ChosenSplit, index: int, card: ModelCard) -> None:
    """Draw the viewer.

    Args:
        sources: The two networks.
        pairs: The evaluation split.
        index: Index of the photo.
        card: Card of the first network, whose classes are shown.
    """
    photo, classes = open_image(pairs, index, card.class_set), card.class_set
    panes, masks = [Pane("photo", "Photo", "photo", short(photo.name))], {}
    for number, source in enumerate(sources):
        id = ("first", "second")[number]
        with st.spinner(f"Segmenting {plain(photo.name)} …"):
            pane, masks[id] = _pane(id, source, photo, pairs, index)
        panes.append(pane)
    note = f"{agreement.disagreement_share(masks):.1%} of the image"
    panes.append(Pane("disagreement", "Disagreement map", "disagreement", note, compared=tuple(masks)))
    shares = [mask_io.shares(mask, classes) for mask in masks.values()]
    if photo.truth is not None:
        truth = predictions.shown_truth(photo, photo.truth)
        panes.append(Pane("truth", "Ground truth", "truth", ids=deflate(truth)))
        shares.append(mask_io.shares(truth, classes))
    size, shown = (photo.width, photo.height), present(shares, classes)
    viewer(
        pack(photo.jpeg, photo.shown_size, size, panes, shown, own=True, classes=classes),
        key="compared_viewer",
    )


def _pane(
    id: str, source: MaskSource, photo: Photo, pairs: ChosenSplit, index: int
) -> tuple[Pane, np.ndarray]:
    """Return the pane of a network and its mask at the size at which the photo is shown."""
    if isinstance(source, WeightsSource):
        card = source.card
        prediction = predictions.predict(photo, card, card.working_height, tta=False)
        mask = Mask(id, source.title, card, source.variant, prediction, True, card.class_set)
        measured = score_masks(photo, [mask], photo.truth).get(id)
        ids = predictions.inflate(prediction.masks[source.variant], photo.shown_size)
        return mask_pane(mask, measured, "variants", several=True), ids
    split = decoded_split(pairs, ask=False)
    ids = resize_mask(_mask(source.fingerprint, pairs.digest, index, source, split), photo.shown_size)
    return Pane(id, source.title, "mask", ids=deflate(ids)), ids


@st.cache_data(max_entries=32, show_spinner=False)
def _mask(fingerprint: str, digest: str, index: int, _source: MaskSource, _split: Any) -> np.ndarray:
    return _source.mask(_split, index)
