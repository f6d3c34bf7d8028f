"""Check of every photo and label of a data set with a description: `check_image_set`."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from seg.data import image_io
from seg.data.classes import IGNORE
from seg.data.described_labels import LabelFileError
from seg.data.description import FILE, UNKNOWN, DatasetDescription
from seg.data.image_set import ImageSet, SizeMismatchError, read_sample
from seg.data.layouts import Sample
from seg.data.pairs import DatasetError, OnProgress
from seg.data.photo_files import describe_counts
from seg.data.split_folders import SPLITS
from seg.system.file_names import is_system_file

RARE = 1e-4
"""The share of the labelled pixels of val below which the IoU of a class is mostly chance."""

NO_LABEL, NO_PHOTO = "photos without a label", "labels without a photo"
UNREADABLE, OTHER_SIZE = "unreadable files", "labels of another size than their photo"
UNKNOWN_VALUES, MISSING = "labels with unknown values", "listed names without files"

KINDS = {
    NO_LABEL: "photo without a label",
    NO_PHOTO: "label without a photo",
    MISSING: "listed name without files",
    UNREADABLE: "unreadable file",
    OTHER_SIZE: "label of another size than its photo",
    UNKNOWN_VALUES: "label with unknown values",
}
"""Kinds of faults, in the order in which they are reported, each with its singular."""


def counted(kind: str, count: int) -> str:
    """Return the number of files of a kind, such as "1 label without a photo"."""
    return f"1 {KINDS[kind]}" if count == 1 else f"{count:,} {kind}"


@dataclass
class SplitCheck:
    """What was found in a split.

    Attributes:
        samples: the number of samples with a photo and a label.
        faults: for each kind that occurs, the number of files and an example, a sentence.
        pixels: K + 1, the pixels of each class and finally the ignored ones, in usable labels.
    """

    samples: int
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    @property
    def is_usable(self) -> bool:
        """Whether every photo has a label that can be used."""
        return not self.faults

    def add(self, kind: str, example: str) -> None:
        """Count a fault; the first one is the example."""
        count, first = self.faults.get(kind, (0, example))
        self.faults[kind] = count + 1, first


class _Read(NamedTuple):
    kind: str
    message: str
    counts: np.ndarray


def check_image_set(data: ImageSet, split: str, on_progress: OnProgress | None = None) -> SplitCheck:
    """Read all photos and labels of a split at their full size.

    Args:
        data: the data set.
        split: ``train`` or ``val``.
        on_progress: called with the number of samples done and of all.

    Raises:
        DatasetError: if two files have one name, or a list of the layout is damaged.
    """
    samples = data.samples(split)
    check = SplitCheck(len(samples.complete), pixels=np.zeros(len(data.classes) + 1, np.int64))
    for file in samples.without_label:
        check.add(NO_LABEL, f"{file} has no label")
    for file in samples.without_image:
        check.add(NO_PHOTO, f"{file} has no photo")
    for name in samples.missing:
        check.add(MISSING, f"{name} has neither a photo nor a label")
    read: Callable[[Sample], _Read] = partial(_read, data.description)
    # threads, because a page also calls this, which cannot start processes
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for done, result in enumerate(threads.map(read, samples.complete), 1):
            if result.kind:
                check.add(result.kind, result.message)
            check.pixels += result.counts
            if on_progress:
                on_progress(done, len(samples.complete))
    check.faults = {kind: check.faults[kind] for kind in KINDS if kind in check.faults}
    return check


def notes_on(data: ImageSet, checks: dict[str, SplitCheck]) -> list[str]:
    """Return sentences about missing splits, classes that train or val lacks or that are rare in val, and
    files that belong to no sample."""
    names = np.array(data.classes.names)
    notes = []
    if "train" in checks and not checks["train"].samples:
        notes.append("There is no train: the set can be used for evaluations only.")
    if "val" in checks and not checks["val"].samples:
        notes.append("There is no val: a training needs held-out samples of train (--holdout).")
    for split, check in checks.items():
        if check.pixels[:-1].any() and (absent := names[check.pixels[:-1] == 0]).size:
            notes.append(f"{split} has no pixels of {', '.join(absent)}.")
    if "val" in checks:
        pixels = checks["val"].pixels[:-1]
        rare = names[(pixels > 0) & (pixels < RARE * max(1, pixels.sum()))]
        if rare.size:
            notes.append(
                f"Below {RARE:.2%} of the pixels of val, so their IoU is mostly chance: {', '.join(rare)}."
            )
    return [*notes, *_unused_note(data)]


def _unused_note(data: ImageSet) -> list[str]:
    """Return a sentence about files in the folder that belong to no sample of train or val, if any."""
    used = {data.root / FILE}
    for split in SPLITS:
        samples = data.samples(split)
        used |= {file for sample in samples.complete for file in (sample.image, sample.label)}
        used |= {*samples.without_label, *samples.without_image}
    unused = sorted(
        file
        for file in data.root.rglob("*")
        if file not in used and not is_system_file(str(file.relative_to(data.root))) and file.is_file()
    )
    if not unused:
        return []
    counts = Counter(file.suffix.lower() for file in unused)
    example = unused[0].relative_to(data.root)
    return [f"Files that belong to no sample: {describe_counts(counts)}, for example {example}."]


def _read(description: DatasetDescription, sample: Sample) -> _Read:
    classes = len(description.class_set)
    none = np.zeros(classes + 1, np.int64)
    try:
        _, label, unknown = read_sample(sample, description)
    except SizeMismatchError as error:
        return _Read(OTHER_SIZE, str(error), none)
    except (LabelFileError, DatasetError, image_io.PhotoError) as error:
        return _Read(UNREADABLE, str(error), none)
    counts = np.bincount(label.reshape(-1), minlength=256)
    pixels = counts[[*range(classes), IGNORE]]
    if unknown:
        share = counts[UNKNOWN] / label.size
        return _Read(
            UNKNOWN_VALUES, f"{sample.label} has {', '.join(unknown)} in {share:.2%} of its pixels", pixels
        )
    return _Read("", "", pixels)
