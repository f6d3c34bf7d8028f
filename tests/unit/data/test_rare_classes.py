"""Images with rare classes are drawn more often, and an interrupted training draws the same."""

import numpy as np
import torch

from seg.data.cityscapes import IGNORE, TRAIN_ID
from seg.data.rare_classes import MIN_PIXELS, RareClassDraw
from seg.data.sampler import EpochSampler

TRAIN = TRAIN_ID["train"]


def labels() -> np.ndarray:
    """Forty images of road; two contain a train, and another one a few pixels of it."""
    ids = np.zeros((40, 32, 32), np.uint8)
    for image in (5, 17):
        ids[image].flat[:MIN_PIXELS] = TRAIN
    ids[3].flat[: MIN_PIXELS - 1] = TRAIN
    ids[:, -1] = IGNORE
    return ids


def sampler(probability: float, epochs: int = 20) -> EpochSampler:
    rare = RareClassDraw(labels(), probability, 19) if probability else None
    return EpochSampler(40, [(7, 0.5)], 4, 0, epochs, rare)


def test_rare_images_are_drawn_with_the_given_probability():
    rows = torch.cat(list(sampler(0.5)))
    index = rows[rows[:, 0] == 0, 1]
    assert 0.4 < ((index == 5) | (index == 17)).float().mean() < 0.6
    assert (index == 3).float().mean() < 0.05  # too few pixels
    plain = torch.cat(list(sampler(0)))
    assert torch.equal(rows[:, 0], plain[:, 0])  # the additional dataset keeps its share and its draws
    assert torch.equal(rows[rows[:, 0] == 1], plain[plain[:, 0] == 1])


def test_a_resumed_training_draws_the_same_images():
    whole, resumed = list(sampler(0.5)), sampler(0.5)
    resumed.first_step = 23
    for batch, again in zip(whole[23:], resumed, strict=True):
        assert torch.equal(batch, again)


def test_classes_without_images_are_never_drawn():
    draw = RareClassDraw(labels(), 1.0, 19)
    assert set(draw.class_probability.nonzero().flatten().tolist()) <= {0, TRAIN}
    assert draw.class_probability[TRAIN] > 0.99
