"""Cache of decoded splits in the cache folder, by the content hash of their files; use `load_split`."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seg import paths
from seg.data import label_decoder
from seg.data.cityscapes import IGNORE
from seg.data.label_check import check_labels
from seg.data.label_decoder import IgnoreReason
from seg.data.pairs import SIDE, DatasetError, OnProgress, cached_content_hash, find_pairs, read_pair
from seg.system.atomic_io import new_folder
from seg.system.status_file import at_work, is_running, read_status, write_status
from seg.system.worker_pool import worker_pool

_HOLDING, _STATUS = ".decoding-", "decoding"
"""Prefix of folders of running decodings, and the name of the status in them."""


_ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "photos": (np.uint8, (SIDE, SIDE, 3)),
    "labels": (np.uint8, (SIDE, SIDE)),
    "best_guesses": (np.uint8, (SIDE, SIDE)),
    "reason_counts": (np.int32, (len(IgnoreReason),)),
}
"""Type and shape per pair of each array of a `PairDataset`."""


HELD_OUT = "held-out slice of train"
"""Name of the validation (hold-out) pairs as a split, on which a network is evaluated without a val."""


@dataclass(frozen=True)
class PairDataset:
    """A decoded split: photos and labels, memory-mapped.

    It is a map-style dataset for torch's DataLoader. It is no subclass of Dataset, so that the processes that
    decode need not import PyTorch.

    Attributes:
        name: ``train``, ``val`` or `HELD_OUT`.
        files: the files of the pairs.
        digest: sha256 over the files' names and contents.
        photos: n x 256 x 256 x 3 uint8 RGB.
        labels: n x 256 x 256 uint8 train ids of the unambiguous pixels.
        best_guesses: n x 256 x 256 uint8 train ids of all labelled pixels, as `DecodedLabel.best_guess`.
        reason_counts: n x 6, the pixels of each photo by `IgnoreReason`; ambiguous pixels whose best guess is
            a void color count as void.
    """

    name: str
    files: tuple[Path, ...]
    digest: str
    photos: np.ndarray
    labels: np.ndarray
    best_guesses: np.ndarray
    reason_counts: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def held_out(self, count: int) -> "PairDataset":
        """Return the last `count` pairs as a split of its own."""
        files = self.files[-count:]
        arrays = (getattr(self, name)[-count:] for name in _ARRAYS)
        return PairDataset(HELD_OUT, files, cached_content_hash(files), *arrays)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.photos[index], self.labels[index]


def load_split(data: Path, split: str, on_progress: OnProgress | None = None) -> PairDataset:
    """Open a split, and decode it first if the cache lacks these files or used another decoder version.

    Args:
        data: the folder of the data set.
        split: ``train`` or ``val``.
        on_progress: called with the number of pairs decoded and of all.

    Raises:
        DatasetError: if the split is missing, empty or damaged, or if none of its pairs has a label.
        OSError: if the cache cannot be written.
    """
    files = find_pairs(data, split)
    check_labels(files)
    digest = cached_content_hash(files)
    folder = _folder_of(digest)
    if not _is_complete(folder):
        _decode_all(files, folder, on_progress)
    arrays = (np.load(folder / f"{name}.npy", mmap_mode="c") for name in _ARRAYS)
    return PairDataset(split, files, digest, *arrays)


def is_decoded(digest: str) -> bool:
    """Return whether the cache contains the split with this content hash."""
    return _is_complete(_folder_of(digest))


def _is_complete(folder: Path) -> bool:
    """Return whether a folder contains a decoded split with all arrays; earlier versions stored fewer."""
    return all((folder / f"{name}.npy").is_file() for name in _ARRAYS)


def decoding_progress(digest: str) -> tuple[int, int] | None:
    """Return the pairs decoded so far and the total if a process is decoding a split, else None."""
    for place in paths.cache().glob(f"{_HOLDING}{_folder_of(digest).name}-*"):
        status = read_status(place, _STATUS)  # empty if the decoding just ended
        done, total = status.get("done"), status.get("total")
        if is_running(status) and type(done) is int and type(total) is int and 0 <= done <= total > 0:
            return done, total
    return None


def _folder_of(digest: str) -> Path:
    return paths.cache() / f"decoded-{digest[:16]}-v{label_decoder.DECODER_VERSION}"


def _decode_one(file: Path) -> tuple[np.ndarray, ...]:
    """Return what the arrays of a `PairDataset` contain for a pair."""
    photo, picture = read_pair(file)
    label, reasons, best_guess = label_decoder.decode_with_reasons(picture)
    unlabelled = (best_guess == IGNORE) & (reasons != IgnoreReason.BLACK)
    reasons = np.where(unlabelled, IgnoreReason.VOID, reasons)
    return photo, label, best_guess, np.bincount(reasons.ravel(), minlength=len(IgnoreReason))


def _decode_all(files: tuple[Path, ...], folder: Path, on_progress: OnProgress | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with at_work(folder.parent, folder.name, patience=-1):  # one process decodes, all others wait for it
        if not _is_complete(folder):
            _remove_stale(folder)
            _check_space(files, folder)
            # decode into a temporary folder and rename it, so that an interruption leaves no incomplete split
            with new_folder(folder, prefix=f"{_HOLDING}{folder.name}-", replace=True) as temp_dir:
                _decode_into(temp_dir, files, on_progress)


def _remove_stale(folder: Path) -> None:
    """Remove what killed decodings left: of this split, whose lock this process holds, and old ones."""
    for stale in folder.parent.glob(f"{_HOLDING}*"):
        is_own = stale.name.startswith(f"{_HOLDING}{folder.name}-")
        if is_own or time.time() - stale.stat().st_mtime > 24 * 3600:
            shutil.rmtree(stale, ignore_errors=True)


def _check_space(files: tuple[Path, ...], folder: Path) -> None:
    needed = 5 * SIDE * SIDE * len(files)
    if (
        shutil.disk_usage(folder.parent).free < 1.05 * needed
    ):  # writing to a mapped file on a full disk kills the process
        raise DatasetError(
            f"Decoding needs {needed / 1e6:.0f} MB in {folder.parent}: free some space, or move it with "
            "SEG_CACHE."
        )


def _decode_into(folder: Path, files: tuple[Path, ...], on_progress: OnProgress | None) -> None:
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (len(files), *shape))
        for name, (dtype, shape) in _ARRAYS.items()
    ]
    with worker_pool() as pool:
        for i, decoded in enumerate(pool.map(_decode_one, files, chunksize=4)):
            for array, value in zip(arrays, decoded, strict=True):
                array[i] = value
            write_status(folder, _STATUS, {"status": "running", "done": i + 1, "total": len(files)})
            if on_progress:
                on_progress(i + 1, len(files))
    for array in arrays:
        array.flush()
    (folder / f"{_STATUS}.json").unlink()
