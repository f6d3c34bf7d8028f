"""The model card of published weights (card.json): its fields, and its check, `parse_card`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import MAX_CLASSES, MAX_NAME_LENGTH, ClassSet
from seg.data.preprocess import MEAN, STD, ResizeMode
from seg.errors import StreetFCNError
from seg.models.encoder import ResNetVersion
from seg.models.factory import ARCHITECTURES, Architecture

CARD_FORMAT = 3
MAX_CARD_BYTES = 16 * 2**20
METRIC_SETS = ("variants", "tta")
"""Keys of a card's metrics: single pass, and test-time augmentation."""

_WITH_INTERVAL = {"pixel_accuracy", "mean_accuracy", "mean_iou"}

_FORMER_KEYS = {
    "working_rule": "resize_mode",
    "heights_tried": "height_search",
    "parent": "init_from",
    "photos": "samples_seen",
}
"""Present names of the keys of format 2."""


class WeightsError(StreetFCNError, ValueError):
    """Weights that cannot be used; the message says why and how to fix it."""


Number = float | None
SizeBin = TypedDict("SizeBin", {"from": int, "below": int | None, "segments": int, "iou": Number})
ConfidenceBin = TypedDict(
    "ConfidenceBin", {"from": float, "to": float, "pixels": int, "confidence": float, "accuracy": float}
)


class VariantMetrics(TypedDict):
    """The metrics of one variant on the unambiguous pixels, as `evaluate.report` computes them."""

    pixel_accuracy: Number
    mean_accuracy: Number
    mean_iou: Number
    frequency_weighted_iou: Number
    iou: dict[str, Number]
    category_iou: dict[str, Number]
    confusion: list[list[int]]
    intervals: dict[str, list[float]]  # empty for fewer than `bootstrap.MIN_PHOTOS` photos
    boundary_iou: Number
    boundary_width: NotRequired[int]  # pixels
    boundary_iou_by_class: dict[str, Number]
    by_size: list[SizeBin]
    calibration_error: NotRequired[Number]
    calibration: NotRequired[list[ConfidenceBin]]
    all_labelled: NotRequired["VariantMetrics"]  # the same on all labelled pixels
    exact: NotRequired["VariantMetrics"]  # the same against the exact labels of rendered pairs


class IgnoredPixels(TypedDict):
    """The labelled pixels that are ambiguous, as `evaluate.ignored_pixels` computes them."""

    share: float  # of the labelled pixels
    by_reason: dict[str, float]


class CardMetrics(TypedDict):
    """A card's metrics on one split; empty if the weights were not evaluated."""

    split: str  # val, or `decode_cache.HELD_OUT` if the data set had none
    images: int
    digest: str
    variants: dict[str, VariantMetrics]
    tta: NotRequired[dict[str, VariantMetrics]]
    version: NotRequired[int]  # `evaluate.EVALUATION_VERSION`; 1 on cards without it
    ignored: NotRequired[IgnoredPixels]
    temperature: NotRequired[dict[str, float]]  # of the confidences in `variants`, by variant; without it 1


@with_config(ConfigDict(extra="forbid"))
class EncoderRecord(TypedDict):
    """The pretrained encoder that the training started from, as `PretrainedEncoder` describes it."""

    name: str
    strides: ResNetVersion
    source: str
    licence: str


class TrainingRecord(TypedDict):
    """The course of a training, from the records of its run."""

    steps: int
    planned_steps: int | None  # None if a time limit ended the training
    seconds: float
    ended: Literal["epochs", "time", "stopped"]  # after the last epoch, at the time limit, or earlier
    last_rate: float  # the learning rate of the last record, as a share of the maximum


class CalibrationRecord(TypedDict):
    """What `seg.evaluation.calibration` finds on the validation (hold-out) pairs of train."""

    images: int
    temperature: dict[str, float]  # by variant; the logits divided by it give calibrated probabilities
    max_logit_limit: dict[
        str, float
    ]  # by variant; below this mean maximum logit, photos are unlike the pairs


@dataclass(frozen=True, config=ConfigDict(strict=True))
class ModelCard:
    """The contents of card.json."""

    format: int
    name: str
    architecture: Architecture
    variants: list[str]
    classes: list[str]
    mean: list[float]
    std: list[float]
    working_height: int  # pixels; the height at which a 2:1 photo goes through the network
    resize_mode: ResizeMode  # how photos of other shapes are resized
    height_search: dict[str, dict[str, float]]  # mean IoU by height and variant on held-out samples of train
    encoder: EncoderRecord
    init_from: dict[str, Any] | None  # `Lineage` of the weights that the training was initialized from
    command: str  # the literal training command
    config: dict[str, Any]  # all settings of the training
    hours: float  # of training, on one machine, without those of `init_from`
    samples_seen: int  # crops seen in training, without those of `init_from`
    data: dict[str, str]  # content hash of each training set
    decoder_version: int
    metrics: dict[str, Any]  # `CardMetrics`, evaluated on this weights file
    sha256: str
    bytes: int
    parameters: int
    licence: str
    training: TrainingRecord | None = None  # None on cards of earlier versions
    calibration: CalibrationRecord | None = (
        None  # None without held-out samples and on cards of earlier versions
    )
    class_categories: list[str] | None = None  # of each class; None for the Cityscapes classes
    class_colors: list[list[int]] | None = None  # RGB of each class; None for the Cityscapes classes

    @cached_property
    def class_set(self) -> ClassSet:
        """The classes of the network."""
        if self.class_categories is None or self.class_colors is None:
            return CITYSCAPES
        return ClassSet.of(self.classes, self.class_categories, self.class_colors)


