"""Evaluation of a network on a split: `evaluate` for published weights, `accumulate` and `report` for its
parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seg.data import label_decoder
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import IGNORE, ClassSet
from seg.data.datasets import check_classes, check_split, load_split
from seg.data.decode_cache import DecodedSplit
from seg.data.label_decoder import IgnoreReason
from seg.data.pairs import OnProgress, exact_label, read_pair
from seg.evaluation import metrics
from seg.evaluation.bootstrap import confidence_intervals, paired_difference
from seg.inference.device import Device
from seg.inference.predictor import MaskAndConfidence, Predictor

EVALUATION_VERSION = 2
"""Increases whenever an evaluation of the same weights changes.

2: photos are resampled once, boundary IoU has a band of 2 % of the diagonal, and bias-corrected intervals
draw blocks of photos.
"""

GroundTruth = Literal["decoded", "nearest"]
"""How labels are decoded: by `label_decoder.decode`, or by plain nearest color."""

SIZES = (1, 64, 256, 1024, 4096)
"""Lower bounds of the size bins of connected components, in pixels of the 256 x 256 labels."""

BINS = 20
"""Number of confidence bins for calibration."""

LABEL_SETS = {"all_labelled": "all labelled pixels", "exact": "exact labels"}
"""Names of the labels beside the unambiguous ones: `DecodedLabel.best_guess`, which has a class for all
labelled pixels, and the exact labels of rendered scenes."""


@dataclass
class MetricAccumulator:
    """The counts of one variant over a split.

    Attributes:
        classes: the classes of the labels.
        boundary_width: `metrics.boundary_width` of the labels.
        on: the counts against other labels of the same photos, by a key of `LABEL_SETS`.
        confusions: a K x K matrix for each photo.
        boundary: sum of `metrics.boundary_counts`.
        segments: `metrics.component_ious` of each photo.
        calibration: sum of `metrics.calibration`.
    """

    classes: ClassSet = CITYSCAPES
    boundary_width: int = 0
    on: dict[str, "MetricAccumulator"] = field(default_factory=dict)
    confusions: list[np.ndarray] = field(default_factory=list)
    boundary: np.ndarray = field(init=False)
    segments: list[np.ndarray] = field(default_factory=list)
    calibration: np.ndarray = field(default_factory=lambda: np.zeros((3, BINS)))

    def __post_init__(self) -> None:
        self.boundary = np.zeros((2, len(self.classes)), np.int64)

    def of(self, label_set: str) -> "MetricAccumulator":
        """Return the counts against the labels of a key of `LABEL_SETS`."""
        return self.on.setdefault(label_set, MetricAccumulator(self.classes))

    def add(self, label: np.ndarray, mask: np.ndarray, confidence: np.ndarray) -> None:
        """Add the counts of one photo.

        Args:
            label: H x W uint8 train ids of the ground truth.
            mask: H x W uint8 train ids.
            confidence: H x W, from 0 to 1.
        """
        classes = len(self.classes)
        self.boundary_width = metrics.boundary_width(label.shape)
        self.confusions.append(metrics.confusion(label, mask, classes, IGNORE).astype(np.int32))
        self.boundary += metrics.boundary_counts(label, mask, classes, IGNORE)
        self.segments.append(metrics.component_ious(label, mask, classes, IGNORE))
        self.calibration += metrics.calibration(label, mask, confidence, BINS, IGNORE)


def photo_confusions(
    predictor: Predictor,
    split: DecodedSplit,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, np.ndarray]:
    """Compute only confusion matrices on unambiguous pixels, for example to choose between settings.

    Args:
        predictor: the network.
        split: the pairs.
        variants: the variants to evaluate.
        indices: the pairs to evaluate.
        working_height: by default that of the predictor.
        on_progress: called with the number of photos done and of all.

    Returns:
        By variant, photos x K x K int32.
    """
    classes = len(split.classes)
    counts = {variant: np.zeros((len(indices), classes, classes), np.int32) for variant in variants}
    pairs = _predictions(predictor, split, variants, indices, working_height, on_progress=on_progress)
    for photo, pair in enumerate(pairs):
        for variant, [(mask, _)] in pair.masks.items():
            counts[variant][photo] = metrics.confusion(pair.label, mask, classes, IGNORE)
    return counts


def confusion_matrices(
    predictor: Predictor,
    split: DecodedSplit,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, np.ndarray]:
    """Return the K x K sums of `photo_confusions` by variant; the arguments are the same."""
    counts = photo_confusions(predictor, split, variants, indices, working_height, on_progress)
    return {variant: of_variant.sum(0, dtype=np.int64) for variant, of_variant in counts.items()}


def accumulate(
    predictor: Predictor,
    split: DecodedSplit,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None = None,
    ground_truth: GroundTruth = "decoded",
    tta: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, MetricAccumulator]:
    """Collect all counts that `report` needs, at the size of the labels: 256 x 256 pixels, exact labels 512 x
    1024.

    A photo is resized once, from its 256 x 256 pixels to its size in the network.

    Args:
        predictor: the network.
        split: the pairs.
        variants: the variants to evaluate.
        indices: the pairs to evaluate.
        working_height: by default that of the predictor.
        ground_truth: ``nearest`` decodes labels by nearest color, for comparison with results that were
            computed so; colors of no class are then ignored.
        tta: use test-time augmentation.
        on_progress: called with the number of photos done and of all.

    Returns:
        The counts by variant.
    """
    accumulators = {variant: MetricAccumulator(split.classes) for variant in variants}
    pairs = _predictions(
        predictor,
        split,
        variants,
        indices,
        working_height,
        ground_truth,
        tta,
        with_confidence=True,
        on_progress=on_progress,
    )
    for pair in pairs:
        for variant, (at_label_size, *at_exact_size) in pair.masks.items():
            accumulator = accumulators[variant]
            _add(accumulator, pair.label, at_label_size)
            if pair.best_guess is not None:
                _add(accumulator.of("all_labelled"), pair.best_guess, at_label_size)
            if pair.exact is not None:
                _add(accumulator.of("exact"), pair.exact, at_exact_size[0])
    return accumulators


def _add(accumulator: MetricAccumulator, label: np.ndarray, prediction: MaskAndConfidence) -> None:
    mask, confidence = prediction
    assert confidence is not None  # because of `with_confidence`
    accumulator.add(label, mask, confidence)


@dataclass(frozen=True)
class _PairPrediction:
    """The labels of a pair and the masks of its photo."""

    label: np.ndarray
    best_guess: np.ndarray | None  # None with nearest-color decoding, which has no ambiguous pixels
    exact: np.ndarray | None  # of rendered pairs
    masks: dict[str, list[MaskAndConfidence]]  # at the size of the label, and of the exact one


def _predictions(
    predictor: Predictor,
    split: DecodedSplit,
    variants: Sequence[str],
    indices: Sequence[int],
    working_height: int | None,
    ground_truth: GroundTruth = "decoded",
    tta: bool = False,
    with_confidence: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[_PairPrediction]:
    """Yield labels and masks of each pair; exact labels only together with confidences, for a report."""
    for done, i in enumerate(indices):
        if ground_truth == "decoded":
            label, best_guess = split.label(i), split.best_guess(i)
        else:
            label, best_guess = label_decoder.decode_nearest_color(read_pair(split.files[i])[1]), None
        exact = exact_label(split.files[i]) if with_confidence and split.is_pairs else None
        sizes = [label.shape] if exact is None else [label.shape, exact.shape]
        masks = predictor.predict_masks(
            split.photo(i), variants, sizes, working_height, tta, with_confidence, aspect=split.scene_aspect
        )
        yield _PairPrediction(label, best_guess, exact, masks)
        if on_progress:
            on_progress(done + 1, len(indices))


def evaluate(
    weights: str,
    data: str | Path,
    split: Literal["train", "val"] = "val",
    variants: Sequence[str] | None = None,
    limit: int | None = None,
    working_height: int | None = None,
    tta: bool = False,
    device: Device = "auto",
    on_progress: OnProgress | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate published weights on a data set, in fp32, with labels at 256 x 256.

    Args:
        weights: a name from `list_weights`.
        data: the folder of the pairs.
        split: ``train`` or ``val``.
        variants: the variants to evaluate; by default all.
        limit: evaluate the first pairs only.
        working_height: height in pixels at which photos go through the network; by default the card's.
        tta: use test-time augmentation, several scales and flips.
        device: ``auto`` is a GPU if there is one.
        on_progress: called with the number of photos done and of all.

    Returns:
        For each variant the metrics of `report`, such as ``mean_iou`` and ``iou`` by class on the unambiguous
        pixels, and under ``all_labelled`` the same metrics on all labelled pixels.

    Raises:
        StreetFCNError: if the weights or the data cannot be used.
    """
    predictor = Predictor.from_pretrained(weights, device, precision="fp32")
    check_split(Path(data), split, slice(limit))
    pairs = load_split(Path(data), split)
    check_classes(predictor.classes, pairs, weights)
    indices = range(len(pairs))[:limit]
    accumulators = accumulate(
        predictor,
        pairs,
        variants or predictor.model.variants,
        indices,
        working_height,
        tta=tta,
        on_progress=on_progress,
    )
    return {variant: report(counts) for variant, counts in accumulators.items()}


