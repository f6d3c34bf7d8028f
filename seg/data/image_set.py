"""Data sets of photos and labels of any size, as a description says: `ImageSet`.

Photos and labels are stored at the height of the description, their aspect kept, at the top left of arrays
of one shape; the rest of a label is `IGNORE`.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from PIL import Image

from seg.data import image_io
from seg.data.class_inference import infer_classes
from seg.data.classes import IGNORE, ClassSet
from seg.data.decode_cache import ArrayShapes, DecodedSplit, Decoding, decode_once
from seg.data.described_labels import read_label
from seg.data.description import DatasetDescription
from seg.data.layouts import FoundLayout, Sample, Samples, find_layout, list_samples
from seg.data.pairs import DatasetError, OnProgress, cached_content_hash
from seg.data.split_folders import SPLITS

MAX_ASPECT = 4
"""Photos that are wider than this many heights are stored lower, so that they do not widen all arrays."""

STORAGE_VERSION = 1
"""Increases whenever photos or labels are stored differently."""


@dataclass(frozen=True)
class ImageSet:
    """A data set of photos and labels with a description.

    Attributes:
        data: the folder of the data set.
        root: the folder in it that the layout begins with.
        description: from dataset.json, of a known layout, or inferred from the labels.
    """

    data: Path
    root: Path
    description: DatasetDescription

    @property
    def classes(self) -> ClassSet:
        """The classes of the labels."""
        return self.description.class_set

    @cached_property
    def _samples(self) -> dict[str, Samples]:
        return {}

    def samples(self, split: str) -> Samples:
        """Return the samples of a split.

        Raises:
            DatasetError: as `list_samples`.
        """
        if split not in self._samples:
            self._samples[split] = list_samples(self.root, self.description, split)
        return self._samples[split]

    def complete_samples(self, split: str) -> tuple[Sample, ...]:
        """Return the samples of a split that have a photo and a label.

        Raises:
            DatasetError: if there are none.
        """
        samples = self.samples(split)
        if not samples.complete:
            raise DatasetError(
                f"{self.data} has no {split} samples with a photo and a label of the same name in the layout"
                f" {self.description.layout}. It has {len(samples.without_label):,} photos without a label"
                f" and {len(samples.without_image):,} labels without a photo there."
            )
        return samples.complete

    def digest(self, split: str) -> str:
        """Return a sha256 over the names and contents of the files of a split and the description."""
        samples = self.complete_samples(split)
        files = (*(s.image for s in samples), *(s.label for s in samples))
        segments = [sorted(s.segments.items()) for s in samples if s.segments is not None]
        text = f"{STORAGE_VERSION} {self.description.decoding_key()} {cached_content_hash(files)} {segments}"
        return hashlib.sha256(text.encode()).hexdigest()

    def load(self, split: str, on_progress: OnProgress | None = None) -> DecodedSplit:
        """Open a split, and store it first if the cache lacks it.

        Args:
            split: ``train`` or ``val``.
            on_progress: called with the number of photos done and of all.

        Raises:
            DatasetError: if the split is missing, or if a photo or a label cannot be used.
            OSError: if the cache cannot be written.
        """
        samples, digest = self.complete_samples(split), self.digest(split)

        def prepare() -> Decoding:
            shape = stored_shape(samples, self.description.height)
            arrays: ArrayShapes = {
                "photos": (np.uint8, (*shape, 3)),
                "labels": (np.uint8, shape),
                "sizes": (np.int32, (2,)),
            }
            return Decoding(arrays, samples, partial(_decode_sample, self.description, shape))

        arrays = decode_once(digest, prepare, on_progress)
        return DecodedSplit(
            split,
            tuple(sample.image for sample in samples),
            digest,
            arrays["photos"],
            arrays["labels"],
            sizes=arrays["sizes"],
            classes=self.classes,
        )


def find_image_set(data: Path) -> ImageSet | None:
    """Recognize a data set of photos and labels; None if there is none, perhaps one of pairs.

    Raises:
        DatasetError: if its description is damaged, or its labels show no classes.
    """
    layout = find_layout(data)
    if layout is None:
        return None
    return ImageSet(data, layout.root, layout.description or _inferred(data, layout))


def _inferred(data: Path, layout: FoundLayout) -> DatasetDescription:
    """Describe folders of images and masks by what the labels contain."""
    name = data.absolute().name[:100] or "data set"
    draft = DatasetDescription.model_construct(None, name=name, layout="folders", **layout.folders)
    labels = [s.label for split in SPLITS for s in list_samples(layout.root, draft, split).complete]
    coding, classes, ignored = infer_classes(data, labels)
    fields = {"name": name, "coding": coding, "classes": classes, "ignored": ignored, **layout.folders}
    return DatasetDescription.model_validate(fields)


def stored_size(size: tuple[int, int], height: int) -> tuple[int, int]:
    """Return the height and width at which a photo of (width, height) is stored; it is never enlarged."""
    scale = min(1.0, height / size[1], MAX_ASPECT * height / size[0])
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def stored_shape(samples: Sequence[Sample], height: int) -> tuple[int, int]:
    """Return the height and width of arrays into which every photo fits."""
    with ThreadPoolExecutor() as threads:
        sizes = list(threads.map(lambda sample: stored_size(_upright_size(sample.image), height), samples))
    return max(h for h, _ in sizes), max(w for _, w in sizes)


def _upright_size(file: Path) -> tuple[int, int]:
    try:
        return image_io.read_size(file.read_bytes())
    except (image_io.PhotoError, OSError) as error:
        raise DatasetError(f"{file} cannot be used: {error}") from None


def read_sample(
    sample: Sample, description: DatasetDescription
) -> tuple[Image.Image, np.ndarray, tuple[str, ...]]:
    """Read a photo and its label.

    Returns:
        The photo, and what `read_label` returns.

    Raises:
        DatasetError: if one of them cannot be read, or their sizes differ.
    """
    try:
        photo = image_io.read_photo(sample.image, reduce_large=False)
    except image_io.PhotoError as error:
        raise DatasetError(f"{sample.image} cannot be used: {error}") from None
    label, unknown = read_label(sample, description)
    if label.shape != (photo.height, photo.width):
        raise SizeMismatchError(
            f"{sample.label} is {label.shape[1]}×{label.shape[0]} pixels and its photo"
            f" {photo.width}×{photo.height}: labels need the size of their photos."
        )
    return photo, label, unknown


def read_known_sample(sample: Sample, description: DatasetDescription) -> tuple[Image.Image, np.ndarray]:
    """Read a photo and its label, all of whose values the description knows.

    Raises:
        DatasetError: as `read_sample`, or if there are other values.
    """
    photo, label, unknown = read_sample(sample, description)
    if unknown:
        raise DatasetError(
            f"{sample.label} has values that the description neither names nor ignores: {', '.join(unknown)}."
            " Add them to the classes or to the ignored values, or correct the label."
        )
    return photo, label


class SizeMismatchError(DatasetError):
    """A label of another size than its photo."""


def _decode_sample(
    description: DatasetDescription, shape: tuple[int, int], sample: Sample
) -> tuple[np.ndarray, ...]:
    """Return photo and label in arrays of `shape`, and their size in them."""
    photo, label = read_known_sample(sample, description)
    height, width = stored_size(photo.size, description.height)
    if (width, height) != photo.size:
        photo = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
        label = np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
    stored_photo = np.zeros((*shape, 3), np.uint8)
    stored_photo[:height, :width] = np.asarray(photo)
    stored_label = np.full(shape, IGNORE, np.uint8)
    stored_label[:height, :width] = label
    return stored_photo, stored_label, np.array((height, width), np.int32)