# built once: cards are read on every rerun of a page
_CARD, _METRICS = TypeAdapter(ModelCard), TypeAdapter(CardMetrics)


def parse_card(values: Any, name: str) -> ModelCard:
    """Check the contents of a card file.

    Args:
        values: the decoded JSON; format 2, with its former keys, is also accepted.
        name: name of the weights, for messages.

    Returns:
        The card; its values fit this version.

    Raises:
        WeightsError: if keys are missing, unknown or of the wrong type, or if the card belongs to another
            version.
    """
    if not isinstance(values, dict):
        raise WeightsError(f"The card of {name} is damaged: it is not a JSON object. Restore card.json.")
    version = values.get("format")
    if version == 2:
        values = _upgrade(values)
    elif version != CARD_FORMAT:
        newer = isinstance(version, int) and version > CARD_FORMAT
        advice = "Update Street FCN." if newer else "Publish the weights again."
        raise WeightsError(
            f"The card of {name} has format {version}; this version reads format {CARD_FORMAT}. {advice}"
        )
    try:
        # as JSON, because strict validation of Python values requires a ModelCard
        card = _CARD.validate_json(json.dumps(values), extra="forbid")
    except ValidationError as error:
        problem = _validation_message(error)
        raise WeightsError(f"The card of {name} is refused: {problem}. Publish the weights again.") from None
    problem = _version_conflict(card)
    if problem:
        raise WeightsError(f"The card of {name} is refused: {problem} Publish the weights again.")
    return card


def evaluated_on(metrics: Mapping[str, Any]) -> str:
    """Return the split and the number of samples of a card's metrics, such as "val, 500 samples"."""
    return f"{metrics['split']}, {metrics['images']:,} samples" if metrics.get("images") else "no data"


def to_json(card: ModelCard) -> bytes:
    """Return the contents of card.json, encoded as UTF-8."""
    return (json.dumps(asdict(card), indent=1) + "\n").encode()


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of a format 2 card with the present keys."""
    values = {_FORMER_KEYS.get(key, key): value for key, value in values.items()} | {"format": CARD_FORMAT}
    if values.get("resize_mode") == "height":
        values["resize_mode"] = "fit_height"
    metrics = values.get("metrics")
    if isinstance(metrics, dict) and "best" in metrics:
        values["metrics"] = {"tta" if key == "best" else key: value for key, value in metrics.items()}
    return values


def _validation_message(error: ValidationError) -> str:
    """Summarize pydantic's errors in one clause."""
    problems = error.errors()
    missing, unknown = (
        sorted(str(item["loc"][0]) for item in problems if item["type"] == kind and len(item["loc"]) == 1)
        for kind in ("missing", "unexpected_keyword_argument")
    )
    clauses = [f"it lacks {', '.join(missing)}"] * bool(missing)
    clauses += [f"{', '.join(unknown)} is unknown"] * bool(unknown)
    if clauses:
        return " and ".join(clauses)
    key = problems[0]["loc"][0]
    if problems[0]["type"] == "literal_error":
        return f"this version does not know its {key}"
    return f"the value of {key} has the wrong type"


def _version_conflict(card: ModelCard) -> str:
    """Return what in a well-formed card does not fit this version, or an empty string."""
    if not card.variants or not _has_valid_classes(card):
        return "its classes are not those of this version."
    if not set(card.variants) <= set(ARCHITECTURES[card.architecture].variants):
        return "its architecture has no such variants."
    if (tuple(card.mean), tuple(card.std)) != (MEAN, STD):
        return "its preprocessing is not that of this version."
    if not 32 <= card.working_height <= 2048:
        return "its working height is not from 32 to 2048."
    if card.calibration and not _has_usable_calibration(card):
        return "its calibration is not that of its variants."
    if card.metrics and not _has_complete_metrics(card):
        return "its metrics are not those of this version."
    return ""


def _has_valid_classes(card: ModelCard) -> bool:
    """Return whether the classes are those of Cityscapes, or described completely."""
    names, categories, colors = card.classes, card.class_categories, card.class_colors
    if categories is None or colors is None:
        return categories is colors and tuple(names) == CITYSCAPES.names
    return (
        1 < len(set(names)) == len(names) == len(categories) == len(colors) <= MAX_CLASSES
        and all(0 < len(text) <= MAX_NAME_LENGTH for text in (*names, *categories))
        and all(len(color) == 3 and min(color) >= 0 and max(color) <= 255 for color in colors)
    )


def _has_usable_calibration(card: ModelCard) -> bool:
    """Return whether every variant has a temperature that its logits can be divided by, and a limit."""
    record = card.calibration
    return record is None or (
        record["temperature"].keys() == record["max_logit_limit"].keys() == set(card.variants)
        and all(0.01 <= temperature <= 100 for temperature in record["temperature"].values())
    )


def _has_complete_metrics(card: ModelCard) -> bool:
    """Return whether the metrics belong to variants of the card and include every class."""
    try:
        metrics = _METRICS.validate_python(card.metrics, strict=True)
    except ValidationError:
        return False
    metric_sets = [metrics["variants"], metrics.get("tta", {})]
    return all(by_variant.keys() <= set(card.variants) for by_variant in metric_sets) and all(
        report["iou"].keys() == report["boundary_iou_by_class"].keys() == set(card.classes)
        and report["category_iou"].keys() == set(card.class_set.categories)
        and {len(row) for row in report["confusion"]} == {len(report["confusion"])} == {len(card.classes)}
        and (not report["intervals"] or report["intervals"].keys() >= _WITH_INTERVAL)
        and all(len(bounds) == 2 for bounds in report["intervals"].values())
        for by_variant in metric_sets
        for report in by_variant.values()
    )