def report(counts: MetricAccumulator) -> dict[str, Any]:
    """Compute the metrics of one variant, as `evaluate --json` writes them.

    Args:
        counts: the counts of all photos.

    Returns:
        JSON values, the fields of `VariantMetrics`, and for each other label set the same metrics under its
        key; None where a metric is undefined, for example for a class that does not occur.
    """
    confusions = np.stack(counts.confusions)
    by_class, mean = metrics.boundary_iou(counts.boundary)
    own = metrics_from_confusion(confusions.sum(0, dtype=np.int64), counts.classes) | {
        "intervals": {name: list(bounds) for name, bounds in confidence_intervals(confusions).items()},
        "boundary_iou": _number(mean),
        "boundary_width": counts.boundary_width,
        "boundary_iou_by_class": {
            name: _number(value) for name, value in zip(counts.classes.names, by_class, strict=True)
        },
        "by_size": _by_size(np.concatenate(counts.segments)),
        "calibration_error": _number(metrics.calibration_error(counts.calibration)),
        "calibration": _by_confidence(counts.calibration),
    }
    return own | {key: report(others) for key, others in counts.on.items()}


def ignored_pixels(split: DecodedSplit, indices: Sequence[int]) -> dict[str, Any] | None:
    """Compute which labelled pixels of a split are ambiguous, as `evaluate --json` writes them.

    Args:
        split: the pairs.
        indices: the evaluated pairs.

    Returns:
        ``share`` of the labelled pixels that are ignored, and ``by_reason`` the share of each reason; None if
        no label is ambiguous, because they are not those of pairs.
    """
    if split.reason_counts is None:
        return None
    counts = split.reason_counts[list(indices)].sum(0, dtype=np.int64)
    reasons = (IgnoreReason.TIE, IgnoreReason.AMBIGUOUS, IgnoreReason.UNKNOWN)
    labelled = max(1, int(counts[IgnoreReason.KEPT] + counts[list(reasons)].sum()))
    by_reason = {reason.name.lower(): float(counts[reason] / labelled) for reason in reasons}
    return {"share": sum(by_reason.values()), "by_reason": by_reason}


