"""Cache of decoded splits in the cache folder, by the content hash of their files."""

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seg import paths
from seg.data import label_decoder
from seg.data.cityscapes import CITYSCAPES, IGNORE
from seg.data.classes import ClassSet
from seg.data.label_check import check_labels
from seg.data.label_decoder import IgnoreReason
from seg.data.pairs import (
    PAIR_ASPECT,
    SIDE,
    DatasetError,
    OnProgress,
    cached_content_hash,
    find_pairs,
    read_pair,
)
from seg.system.atomic_io import new_folder
from seg.system.status_file import at_work, is_running, read_status, write_status
from seg.system.worker_pool import worker_pool

_HOLDING, _STATUS = ".decoding-", "decoding"
"""Prefix of folders of running decodings, and the name of the status in them."""


ArrayShapes = Mapping[str, tuple[type[np.generic], tuple[int, ...]]]
"""Type and shape per photo of each array of a decoded split."""

_ARRAYS: ArrayShapes = {
    "photos": (np.uint8, (SIDE, SIDE, 3)),
    "labels": (np.uint8, (SIDE, SIDE)),
    "best_guesses": (np.uint8, (SIDE, SIDE)),
    "reason_counts": (np.int32, (len(IgnoreReason),)),
}
"""The arrays of pairs."""


HELD_OUT = "held-out slice of train"
"""Name of the validation (hold-out) pairs as a split, on which a network is evaluated without a val."""


@dataclass(frozen=True)
class DecodedSplit:
    """A decoded split: photos and labels, memory-mapped.

    It is a map-style dataset for torch's DataLoader. It is no subclass of Dataset, so that the processes that
    decode need not import PyTorch.

    Attributes:
        name: ``train``, ``val`` or `HELD_OUT`.
        files: the files of the photos.
        digest: sha256 over the names and contents of the files, and over the description of the labels.
        photos: n x H x W x 3 uint8 RGB; 256 x 256 for pairs.
        labels: n x H x W uint8 train ids; of pairs those of the unambiguous pixels.
        best_guesses: of pairs n x 256 x 256 uint8 train ids of all labelled pixels, as
            `DecodedLabel.best_guess`; else None.
        reason_counts: of pairs n x 6, the pixels of each photo by `IgnoreReason`; ambiguous pixels whose best
            guess is a void color count as void. Else None.
        sizes: n x 2, height and width of each photo at the top left of its array; None for pairs, which
            fill it.
        classes: the classes of the labels.
    """

    name: str
    files: tuple[Path, ...]
    digest: str
    photos: np.ndarray
    labels: np.ndarray
    best_guesses: np.ndarray | None = None
    reason_counts: np.ndarray | None = None
    sizes: np.ndarray | None = None
    classes: ClassSet = CITYSCAPES

    def __len__(self) -> int:
        return len(self.files)

    @property
    def is_pairs(self) -> bool:
        """Whether the photos are those of pairs, squashed to squares."""
        return self.sizes is None

    @property
    def scene_aspect(self) -> float | None:
        """Width over height of the photographed scenes if the pixels of the photos are not square."""
        return PAIR_ASPECT if self.is_pairs else None

    @property
    def crop_aspect(self) -> float:
        """Width over height of crops for training: 2 for pairs, else the median of the photos."""
        if self.sizes is None:
            return PAIR_ASPECT
        return float(np.median(self.sizes[:, 1] / self.sizes[:, 0]))

    def photo(self, index: int) -> Image.Image:
        """Return a photo without the rest of its array."""
        return Image.fromarray(self._cut(self.photos, index))

    def label(self, index: int) -> np.ndarray:
        """Return a label without the rest of its array, H x W uint8."""
        return self._cut(self.labels, index)

    def best_guess(self, index: int) -> np.ndarray | None:
        """Return the best guess of a pair."""
        return None if self.best_guesses is None else self.best_guesses[index]

    def _cut(self, array: np.ndarray, index: int) -> np.ndarray:
        if self.sizes is None:
            return array[index]
        height, width = self.sizes[index]
        return array[index, :height, :width]

    def held_out(self, count: int) -> "DecodedSplit":
        """Return the last `count` photos as a split of its own."""
        files = self.files[-count:]
        digest = cached_content_hash(files)
        if not self.is_pairs:  # the digest of the split is also that of the labels
            digest = hashlib.sha256(f"{self.digest} {digest}".encode()).hexdigest()
        return replace(
            self,
            name=HELD_OUT,
            files=files,
            digest=digest,
            photos=self.photos[-count:],
            labels=self.labels[-count:],
            best_guesses=None if self.best_guesses is None else self.best_guesses[-count:],
            reason_counts=None if self.reason_counts is None else self.reason_counts[-count:],
            sizes=None if self.sizes is None else self.sizes[-count:],
        )

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.photos[index], self.labels[index]


