"""Decoded pairs -> batches on the device that trains: rows of (set, index) in, photos and labels out.

Knows nothing of what a batch is for, nor of which rows belong together.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from seg.dataset import Split

Batch = tuple[Tensor, Tensor]
"""N x S x S x 3 photos and N x S x S labels, uint8."""

SHARE = 0.5
"""How much of a GPU's free memory the data may take: the network wants the rest."""


def feed(splits: Sequence[Split], device: torch.device, rows: Iterable[Tensor]) -> Iterator[Batch]:
    """The batches that `rows` name, one after the other; each is N x 2 of (set, index).

    On a GPU the data lies in its memory where it fits into `SHARE` of what is free; else, and on a CPU, batches are brought
    ahead of their turn, since a disk may have to be waited for.
    """
    if device.type == "cuda":
        size = sum(s.photos.nbytes + s.labels.nbytes for s in splits)
        if size < SHARE * torch.cuda.mem_get_info(device)[0]:
            return from_memory(splits, device, rows)
    return ahead(splits, device, rows)


def _gathered(splits: Sequence[Split], rows: Iterable[Tensor]) -> Iterator[Batch]:
    """From the files, as they are asked for."""
    photos, labels = (
        [torch.from_numpy(a) for a in arrays] for arrays in ([s.photos for s in splits], [s.labels for s in splits])
    )
    for batch in rows:
        named = batch.tolist()
        yield torch.stack([photos[s][i] for s, i in named]), torch.stack([labels[s][i] for s, i in named])


def from_memory(splits: Sequence[Split], device: torch.device, rows: Iterable[Tensor]) -> Iterator[Batch]:
    """All of it brought to the device first, and gathered there."""
    begins = torch.tensor([0, *(len(s) for s in splits)]).cumsum(0)
    photos, labels = (torch.empty(int(begins[-1]), *a.shape[1:], dtype=torch.uint8, device=device) for a in _both(splits[0]))
    for split, begin in zip(splits, begins.tolist(), strict=False):
        for whole, array in zip((photos, labels), _both(split), strict=True):
            whole[begin : begin + len(split)].copy_(torch.from_numpy(array))
    for batch in rows:
        index = begins[batch[:, 0]] + batch[:, 1]
        if device.type == "cuda":
            index = index.pin_memory()
        index = index.to(device, non_blocking=True)
        yield photos.index_select(0, index), labels.index_select(0, index)


def ahead(splits: Sequence[Split], device: torch.device, rows: Iterable[Tensor], depth: int = 2) -> Iterator[Batch]:
    """Gathered from the files and copied by a thread, up to `depth` batches before they are asked for."""
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    gathered = _gathered(splits, rows)

    def bring() -> tuple[Batch, torch.cuda.Event | None] | None:
        batch = next(gathered, None)
        if batch is None:
            return None
        if stream is None:
            return batch, None
        with torch.cuda.stream(stream):  # beside the training's own work, in which a copy would wait its turn
            photos, labels = (part.pin_memory().to(device, non_blocking=True) for part in batch)
            return (photos, labels), stream.record_event()

    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(bring) for _ in range(depth))
        while (brought := coming.popleft().result()) is not None:
            coming.append(thread.submit(bring))
            batch, sent = brought
            if sent is not None:
                torch.cuda.current_stream(device).wait_event(sent)
                for part in batch:  # else its memory could be given to the next batch while this one is used
                    part.record_stream(torch.cuda.current_stream(device))
            yield batch


def _both(split: Split):
    return split.photos, split.labels