def paired_differences(counts: Mapping[str, MetricAccumulator]) -> list[dict[str, Any]]:
    """Compare each variant with the next coarser one on the same photos.

    Args:
        counts: the counts by variant, the coarsest first.

    Returns:
        For each pair of variants and each label set, JSON values of `PairedDifference`.
    """
    rows = []
    for coarser, finer in pairwise(counts):
        for key in (None, *counts[finer].on):
            first, second = (
                np.stack((counts[v] if key is None else counts[v].on[key]).confusions)
                for v in (finer, coarser)
            )
            difference = paired_difference(first, second)
            rows.append(
                {"first": finer, "second": coarser, "pixels": key or "unambiguous", **asdict(difference)}
            )
    return rows


def metrics_from_confusion(confusion: np.ndarray, classes: ClassSet = CITYSCAPES) -> dict[str, Any]:
    """Compute the metrics that depend only on a K x K confusion matrix of some classes, as JSON values."""
    overall = metrics.compute_metrics(confusion)
    groups = [classes.categories.index(c.category) for c in classes.classes]
    by_category = metrics.compute_metrics(metrics.merge_classes(confusion, groups)).iou
    return {
        "pixel_accuracy": _number(overall.pixel_accuracy),
        "mean_accuracy": _number(overall.mean_accuracy),
        "mean_iou": _number(overall.mean_iou),
        "frequency_weighted_iou": _number(overall.frequency_weighted_iou),
        "iou": {name: _number(v) for name, v in zip(classes.names, overall.iou, strict=True)},
        "category_iou": {name: _number(v) for name, v in zip(classes.categories, by_category, strict=True)},
        "confusion": confusion.tolist(),
    }


def _by_size(segments: np.ndarray) -> list[dict[str, Any]]:
    """Compute the mean IoU of connected components by area in pixels."""
    rows = []
    for low, high in zip(SIZES, (*SIZES[1:], None), strict=True):
        ious = segments[(segments[:, 1] >= low) & (segments[:, 1] < (high or np.inf)), 2]
        mean = _number(ious.mean()) if len(ious) else None
        rows.append({"from": low, "below": high, "segments": len(ious), "iou": mean})
    return rows


def _by_confidence(counts: np.ndarray) -> list[dict[str, Any]]:
    """Compute the number of pixels, mean confidence and accuracy of each confidence bin that is not empty."""
    edges = [i / BINS for i in range(BINS + 1)]
    return [
        {
            "from": low,
            "to": high,
            "pixels": int(pixels),
            "confidence": float(confidence_sum / pixels),
            "accuracy": float(correct / pixels),
        }
        for low, high, (pixels, confidence_sum, correct) in zip(edges, edges[1:], counts.T, strict=False)
        if pixels
    ]


def size_bin_label(size: dict[str, Any]) -> str:
    """Return the name of a size bin of `report`, such as "parts of 1–63 pixels"."""
    if size["below"] is None:
        return f"parts of {size['from']} pixels and more"
    return f"parts of {size['from']}–{size['below'] - 1} pixels"


def format_score(value: float | None, digits: int = 4) -> str:
    """Format a metric, or a dash if it is undefined (None or nan)."""
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def format_interval(bounds: Sequence[float] | None, digits: int = 4) -> str:
    """Format a confidence interval, or a dash if there is none, or if all photos are equal."""
    if bounds is None:
        return "–"
    low, high = bounds
    return "–" if low == high or np.isnan([low, high]).any() else f"{low:.{digits}f}–{high:.{digits}f}"


def format_difference_interval(low: float | None, high: float | None) -> str:
    """Format the interval of a `PairedDifference`, or a dash if there are too few photos for one."""
    return "–" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
