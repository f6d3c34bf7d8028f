"""Calibration of a network on pairs that it was not trained on: temperatures, and limits of the logits.

A temperature divides the logits of a variant, so that its confidences agree with its accuracy (Guo, Pleiss,
Sun, Weinberger 2017, "On Calibration of Modern Neural Networks"). No mask depends on it. The limit is a
percentile of the mean maximum logit of a photo: photos below it are unlike the pairs (Hendrycks et al. 2022,
"Scaling Out-of-Distribution Detection for Real-World Settings"). `out_of_distribution` compares it with other
scores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import optimize
from torch import Tensor

from seg.data.cityscapes import IGNORE
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import SIDE, OnProgress
from seg.evaluation import metrics
from seg.evaluation.evaluate import BINS
from seg.inference.postprocess import LazyLogits
from seg.inference.predictor import Predictor
from seg.models.model_card import CalibrationRecord

PERCENTILE = 99
"""Percentage of the held-out photos that are within the limit."""

_STEP = 4  # every fourth row and column of a 256 x 256 grid is sampled
_SAMPLED = slice(_STEP // 2, None, _STEP)
_LARGEST_LOG_TEMPERATURE = math.log(20)


@dataclass(frozen=True)
class VariantCalibration:
    """The calibration of one variant.

    Attributes:
        temperature: the temperature with the smallest negative log-likelihood on the unambiguous pixels.
        errors: expected calibration error on the unambiguous pixels before and after.
        errors_all_labelled: the same on all labelled pixels.
        max_logit_limit: the value that the mean maximum logit of `PERCENTILE` % of the photos exceeds.
    """

    temperature: float
    errors: tuple[float, float]
    errors_all_labelled: tuple[float, float]
    max_logit_limit: float


def calibrate(
    predictor: Predictor,
    split: DecodedSplit,
    variants: Sequence[str],
    working_height: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, VariantCalibration]:
    """Calibrate a network.

    Args:
        predictor: the network; its own temperatures are not used.
        split: the photos; never val, because the metrics of val are published.
        variants: the variants to calibrate.
        working_height: by default that of the predictor.
        on_progress: called with the number of photos done and of all.

    Returns:
        The calibration by variant.

    Raises:
        MemoryError: with a message for users, if the machine runs out of memory.
    """
    samples: dict[str, list[Tensor]] = {variant: [] for variant in variants}
    labels, guesses = [], []
    for index in range(len(split)):
        photo, label, best_guess = split.photo(index), split.label(index), split.best_guess(index)
        for variant, sample in sample_logits(
            predictor, photo, variants, working_height, split.scene_aspect
        ).items():
            samples[variant].append(sample)
        labels.append(_sampled(label))
        guesses.append(_sampled(label if best_guess is None else best_guess))
        if on_progress:
            on_progress(index + 1, len(split))
    return {
        variant: _calibrate(torch.stack(of_variant), torch.stack(labels), torch.stack(guesses))
        for variant, of_variant in samples.items()
    }


def to_record(calibrations: Mapping[str, VariantCalibration], images: int) -> CalibrationRecord:
    """Return what a model card stores of the calibrations of all variants on this number of pairs."""
    return CalibrationRecord(
        images=images,
        temperature={variant: round(of.temperature, 4) for variant, of in calibrations.items()},
        max_logit_limit={variant: round(of.max_logit_limit, 4) for variant, of in calibrations.items()},
    )


def sample_logits(
    predictor: Predictor,
    photo: Image.Image,
    variants: Sequence[str],
    working_height: int | None = None,
    aspect: float | None = None,
) -> dict[str, Tensor]:
    """Compute the logits of a photo at points of a regular grid, the same number for every photo.

    Args:
        predictor: the network.
        photo: an RGB photo.
        variants: the variants to compute.
        working_height: by default that of the predictor.
        aspect: width over height of the scene, if the pixels of the photo are not square.

    Returns:
        K x N float16 logits by variant.
    """

    def sample(logits: LazyLogits) -> Tensor:
        size, low = (SIDE, SIDE), logits.materialize()[None]
        resized = F.interpolate(low, size=size, mode="bilinear", align_corners=False)[0]
        return resized[:, _SAMPLED, _SAMPLED].flatten(1).half().cpu()

    def work(own: Predictor) -> dict[str, Tensor]:
        by_variant = own.logits(photo, variants, working_height, aspect=aspect)
        return {variant: sample(logits) for variant, logits in by_variant.items()}

    return predictor.with_cpu_fallback(work)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature with the smallest negative log-likelihood.

    Args:
        logits: N x K values.
        labels: N classes.
    """

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / math.exp(log_temperature), labels))

    bounds = (-_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE)
    return math.exp(optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x)


def _calibrate(samples: Tensor, labels: Tensor, guesses: Tensor) -> VariantCalibration:
    """Calibrate on photos x K x N logits with photos x N classes of the unambiguous and of all pixels."""
    unambiguous, all_labelled = (_labelled(samples, target) for target in (labels, guesses))
    temperature = fit_temperature(*unambiguous)
    max_logits = samples.float().max(1).values.mean(1)
    return VariantCalibration(
        temperature=temperature,
        errors=_errors(*unambiguous, temperature),
        errors_all_labelled=_errors(*all_labelled, temperature),
        max_logit_limit=float(np.percentile(max_logits, 100 - PERCENTILE)),
    )


def _labelled(samples: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return n x K logits and n classes of the points that have one."""
    known = labels != IGNORE
    return samples.movedim(1, 2)[known].float(), labels[known]


def _errors(logits: Tensor, labels: Tensor, temperature: float) -> tuple[float, float]:
    """Return the expected calibration error before and after the division by a temperature."""
    before, after = (
        metrics.calibration_error(
            metrics.calibration(labels.numpy(), winners.numpy(), confidence.numpy(), BINS, IGNORE)
        )
        for confidence, winners in ((logits / t).softmax(1).max(1) for t in (1.0, temperature))
    )
    return before, after


def _sampled(label: np.ndarray) -> Tensor:
    """Return N classes of a label at the points of `sample_logits`."""
    if label.shape != (SIDE, SIDE):
        label = np.asarray(Image.fromarray(label).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    return torch.from_numpy(label[_SAMPLED, _SAMPLED].reshape(-1).astype(np.int64))
