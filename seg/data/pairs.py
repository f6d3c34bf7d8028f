"""Data sets of pairs: a photo and its color-coded label side by side in one picture of 512x256 pixels."""

import hashlib
import os
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from seg.data.split_folders import (
    SIDE,
    SPLITS,
    explain_missing,
    find_misplaced,
    pair_files,
    roots,
    split_folder,
    subfolders,
)
from seg.errors import StreetFCNError
from seg.system.folders import broken_link
from seg.system.hash_cache import cached_hash

PAIR_ASPECT = 2
"""Width over height of the original frames, which the pairs squash from 2048x1024 to 256x256."""

_DAMAGED = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error)
"""What Pillow raises for damaged files."""

OnProgress = Callable[[int, int], object]
"""Progress callback, called with the number of items done and of all."""


class DatasetError(StreetFCNError, ValueError):
    """A data set that cannot be used; the message says why and how to fix it."""


class DamagedPairError(DatasetError):
    """A pair that cannot be decoded."""


class PairSizeError(DatasetError):
    """A picture that is no pair, because it has another size."""


def restore_aspect(photo: Image.Image) -> Image.Image:
    """Restore the 2:1 aspect of the square photo of a pair."""
    return photo.resize((photo.width * PAIR_ASPECT, photo.height), Image.Resampling.BILINEAR)


def find_pairs(data: Path, split: str) -> tuple[Path, ...]:
    """List the pairs of a split in numerical order.

    Args:
        data: the folder of the data set, or a folder in which this is the only data set.
        split: ``train`` or ``val``.

    Raises:
        DatasetError: if the folder or its pairs are missing, or if two pairs have the same name.
        OSError: if the folder cannot be read.
    """
    if not data.is_dir():
        raise DatasetError(
            (broken_link(data) or f"There is no folder {data}.")
            + f" Get the data with python -m seg data fetch, or data render --to {data}."
        )
    folders = roots(data)
    if len(folders) > 1:
        names = " or ".join(str(root) for root in folders)
        raise DatasetError(f"{data} contains {len(folders)} data sets. Choose one of them: {names}.")
    folder = split_folder(folders[0] if folders else data, split)
    files = pair_files(folder)
    if not files:
        raise DatasetError(explain_missing(data, split))
    most_frequent, count = Counter(file.stem for file in files).most_common(1)[0]
    if count > 1:
        names = " and ".join(sorted(file.name for file in files if file.stem == most_frequent))
        raise DatasetError(
            f"{folder} contains {names}. Pairs are identified by their names without suffix: rename or remove"
            " all but one."
        )
    return tuple(sorted(files, key=lambda file: (len(file.stem), file.stem)))


def has_pairs(data: Path, split: str) -> bool:
    """Return whether a data set has a split; also if it cannot be read, so that `find_pairs` says why."""
    try:
        return any(pair_files(split_folder(root, split)) for root in roots(data))
    except OSError:
        return True


def list_datasets(folder: Path) -> tuple[Path, ...]:
    """List the data sets in a folder, sorted: its subfolders that contain training pairs.

    A folder that is itself a data set contains none: its exact labels are no pairs.
    """
    if all(os.path.isdir(split_folder(folder, split)) for split in SPLITS):
        return ()
    return tuple(path for path in subfolders(folder) if has_pairs(path, "train"))


def unusable_datasets(folder: Path) -> list[str]:
    """Return a sentence for each subfolder that contains pairs, but not where `list_datasets` finds them."""
    sentences = []
    for data in subfolders(folder):
        if not has_pairs(data, "train") and (has_pairs(data, "val") or find_misplaced(data, "train")):
            sentences.append(explain_missing(data, "train"))
    return sentences


def read_pair(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair.

    Args:
        file: the JPEG or PNG.

    Returns:
        The photo and the color-coded label, each 256 x 256 x 3 uint8.

    Raises:
        DamagedPairError: if the file cannot be decoded.
        PairSizeError: if it has another size than a pair.
    """
    try:
        with Image.open(file, formats=["JPEG", "PNG"]) as picture:
            width, height = picture.size
            # other pictures are not decoded, because they may be huge
            pixels = np.asarray(picture.convert("RGB")) if (width, height) == (2 * SIDE, SIDE) else None
    except _DAMAGED as error:
        raise DamagedPairError(
            f"{file} cannot be read as a JPEG or PNG ({error}). Fetch or copy it again."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PairSizeError(
            f"{file} has the wrong size: far too many pixels; a pair is {2 * SIDE}x{SIDE} pixels."
        ) from None
    if pixels is None:
        raise PairSizeError(
            f"{file} has the wrong size: {width}x{height}; a pair is {2 * SIDE}x{SIDE} pixels."
        )
    return pixels[:, :SIDE], pixels[:, SIDE:]


def is_rendered(data: Path) -> bool:
    """Return whether `scenes.write_pairs` created a data set, which then contains exact labels."""
    return any((root / "exact").is_dir() for root in roots(data))


def exact_label(file: Path) -> np.ndarray | None:
    """Read the exact label of a rendered pair.

    Args:
        file: the file of the pair.

    Returns:
        512 x 1024 uint8 train ids, or None if the pair was not rendered.

    Raises:
        DatasetError: if the label is damaged.
    """
    label_file = split_folder(file.parent.parent / "exact", file.parent.name) / f"{file.stem}.png"
    if not label_file.is_file():
        return None
    label = None
    try:
        with Image.open(label_file, formats=["PNG"]) as picture:
            if picture.size == (4 * SIDE, 2 * SIDE) and picture.mode in ("P", "L"):  # others may be huge
                label = np.array(picture)
    except _DAMAGED as error:
        raise DatasetError(f"{label_file} cannot be read as a PNG ({error}). Render the set again.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    if label is None:
        raise DatasetError(
            f"{label_file} is not a label of {4 * SIDE}x{2 * SIDE} train ids. Render the set again."
        )
    return label


def mtime_fingerprint(files: tuple[Path, ...]) -> str:
    """Return a sha256 of the names, sizes and modification times of files; much faster than
    `content_hash`."""
    stats = [(str(file), stat.st_size, stat.st_mtime_ns) for file in files for stat in (file.stat(),)]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def last_change(files: tuple[Path, ...]) -> float:
    """Return when one of some files was last modified, in seconds since the epoch."""
    return max((file.stat().st_mtime for file in files), default=0.0)


def content_hash(files: tuple[Path, ...]) -> str:
    """Return a sha256 of the names and contents of the files of a split."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(os.fsencode(file.name) + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def cached_content_hash(files: tuple[Path, ...]) -> str:
    """Return `content_hash`, computed once as long as `mtime_fingerprint` is the same.

    A record in the cache folder keeps it for later processes.
    """
    files = tuple(file.absolute() for file in files)  # the record serves all working directories
    return cached_hash(f"pairs {mtime_fingerprint(files)}", last_change(files), lambda: content_hash(files))
