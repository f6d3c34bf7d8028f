"""However the batches come, they are the same."""

from itertools import repeat

import pytest
import torch

from seg import dataset, feed

CPU = torch.device("cpu")


@pytest.fixture
def splits(pairs) -> list[dataset.Split]:
    return [dataset.load(pairs, "train"), dataset.load(pairs, "val")]


def rows(count: int) -> list[torch.Tensor]:
    """Of both sets: fourteen pairs and three."""
    dice = torch.Generator().manual_seed(0)
    which = torch.randint(2, (count, 5), generator=dice)
    return list(torch.stack((which, torch.randint(3, (count, 5), generator=dice) + 11 * (1 - which)), 2))


def test_every_way_gives_the_rows_that_were_named(splits):
    named = rows(7)
    ways = feed.feed(splits, CPU, named), feed.from_memory(splits, CPU, named), feed.ahead(splits, CPU, named)
    for batch, *found in zip(named, *ways, strict=True):
        for photos, labels in found:
            assert photos.dtype == labels.dtype == torch.uint8
            for row, (number, index) in enumerate(batch.tolist()):
                assert torch.equal(photos[row], torch.from_numpy(splits[number].photos[index]))
                assert torch.equal(labels[row], torch.from_numpy(splits[number].labels[index]))


def test_batches_come_ahead_without_end_and_a_fault_is_not_swallowed(splits):
    taken = []

    def named():
        for batch in repeat(rows(1)[0]):
            taken.append(batch)
            yield batch

    batches = feed.ahead(splits, CPU, named(), depth=3)
    for _ in range(4):
        next(batches)
    batches.close()
    assert 4 < len(taken) <= 8
    with pytest.raises(IndexError):
        list(feed.ahead(splits, CPU, [torch.tensor([[0, 99]])]))