def load_pairs(data: Path, split: str, on_progress: OnProgress | None = None) -> DecodedSplit:
    """Open a split of pairs, and decode it first if the cache lacks these files or used another decoder
    version.

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
    arrays = decode_once(digest, lambda: Decoding(_ARRAYS, files, _decode_one), on_progress)
    photos, labels, best_guesses, reason_counts = (arrays[name] for name in _ARRAYS)
    return DecodedSplit(split, files, digest, photos, labels, best_guesses, reason_counts)


class Decoding(NamedTuple):
    """How a split is decoded."""

    shapes: ArrayShapes
    items: Sequence[Any]
    """What `decode_one` gets for each photo."""
    decode_one: Callable[[Any], tuple[np.ndarray, ...]]
    """Returns the values of the arrays for a photo. Processes call it, so it can be pickled."""


def decode_once(
    digest: str, prepare: Callable[[], Decoding], on_progress: OnProgress | None = None
) -> dict[str, np.ndarray]:
    """Open the arrays of a decoded split, memory-mapped, and decode it first if the cache lacks it.

    Args:
        digest: the digest of the split.
        prepare: called if the split is not decoded yet.
        on_progress: called with the number of photos decoded and of all.

    Returns:
        The arrays by name.

    Raises:
        DatasetError: from the decoding, or if there is no space.
        OSError: if the cache cannot be written.
    """
    folder = _folder_of(digest)
    if not _is_complete(folder):
        _decode_all(folder, prepare, on_progress)
    return {file.stem: np.load(file, mmap_mode="c") for file in sorted(folder.glob("*.npy"))}


def is_decoded(digest: str) -> bool:
    """Return whether the cache contains the split with this digest."""
    return _is_complete(_folder_of(digest))


def _is_complete(folder: Path) -> bool:
    """Return whether a folder contains a decoded split; earlier versions stored fewer arrays."""
    names = {file.stem for file in folder.glob("*.npy")}
    return names >= _ARRAYS.keys() or names >= {"photos", "labels", "sizes"}


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
    """Return the values of `_ARRAYS` for a pair."""
    photo, picture = read_pair(file)
    label, reasons, best_guess = label_decoder.decode_with_reasons(picture)
    unlabelled = (best_guess == IGNORE) & (reasons != IgnoreReason.BLACK)
    reasons = np.where(unlabelled, IgnoreReason.VOID, reasons)
    return photo, label, best_guess, np.bincount(reasons.ravel(), minlength=len(IgnoreReason))


def _decode_all(folder: Path, prepare: Callable[[], Decoding], on_progress: OnProgress | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with at_work(folder.parent, folder.name, patience=-1):  # one process decodes, all others wait for it
        if not _is_complete(folder):
            _remove_stale(folder)
            decoding = prepare()
            _check_space(decoding.shapes, len(decoding.items), folder)
            # decode into a temporary folder and rename it, so that an interruption leaves no incomplete split
            with new_folder(folder, prefix=f"{_HOLDING}{folder.name}-", replace=True) as temp_dir:
                _decode_into(temp_dir, decoding, on_progress)


def _remove_stale(folder: Path) -> None:
    """Remove what killed decodings left: of this split, whose lock this process holds, and old ones."""
    for stale in folder.parent.glob(f"{_HOLDING}*"):
        is_own = stale.name.startswith(f"{_HOLDING}{folder.name}-")
        if is_own or time.time() - stale.stat().st_mtime > 24 * 3600:
            shutil.rmtree(stale, ignore_errors=True)


def _check_space(shapes: ArrayShapes, count: int, folder: Path) -> None:
    needed = count * sum(np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in shapes.values())
    if (
        shutil.disk_usage(folder.parent).free < 1.05 * needed
    ):  # writing to a mapped file on a full disk kills the process
        raise DatasetError(
            f"Decoding needs {needed / 1e6:.0f} MB in {folder.parent}: free some space, or move it with "
            "SEG_CACHE."
        )


def _decode_into(folder: Path, decoding: Decoding, on_progress: OnProgress | None) -> None:
    count = len(decoding.items)
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (count, *shape))
        for name, (dtype, shape) in decoding.shapes.items()
    ]
    with worker_pool() as pool:
        for i, decoded in enumerate(pool.map(decoding.decode_one, decoding.items, chunksize=4)):
            for array, value in zip(arrays, decoded, strict=True):
                array[i] = value
            write_status(folder, _STATUS, {"status": "running", "done": i + 1, "total": count})
            if on_progress:
                on_progress(i + 1, count)
    for array in arrays:
        array.flush()
    (folder / f"{_STATUS}.json").unlink()
