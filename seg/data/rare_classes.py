"""Images that contain rare classes are drawn more often.

Source: Hoyer, Dai, Van Gool 2022, "DAFormer: Improving Network Architectures and Training Strategies for
Domain-Adaptive Semantic Segmentation", section 3.3.
"""

import numpy as np
import torch
from torch import Tensor

from seg.data.statistics import class_pixel_counts

TEMPERATURE = 0.01
"""The lower, the more the rarest classes are preferred; that of the paper."""

MIN_PIXELS = 100
"""Pixels of a class, of 256 x 256, that an image must contain to be drawn for it."""


class RareClassDraw:
    """Draws a class, the rarer the likelier, and then one of the images that contain it.

    Args:
        labels: n x H x W uint8 train ids of the images.
        probability: that of an image to be drawn in this way.
        classes: number of classes.
    """

    def __init__(self, labels: np.ndarray, probability: float, classes: int) -> None:
        self.probability = probability
        counts = class_pixel_counts(labels, classes)[:, :-1]
        images = [torch.from_numpy(np.flatnonzero(pixels >= MIN_PIXELS)) for pixels in counts.T]
        weights = torch.from_numpy(-counts.sum(0) / max(counts.sum(), 1) / TEMPERATURE)
        is_drawn = torch.tensor([len(found) > 0 for found in images])
        self.class_probability = torch.where(is_drawn, weights, -torch.inf).softmax(0)
        self.images = images

    def redraw(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """Replace some images of the first dataset.

        Args:
            order: N x 2 rows of (dataset, index).
            generator: the source of all randomness.

        Returns:
            The rows with other indices in place of some.
        """
        is_drawn = (torch.rand(len(order), generator=generator) < self.probability) & (order[:, 0] == 0)
        classes = torch.multinomial(self.class_probability, len(order), True, generator=generator)
        place = torch.rand(len(order), generator=generator)
        for row in is_drawn.nonzero().flatten().tolist():
            images = self.images[int(classes[row])]
            order[row, 1] = images[int(place[row] * len(images))]
        return order
