"""Random numbers for the samples of a batch, which depend only on the seed and the step of a training."""

from collections.abc import Callable

import torch
from torch import Tensor

Uniform = Callable[[float, float], Tensor]
"""Draws a number for each sample, uniformly between two limits; in host memory."""


def batch_draws(
    count: int, seed: int, step: int, shard: tuple[int, int] = (0, 1), stream: int = 0
) -> Uniform:
    """Return a source of numbers for the samples of a batch.

    Args:
        count: number of samples.
        seed: the seed of the training.
        step: the step of the training.
        shard: (index, number of shards) if the samples are one of several equal parts of a batch; each
            sample gets the numbers that it has in the whole batch.
        stream: the numbers of one stream are independent of those of another.
    """
    index, num_shards = shard
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step + (stream << 56))

    def uniform(low: float, high: float) -> Tensor:
        values = torch.rand(count * num_shards, generator=generator)[index * count : (index + 1) * count]
        return values * (high - low) + low

    return uniform


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; a GPU is not waited for."""
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host
