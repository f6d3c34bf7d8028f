"""The classes of compared networks, matched by name, and masks in them."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seg.data.classes import ClassSet, union
from seg.inference import mask_io
from seg.models.model_card import ModelCard
from ui.components.viewer import deflate
from ui.state.predictions import CachedPrediction


def compared_classes(cards: Sequence[ModelCard], truth: ClassSet | None) -> ClassSet:
    """Return all classes of the networks and of the ground truth.

    Args:
        cards: Cards of the compared weights.
        truth: Classes of the ground truth, if it is known.

    Raises:
        ValueError: They are too many to be shown together.
    """
    sets = [card.class_set for card in cards] + ([truth] if truth else [])
    return sets[0] if all(classes == sets[0] for classes in sets) else union(sets)


def unmatched_notes(cards: Sequence[ModelCard]) -> list[str]:
    """Return a sentence for each of the weights with classes that others lack."""
    notes = []
    for card in cards:
        lacking = {name for other in cards for name in card.classes if name not in other.classes}
        if lacking:
            names = [name for name in card.classes if name in lacking]
            notes.append(f"Only {card.name} has the classes {', '.join(names)}.")
    return notes


def in_classes(prediction: CachedPrediction, own: ClassSet, shown: ClassSet) -> CachedPrediction:
    """Return a prediction with the train ids of other classes.

    Args:
        prediction: A prediction in the classes of its network.
        own: The classes of its network.
        shown: Classes that include them.
    """
    if own.names == shown.names:
        return prediction
    table = own.table_to(shown)

    def convert(arrays: dict[str, bytes]) -> dict[str, bytes]:
        return {
            variant: deflate(table[np.frombuffer(zlib.decompress(deflated), np.uint8)])
            for variant, deflated in arrays.items()
        }

    return replace(prediction, masks=convert(prediction.masks), runner_up=convert(prediction.runner_up))


def label_in_classes(png: bytes, own: ClassSet, shown: ClassSet) -> bytes:
    """Return a label, an indexed PNG, with the train ids of other classes."""
    if own.names == shown.names:
        return png
    return mask_io.png(own.table_to(shown)[mask_io.read_png(png)], shown)
