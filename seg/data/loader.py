"""Batches of decoded pairs on the training device; `create_loader` takes rows of (data set, index)."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from seg.data.classes import IGNORE
from seg.data.decode_cache import DecodedSplit

Batch = tuple[Tensor, Tensor, Tensor | None]
"""N x A x B x 3 photos and N x A x B labels, uint8, on the training device; and in host memory N x 2 heights
and widths of the photos at the top left of these arrays, None for pairs, which fill them."""

MAX_GPU_MEMORY_FRACTION = 0.5
"""Fraction of a GPU's free memory that the data may use; the rest is for the network."""


def create_loader(
    splits: Sequence[DecodedSplit], device: torch.device, rows: Iterable[Tensor]
) -> Iterator[Batch]:
    """Load batches in the order of `rows`.

    On a GPU the data is kept in its memory if it fits into `MAX_GPU_MEMORY_FRACTION` of the free memory.
    Otherwise batches are prefetched from disk.

    Args:
        splits: the data sets.
        device: the training device.
        rows: for each batch an N x 2 tensor of data set and index.

    Returns:
        The batches, on the device.
    """
    if device.type == "cuda":
        size = sum(s.photos.nbytes + s.labels.nbytes for s in splits)
        if size < MAX_GPU_MEMORY_FRACTION * torch.cuda.mem_get_info(device)[0]:
            return device_resident_batches(splits, device, rows)
    return prefetch(splits, device, rows)


def _gathered(splits: Sequence[DecodedSplit], rows: Iterable[Tensor]) -> Iterator[Batch]:
    """Yield batches in host memory, read from the files."""
    shapes, fills = _largest_shapes(splits), (0, IGNORE)
    for batch in rows:
        arrays = [
            np.full((len(batch), *shape), fill, np.uint8) for shape, fill in zip(shapes, fills, strict=True)
        ]
        for row, (dataset, index) in enumerate(batch.tolist()):
            for array, part in zip(arrays, splits[dataset][index], strict=True):
                array[row, : part.shape[0], : part.shape[1]] = part
        photos, labels = map(torch.from_numpy, arrays)
        yield photos, labels, _sizes(splits, batch)


def device_resident_batches(
    splits: Sequence[DecodedSplit], device: torch.device, rows: Iterable[Tensor]
) -> Iterator[Batch]:
    """Copy all data to the device first and yield batches from there; see `create_loader`."""
    offsets = torch.tensor([0, *(len(s) for s in splits)]).cumsum(0)
    photos, labels = (
        torch.full((int(offsets[-1]), *shape), fill, dtype=torch.uint8, device=device)
        for shape, fill in zip(_largest_shapes(splits), (0, IGNORE), strict=True)
    )
    for split, offset in zip(splits, offsets.tolist(), strict=False):
        for on_device, array in zip((photos, labels), _both(split), strict=True):
            place = on_device[offset : offset + len(split), : array.shape[1], : array.shape[2]]
            place.copy_(torch.from_numpy(array))
    for batch in rows:
        index = offsets[batch[:, 0]] + batch[:, 1]
        if device.type == "cuda":
            index = index.pin_memory()
        index = index.to(device, non_blocking=True)
        yield photos.index_select(0, index), labels.index_select(0, index), _sizes(splits, batch)


def _largest_shapes(splits: Sequence[DecodedSplit]) -> list[tuple[int, ...]]:
    """Return the shapes of a photo and of a label into which those of all data sets fit."""
    height, width = (max(split.labels.shape[axis] for split in splits) for axis in (1, 2))
    return [(height, width, *array.shape[3:]) for array in _both(splits[0])]


def _sizes(splits: Sequence[DecodedSplit], batch: Tensor) -> Tensor | None:
    if splits[0].sizes is None:
        return None
    return torch.tensor(np.stack([splits[k].sizes[i] for k, i in batch.tolist()]))


def prefetch(
    splits: Sequence[DecodedSplit], device: torch.device, rows: Iterable[Tensor], depth: int = 2
) -> Iterator[Batch]:
    """Read batches from the files and copy them to the device in a thread, up to `depth` batches ahead.

    The other arguments are those of `create_loader`.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    gathered = _gathered(splits, rows)

    def load_next() -> tuple[Batch, torch.cuda.Event | None] | None:
        batch = next(gathered, None)
        if batch is None:
            return None
        if stream is None:
            return batch, None
        with torch.cuda.stream(stream):  # parallel to training, behind which a copy would wait
            photos, labels = (part.pin_memory().to(device, non_blocking=True) for part in batch[:2])
            return (photos, labels, batch[2]), stream.record_event()

    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(load_next) for _ in range(depth))
        while (loaded := pending.popleft().result()) is not None:
            pending.append(thread.submit(load_next))
            batch, copied = loaded
            if copied is not None:
                torch.cuda.current_stream(device).wait_event(copied)
                for part in batch[:2]:  # otherwise its memory could be reused for the next batch too early
                    part.record_stream(torch.cuda.current_stream(device))
            yield batch


def _both(split: DecodedSplit) -> tuple[np.ndarray, np.ndarray]:
    return split.photos, split.labels
