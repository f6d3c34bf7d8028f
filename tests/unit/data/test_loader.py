"""Every loader gives the same batches."""

from itertools import repeat

import pytest
import torch
from torch.utils.data import DataLoader

from seg.data import loader
from seg.data.datasets import load_split
from seg.data.decode_cache import DecodedSplit

CPU = torch.device("cpu")


@pytest.fixture
def splits(pairs) -> list[DecodedSplit]:
    return [load_split(pairs, "train"), load_split(pairs, "val")]


def rows(count: int) -> list[torch.Tensor]:
    """Rows of both splits: fourteen pairs and three."""
    dice = torch.Generator().manual_seed(0)
    which = torch.randint(2, (count, 5), generator=dice)
    return list(torch.stack((which, torch.randint(3, (count, 5), generator=dice) + 11 * (1 - which)), 2))


def test_every_loader_gives_the_requested_rows(splits):
    requested = rows(7)
    loaders = (
        loader.create_loader(splits, CPU, requested),
        loader.device_resident_batches(splits, CPU, requested),
        loader.prefetch(splits, CPU, requested),
    )
    for batch, *loaded in zip(requested, *loaders, strict=True):
        for photos, labels, sizes in loaded:
            assert sizes is None
            assert photos.dtype == labels.dtype == torch.uint8
            for row, (number, index) in enumerate(batch.tolist()):
                assert torch.equal(photos[row], torch.from_numpy(splits[number].photos[index]))
                assert torch.equal(labels[row], torch.from_numpy(splits[number].labels[index]))


def test_prefetching_is_bounded_and_passes_errors_on(splits):
    taken = []

    def endless_rows():
        for batch in repeat(rows(1)[0]):
            taken.append(batch)
            yield batch

    batches = loader.prefetch(splits, CPU, endless_rows(), depth=3)
    for _ in range(4):
        next(batches)
    batches.close()
    assert 4 < len(taken) <= 8
    with pytest.raises(IndexError):
        list(loader.prefetch(splits, CPU, [torch.tensor([[0, 99]])]))


def test_torch_loads_the_dataset(splits):
    photos, labels = next(iter(DataLoader(splits[0], batch_size=4)))
    assert torch.equal(photos, torch.from_numpy(splits[0].photos[:4]))
    assert torch.equal(labels, torch.from_numpy(splits[0].labels[:4]))
