"""Data sets by their folder, whether of pairs or of photos and labels with a description."""

import hashlib
from pathlib import Path

from seg.data import pairs
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.decode_cache import DecodedSplit, load_pairs
from seg.data.image_set import ImageSet, find_image_set, read_known_sample
from seg.data.label_check import check_labels
from seg.data.layouts import unknown_layout
from seg.data.pairs import DatasetError, OnProgress, cached_content_hash
from seg.data.split_folders import find_misplaced, roots, subfolders


def load_split(data: Path, split: str, on_progress: OnProgress | None = None) -> DecodedSplit:
    """Open a split, and decode it first if the cache lacks it.

    Args:
        data: the folder of the data set.
        split: ``train`` or ``val``.
        on_progress: called with the number of photos decoded and of all.

    Raises:
        DatasetError: if the split is missing, empty or damaged, or if none of its photos has a label.
        OSError: if the cache cannot be written.
    """
    image_set = _image_set(data, split)
    return load_pairs(data, split, on_progress) if image_set is None else image_set.load(split, on_progress)


def _image_set(data: Path, split: str) -> ImageSet | None:
    """Return a data set of photos and labels, or None for one of pairs; `find_pairs` says what is wrong with
    the latter.

    Raises:
        DatasetError: as `find_image_set`, or if the folder looks like neither.
    """
    image_set = find_image_set(data)
    if image_set is None and data.is_dir() and not roots(data) and not find_misplaced(data, split):
        raise DatasetError(unknown_layout(data))
    return image_set


def split_files(data: Path, split: str) -> tuple[Path, ...]:
    """List the files of a split: pairs, or the photos that have a label.

    Raises:
        DatasetError: if there are none.
        OSError: if the folder cannot be read.
    """
    image_set = _image_set(data, split)
    if image_set is None:
        return pairs.find_pairs(data, split)
    return tuple(sample.image for sample in image_set.complete_samples(split))


def split_digest(data: Path, split: str) -> str:
    """Return the digest of a split, `DecodedSplit.digest`.

    Raises:
        DatasetError: if the split is missing.
    """
    image_set = find_image_set(data)
    if image_set is None:
        return cached_content_hash(pairs.find_pairs(data, split))
    return image_set.digest(split)


def split_fingerprint(data: Path, split: str) -> str:
    """Return a hash that changes if the files of a split change in name, size or time, or their description
    changes; much faster than `split_digest`.

    Raises:
        DatasetError: if the split is missing.
    """
    image_set = find_image_set(data)
    if image_set is None:
        return pairs.mtime_fingerprint(pairs.find_pairs(data, split))
    samples = image_set.complete_samples(split)
    files = pairs.mtime_fingerprint(tuple(file for s in samples for file in (s.image, s.label)))
    return hashlib.sha256(f"{files} {image_set.description.model_dump_json()}".encode()).hexdigest()


def has_split(data: Path, split: str) -> bool:
    """Return whether a data set has a split; also if it cannot be read, so that `split_files` says why."""
    try:
        image_set = find_image_set(data)
        return pairs.has_pairs(data, split) if image_set is None else bool(image_set.samples(split).complete)
    except DatasetError:
        return True


def classes_of(data: Path) -> ClassSet:
    """Return the classes of a data set.

    Raises:
        DatasetError: if its description is damaged, or its labels show no classes.
    """
    image_set = find_image_set(data)
    return CITYSCAPES if image_set is None else image_set.classes


def check_split(data: Path, split: str, part: slice = slice(None)) -> None:
    """Check that a part of a split can be used; usually this reads a single photo and its label.

    Args:
        data: the folder of the data set.
        split: ``train`` or ``val``.
        part: the samples to check.

    Raises:
        DatasetError: if it cannot.
    """
    image_set = find_image_set(data)
    if image_set is None:
        check_labels(pairs.find_pairs(data, split)[part])
        return
    for sample in image_set.complete_samples(split)[part][:1]:
        read_known_sample(sample, image_set.description)


def list_datasets(folder: Path) -> tuple[Path, ...]:
    """List the data sets in a folder, sorted: its subfolders with training samples."""
    of_pairs = pairs.list_datasets(folder)
    return tuple(path for path in subfolders(folder) if path in of_pairs or _is_image_set(path))


def _is_image_set(folder: Path) -> bool:
    try:
        return find_image_set(folder) is not None and has_split(folder, "train")
    except DatasetError:
        return False


def check_classes(classes: ClassSet, split: DecodedSplit, network: str) -> None:
    """Check that the labels of a split have the classes that a network predicts.

    Args:
        classes: the classes of the network.
        split: the split.
        network: the name of the network, for the message.

    Raises:
        DatasetError: if they differ.
    """
    if classes.names == split.classes.names:
        return
    only = [name for name in split.classes.names if name not in classes.names]
    lacking = [name for name in classes.names if name not in split.classes.names]
    parts = [f"only the data has {', '.join(only[:5])}{', …' * (len(only) > 5)}"] * bool(only)
    parts += [f"only the weights have {', '.join(lacking[:5])}{', …' * (len(lacking) > 5)}"] * bool(lacking)
    raise DatasetError(
        f"{network} predicts other classes than the labels have: {'; '.join(parts) or 'their order differs'}."
        " Choose weights that were trained on these classes, or map them with --photos and --classes."
    )
