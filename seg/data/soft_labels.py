"""Soft labels of a decoded split: two classes for each pixel and the share of the first.

They are stored in the cache folder beside the decoded labels, which stay as they are, when first needed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from seg import paths
from seg.data import label_decoder
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import SIDE, OnProgress, read_pair
from seg.system.atomic_io import new_file
from seg.system.status_file import at_work
from seg.system.worker_pool import worker_pool

SOFT_DECODER_VERSION = 2
"""Increases whenever the result of `decode_soft` changes. The labels themselves are of `DECODER_VERSION`."""


def with_soft_labels(dataset: DecodedSplit, on_progress: OnProgress | None = None) -> DecodedSplit:
    """Return a split for training, whose labels are soft; decode them first if the cache lacks them.

    Args:
        dataset: the decoded split.
        on_progress: called with the number of pairs decoded and of all.

    Returns:
        The split with memory-mapped labels of n x 256 x 256 x 3 uint8, as `label_decoder.decode_soft`.

    Raises:
        DatasetError: if a pair is damaged.
        OSError: if the cache cannot be written.
    """
    file = paths.cache() / f"soft-{dataset.digest[:16]}-v{SOFT_DECODER_VERSION}.npy"
    shape = (len(dataset), SIDE, SIDE, 3)
    labels = _open(file, shape)
    if labels is None:
        with at_work(file.parent, file.stem, patience=-1):  # one process decodes, all others wait for it
            if _open(file, shape) is None:
                _decode_all(file, shape, dataset.files, on_progress)
        labels = np.load(file, mmap_mode="c")
    return replace(dataset, labels=labels)


def _open(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the array in a file; None if it is missing, damaged or of another shape."""
    try:
        array = np.load(file, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _decode_all(
    file: Path, shape: tuple[int, ...], pairs: tuple[Path, ...], on_progress: OnProgress | None
) -> None:
    for stale in file.parent.glob(f".{file.name}.*"):  # killed decodings left them; this process has the lock
        stale.unlink(missing_ok=True)
    with new_file(file) as temp_file, temp_file.open("wb") as stream, worker_pool() as pool:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for done, label in enumerate(pool.map(_decode_one, pairs, chunksize=4), 1):
            stream.write(label.tobytes())
            if on_progress:
                on_progress(done, len(pairs))


def _decode_one(pair: Path) -> np.ndarray:
    return label_decoder.decode_soft(read_pair(pair)[1])
