"""Evaluation on photos of other data sets, with a mapping of their classes: `evaluate_photos`.

A folder contains photos and, beside each, its label: an indexed or gray PNG of class ids with the photo's
stem and size. A JSON file names the classes of the labels and the Cityscapes classes that belong to each.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seg.data import cityscapes
from seg.data.image_io import read_photo
from seg.data.pairs import OnProgress
from seg.errors import StreetFCNError
from seg.evaluation import metrics
from seg.evaluation.bootstrap import confidence_intervals
from seg.inference.predictor import Predictor
from seg.system.file_names import is_system_file


class LabelledPhotosError(StreetFCNError, ValueError):
    """Photos, labels or a class mapping that cannot be used; the message says why."""


class MappedClass(BaseModel):
    """A class of the labels.

    Attributes:
        label: its id in the labels.
        cityscapes: names of the Cityscapes classes that count as this class.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    label: int = Field(ge=0, le=255)
    cityscapes: list[str]


class ClassMapping(BaseModel):
    """The contents of a mapping file.

    Attributes:
        name: name of the data set.
        classes: the classes by name.
        ignored: ids of pixels that are not evaluated.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    classes: dict[str, MappedClass]
    ignored: list[int] = []

    def label_table(self) -> np.ndarray:
        """Return 256 uint8: the index of the class of each label id; `IGNORE` for the ignored ones, and
        `IGNORE` - 1 for unknown ones."""
        table = np.full(256, cityscapes.IGNORE - 1, np.uint8)
        table[[k for k in self.ignored if 0 <= k < 256]] = cityscapes.IGNORE
        for index, mapped in enumerate(self.classes.values()):
            table[mapped.label] = index
        return table

    def prediction_table(self) -> np.ndarray:
        """Return 19 uint8: the index of the class that each train id counts as."""
        table = np.zeros(len(cityscapes.CLASSES), np.uint8)
        for index, mapped in enumerate(self.classes.values()):
            table[[cityscapes.TRAIN_ID[name] for name in mapped.cityscapes]] = index
        return table


def read_mapping(file: Path) -> ClassMapping:
    """Read a mapping file.

    Raises:
        LabelledPhotosError: if it is missing or damaged, or does not map every Cityscapes class exactly once.
    """
    try:
        mapping = ClassMapping.model_validate_json(file.read_bytes())
    except OSError as error:
        raise LabelledPhotosError(f"{file} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise LabelledPhotosError(f"{file} is no class mapping: {place}: {first['msg']}.") from None
    mapped = [name for entry in mapping.classes.values() for name in entry.cityscapes]
    unknown = sorted(set(mapped) - set(cityscapes.NAMES))
    missing = [name for name in cityscapes.NAMES if name not in mapped]
    twice = sorted({name for name in mapped if mapped.count(name) > 1})
    ids = [entry.label for entry in mapping.classes.values()]
    for problem, names in (
        ("names classes that Cityscapes does not have", unknown),
        ("does not say what these Cityscapes classes count as", missing),
        ("lists Cityscapes classes twice", twice),
        ("uses label ids twice", sorted({str(k) for k in ids if ids.count(k) > 1})),
    ):
        if names:
            raise LabelledPhotosError(f"{file} {problem}: {', '.join(names)}.")
    return mapping


@dataclass(frozen=True)
class LabelledPhoto:
    """The files of a photo and of its label."""

    photo: Path
    label: Path


def find_photos(folder: Path) -> list[LabelledPhoto]:
    """List the photos of a folder that have a label, in the order of their names.

    Raises:
        LabelledPhotosError: if there are none, or a photo has no label.
    """
    try:
        files = [file for file in folder.iterdir() if not is_system_file(file.name)]
    except OSError as error:
        raise LabelledPhotosError(f"{folder} cannot be read: {error.strerror}.") from None
    labels = {file.stem: file for file in files if file.suffix.lower() == ".png"}
    photos = sorted(file for file in files if file.suffix.lower() in (".jpg", ".jpeg"))
    if not photos:
        raise LabelledPhotosError(f"{folder} has no photos: NAME.jpg with the label NAME.png beside it.")
    unlabelled = [file.name for file in photos if file.stem not in labels]
    if unlabelled:
        more = f" and {len(unlabelled) - 3} more" if len(unlabelled) > 3 else ""
        raise LabelledPhotosError(
            f"{folder} has photos without a label NAME.png: {', '.join(unlabelled[:3])}{more}."
        )
    return [LabelledPhoto(file, labels[file.stem]) for file in photos]


def read_label(file: Path, mapping: ClassMapping, size: tuple[int, int]) -> np.ndarray:
    """Read a label.

    Args:
        file: the label.
        mapping: the class mapping.
        size: width and height of its photo.

    Returns:
        H x W uint8 indices of the classes of the mapping; `IGNORE` for ignored pixels.

    Raises:
        LabelledPhotosError: if it cannot be read, has another size, or has ids that the mapping lacks.
    """
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.size != size:
                raise LabelledPhotosError(
                    f"{file} is {picture.width}×{picture.height} pixels and its photo {size[0]}×{size[1]}."
                )
            if picture.mode not in ("P", "L"):
                raise LabelledPhotosError(f"{file} is no gray or indexed PNG of class ids.")
            ids = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, LabelledPhotosError):
            raise
        raise LabelledPhotosError(f"{file} cannot be read as a PNG ({error}).") from None
    label = mapping.label_table()[ids]
    unknown = np.unique(ids[label == cityscapes.IGNORE - 1])
    if unknown.size:
        raise LabelledPhotosError(
            f"{file} has the ids {', '.join(map(str, unknown[:5]))}, which the mapping neither names nor "
            f"ignores."
        )
    return label


@dataclass(frozen=True)
class PhotoResults:
    """The results of a variant on some photos at a working resolution.

    Attributes:
        confusions: photos x K x K counts over the classes of the mapping.
        seconds: median time of a photo in the network.
    """

    confusions: np.ndarray
    seconds: float


def evaluate_photos(
    predictor: Predictor,
    photos: Sequence[LabelledPhoto],
    mapping: ClassMapping,
    variants: Sequence[str],
    on_progress: OnProgress | None = None,
) -> dict[str, PhotoResults]:
    """Count how often each class was predicted for each true class.

    Args:
        predictor: the network at its working resolution.
        photos: the photos and labels.
        mapping: the class mapping.
        variants: the variants to evaluate.
        on_progress: called with the number of photos done and of all.

    Returns:
        The results by variant.

    Raises:
        StreetFCNError: if a photo or a label cannot be used.
    """
    classes, table = len(mapping.classes), mapping.prediction_table()
    confusions: dict[str, list[np.ndarray]] = {variant: [] for variant in variants}
    seconds = []
    for done, files in enumerate(photos, 1):
        photo = read_photo(files.photo)
        label = read_label(files.label, mapping, photo.size)
        start = time.perf_counter()
        masks = predictor.predict_masks(photo, variants, [label.shape])
        seconds.append(time.perf_counter() - start)
        for variant, [(mask, _)] in masks.items():
            confusions[variant].append(metrics.confusion(label, table[mask], classes, cityscapes.IGNORE))
        if on_progress:
            on_progress(done, len(photos))
    return {
        variant: PhotoResults(np.stack(counts).astype(np.int32), float(np.median(seconds)))
        for variant, counts in confusions.items()
    }


def report(results: Mapping[str, PhotoResults], mapping: ClassMapping) -> dict[str, dict[str, Any]]:
    """Compute the metrics of each variant, as JSON values."""
    reports: dict[str, dict[str, Any]] = {}
    for variant, of_variant in results.items():
        overall = metrics.compute_metrics(of_variant.confusions.sum(0, dtype=np.int64))
        ious: dict[str, float] = dict(zip(mapping.classes, overall.iou.tolist(), strict=True))
        intervals = confidence_intervals(of_variant.confusions)
        reports[variant] = {
            "pixel_accuracy": overall.pixel_accuracy,
            "mean_accuracy": overall.mean_accuracy,
            "mean_iou": overall.mean_iou,
            "intervals": {name: list(bounds) for name, bounds in intervals.items()},
            "iou": {name: None if np.isnan(value) else value for name, value in ious.items()},
        }
    return reports
