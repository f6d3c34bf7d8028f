"""Robustness of published weights: the mean IoU on corrupted photos, and its loss against the same photos
without corruption.

Results are stored in the cache folder by the hashes of the weights and the data and by the number of photos:
``robustness/WEIGHTS-DATA/PHOTOS.json``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field, computed_field

from seg import paths
from seg.data import cityscapes
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import OnProgress
from seg.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from seg.evaluation.metrics import compute_metrics, confusion
from seg.inference.predictor import Predictor
from seg.system.atomic_io import write_json
from seg.system.json_file import read_json_object

ROBUSTNESS_VERSION = 1
"""Increases whenever the results of the same weights change."""

Score = float | None
"""A mean IoU; None if no pixel of the photos is labelled."""


class VariantRobustness(BaseModel):
    """The results of a variant.

    Attributes:
        clean: mean IoU on the photos without corruption, over the classes of their labels.
        corrupted: the same by corruption, at each of `STRENGTHS`.
    """

    clean: Score = Field(ge=0, le=1)
    corrupted: dict[str, list[Score]]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mean(self) -> Score:
        """The mean over all corruptions and strengths."""
        return _mean([score for scores in self.corrupted.values() for score in scores])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def relative_loss(self) -> Score:
        """The share of the mean IoU of clean photos that `mean` loses."""
        return self._loss(self.mean)

    def mean_of(self, corruption: str) -> Score:
        """The mean over the strengths of a corruption."""
        return _mean(self.corrupted[corruption])

    def relative_loss_of(self, corruption: str) -> Score:
        """The share of the mean IoU of clean photos that `mean_of` a corruption loses."""
        return self._loss(self.mean_of(corruption))

    def _loss(self, score: Score) -> Score:
        return 1 - score / self.clean if score is not None and self.clean else None


class Robustness(BaseModel):
    """The results of weights on some pairs, as `robustness --json` writes them.

    Attributes:
        version: `ROBUSTNESS_VERSION`.
        weights, sha256: name and hash of the weights.
        data, split, digest: folder, split and content hash of the pairs.
        images: number of evaluated photos.
        working_height: height in pixels at which photos went through the network.
        variants: the results by variant, the coarsest first.
    """

    version: int
    weights: str
    sha256: str
    data: str
    split: str
    digest: str
    images: int
    working_height: int
    variants: dict[str, VariantRobustness]


def evenly_spaced(count: int, limit: int) -> list[int]:
    """Choose at most `limit` of `count` pairs, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, limit)).round()})


def evaluate_corrupted(
    predictor: Predictor, split: DecodedSplit, indices: Sequence[int], on_progress: OnProgress | None = None
) -> dict[str, VariantRobustness]:
    """Evaluate all variants on the same photos, clean and with every corruption and strength.

    The metrics are on unambiguous pixels at the size of the labels; the confusion matrices of all photos are
    summed. The index of a photo is the seed of its corruptions.

    Args:
        predictor: the network.
        split: the data.
        indices: the photos to evaluate.
        on_progress: called with the number of predictions done and of all.

    Returns:
        The results by variant.
    """
    classes, variants = len(split.classes), predictor.model.variants
    cases = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    counts = np.zeros((len(variants), 1 + len(cases), classes, classes), np.int64)
    for photo, index in enumerate(indices):
        label, clean = split.label(index), np.asarray(split.photo(index))
        aspect = split.scene_aspect or clean.shape[1] / clean.shape[0]
        for case in range(1 + len(cases)):
            pixels = corrupt(clean, *cases[case - 1], index, aspect) if case else clean
            picture = Image.fromarray(pixels)
            masks = predictor.predict_masks(picture, variants, [label.shape], aspect=split.scene_aspect)
            for number, variant in enumerate(variants):
                mask, _ = masks[variant][0]
                counts[number, case] += confusion(label, mask, classes, cityscapes.IGNORE)
            if on_progress:
                on_progress(photo * (1 + len(cases)) + case + 1, len(indices) * (1 + len(cases)))
    return {variant: _results(counts[number]) for number, variant in enumerate(variants)}


def _results(counts: np.ndarray) -> VariantRobustness:
    """Compute the results from the confusion matrices of the clean photos and of every case."""
    # a class of few stray pixels that no label has must not count as an IoU of 0 under a corruption only
    means = [compute_metrics(matrix).mean_iou_in_target for matrix in counts]
    clean, *scores = [None if np.isnan(mean) else mean for mean in means]
    by_corruption = np.array(scores, object).reshape(len(CORRUPTIONS), len(STRENGTHS)).tolist()
    return VariantRobustness(clean=clean, corrupted=dict(zip(CORRUPTIONS, by_corruption, strict=True)))


def _mean(scores: Sequence[Score]) -> Score:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def store_dir(sha256: str, digest: str) -> Path:
    """Return the folder of the results.

    Args:
        sha256: hash of the weights file.
        digest: content hash of the split.
    """
    return paths.cache() / "robustness" / f"{sha256[:16]}-{digest[:16]}"


def save(results: Robustness) -> None:
    """Store results; they replace those of the same weights, pairs and number of photos."""
    folder = store_dir(results.sha256, results.digest)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{results.images}.json", results.model_dump())


def load(sha256: str, digest: str) -> Robustness | None:
    """Read the stored results with the most photos; None if there are none of this version.

    Args:
        sha256: hash of the weights file.
        digest: content hash of the split.
    """
    readable = [results for file in store_dir(sha256, digest).glob("*.json") if (results := _read(file))]
    return max(readable, key=lambda results: results.images, default=None)


def _read(file: Path) -> Robustness | None:
    """Read stored results; None if they are damaged or of another version."""
    try:
        results = Robustness.model_validate(read_json_object(file))
    except (OSError, ValueError):  # pydantic's errors are ValueErrors
        return None
    is_complete = results.version == ROBUSTNESS_VERSION and all(
        list(of_variant.corrupted) == list(CORRUPTIONS)
        and all(len(scores) == len(STRENGTHS) for scores in of_variant.corrupted.values())
        for of_variant in results.variants.values()
    )
    return results if is_complete else None
