"""Scores that tell photos unlike the training photos from others, and how well each does.

Sources: Hendrycks, Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples"
    (confidence); Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection" (maximum logit); Liu et al.
    2020, "Energy-based Out-of-Distribution Detection" (energy).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor

from seg.data.pairs import OnProgress
from seg.evaluation.calibration import sample_logits
from seg.inference.postprocess import normalized_entropy
from seg.inference.predictor import Predictor

ENTROPY, CONFIDENCE, MAX_LOGIT, ENERGY = (
    "mean entropy",
    "1 - mean confidence",
    "- mean maximum logit",
    "mean energy",
)
FEATURES = "distance of the mean features"
SCORES = (ENTROPY, CONFIDENCE, MAX_LOGIT, ENERGY, FEATURES)
"""The scores; the greater, the more unlike the training photos."""


@dataclass(frozen=True)
class PhotoScores:
    """The scores of some photos.

    Attributes:
        by_name: a value for each photo, by the scores without `FEATURES`.
        features: photos x channels, the mean of the encoder's last features.
    """

    by_name: dict[str, np.ndarray]
    features: np.ndarray

    def values(self, name: str, training: "PhotoScores") -> np.ndarray:
        """Return a score of each photo; `FEATURES` is the distance from the mean of training photos."""
        if name == FEATURES:
            return np.linalg.norm(self.features - training.features.mean(0), axis=1)
        return self.by_name[name]


def score_photos(
    predictor: Predictor,
    photos: Iterable[Image.Image],
    variant: str,
    temperature: float = 1.0,
    aspect: float | None = None,
    on_progress: OnProgress | None = None,
    count: int = 0,
) -> PhotoScores:
    """Compute the scores of photos.

    Args:
        predictor: a network in PyTorch.
        photos: RGB photos.
        variant: the variant whose logits are used.
        temperature: the temperature of the variant.
        aspect: width over height of the scenes, if the pixels of the photos are not square.
        on_progress: called with the number of photos done and of all.
        count: number of photos, for `on_progress`.
    """
    features: list[Tensor] = []
    scores = []

    def keep(module: object, inputs: object, outputs: Sequence[Tensor]) -> None:
        features.append(outputs[-1].float().mean((0, 2, 3)).cpu())

    hook = predictor.model.backbone.register_forward_hook(keep)
    try:
        for done, photo in enumerate(photos, 1):
            logits = sample_logits(predictor, photo, [variant], aspect=aspect)[variant].float()
            scores.append(_scores(logits, temperature))
            if on_progress:
                on_progress(done, count)
    finally:
        hook.remove()
    by_name = dict(zip(SCORES, np.array(scores).T, strict=False))
    return PhotoScores(by_name, torch.stack(features).numpy())


def auroc(inside: Sequence[float] | np.ndarray, outside: Sequence[float] | np.ndarray) -> float:
    """Compute the area under the ROC curve: how often a score outside exceeds one inside; ties count half."""
    ranks = rankdata([*inside, *outside])[len(inside) :]
    exceeded = ranks.sum() - len(outside) * (len(outside) + 1) / 2
    return float(exceeded / (len(inside) * len(outside)))


def _scores(logits: Tensor, temperature: float) -> tuple[float, ...]:
    """Return the scores of K x N logits, in the order of `SCORES`."""
    scaled = logits / temperature
    values = (
        normalized_entropy(logits, temperature),
        1 - scaled.softmax(0).max(0).values,
        -logits.max(0).values,
        -scaled.logsumexp(0),
    )
    return tuple(float(value.mean()) for value in values)
