"""The order in which a training sees its samples."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from seg.data.rare_classes import RareClassDraw


class EpochSampler(Sampler[Tensor]):
    """Batches of samples, shuffled anew in every epoch.

    An epoch has every sample of the first dataset once and a random draw, with replacement, of each
    additional dataset. The order depends on the seed and the epoch only, so that a resumed training continues
    with the very next batch.

    Args:
        num_train: number of samples of the first dataset. extra: for each additional dataset its size and the
            share of `num_train` that is drawn from it in an epoch. batch_size: samples per batch; the rest of
            an epoch that does not fill a batch is left out. seed: the seed of the order. epochs: number of
            epochs; None for an endless sequence. rare: replaces some samples of the first dataset.
    """

    def __init__(
        self,
        num_train: int,
        extra: Sequence[tuple[int, float]],
        batch_size: int,
        seed: int,
        epochs: int | None,
        rare: RareClassDraw | None = None,
    ) -> None:
        self.num_train, self.batch_size, self.seed, self.epochs = num_train, batch_size, seed, epochs
        self.rare = rare
        self.extra = [(size, round(share * num_train)) for size, share in extra]
        self.first_step = 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return (self.num_train + sum(drawn for _, drawn in self.extra)) // self.batch_size

    def epoch_order(self, epoch: int) -> Tensor:
        """The samples of an epoch as rows of (dataset, index), N x 2 int64."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        rows = [torch.stack((torch.zeros(self.num_train, dtype=torch.long), torch.arange(self.num_train)), 1)]
        for dataset, (size, drawn) in enumerate(self.extra, 1):
            index = torch.randint(size, (drawn,), generator=generator)
            rows.append(torch.stack((torch.full_like(index, dataset), index), 1))
        order = torch.cat(rows)
        order = order[torch.randperm(len(order), generator=generator)]
        return order if self.rare is None else self.rare.redraw(order, generator)

    def __iter__(self) -> Iterator[Tensor]:
        """Batches from `first_step` on, each B x 2 int64 rows of (dataset, index)."""
        first_epoch, skipped = divmod(self.first_step, self.steps_per_epoch)
        for epoch in itertools.count(first_epoch) if self.epochs is None else range(first_epoch, self.epochs):
            yield from self.epoch_order(epoch).split(self.batch_size)[skipped : self.steps_per_epoch]
            skipped = 0
