"""The result of a prediction."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.inference.mask_io import indexed_image


@dataclass(frozen=True)
class Prediction:
    """The masks of one photo, at the photo's size unless another was requested.

    Attributes:
        masks: H x W uint8 train ids by variant.
        confidences: H x W float32 from 0 to 1 by variant; empty unless requested.
        runner_ups: confidence and runner-up of `ProbabilityMaps` at working resolution by variant; empty
            unless requested.
        entropies, max_logits: entropy and mean maximum logit likewise.
        seconds: time of each stage: decode, preprocess, encoder, heads, upsampling, post.
        working_size: height and width in pixels at which the photo went through the network.
        device: the device that computed the masks.
        note: a sentence for the user if the CPU replaced a GPU, with the reason, else empty.
        reduced_from: height and width of the photo in its file if reading reduced it, else None.
        classes: the classes of the masks.
    """

    masks: dict[str, np.ndarray]
    confidences: dict[str, np.ndarray]
    runner_ups: dict[str, tuple[np.ndarray, np.ndarray]]
    entropies: dict[str, np.ndarray]
    max_logits: dict[str, float]
    seconds: dict[str, float]
    working_size: tuple[int, int]
    device: str
    note: str = ""
    reduced_from: tuple[int, int] | None = None
    classes: ClassSet = CITYSCAPES

    def to_image(self, variant: str) -> Image.Image:
        """Return the mask of a variant as an indexed picture (mode P) with the colors of its classes."""
        return indexed_image(self.masks[variant], self.classes)
