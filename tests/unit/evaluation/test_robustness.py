"""The evaluation on corrupted photos, with a network whose predictions are known, and its storage."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from seg.data.datasets import load_split
from seg.evaluation import robustness
from seg.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from seg.evaluation.robustness import Robustness, VariantRobustness


def results(images: int = 3, **changes) -> Robustness:
    """Results of a network that loses a tenth of its mean IoU at each strength of all corruptions."""
    of_variant = VariantRobustness(clean=0.5, corrupted={name: [0.45, 0.4, 0.35] for name in CORRUPTIONS})
    fields = {
        "version": robustness.ROBUSTNESS_VERSION,
        "weights": "mine",
        "sha256": "a" * 64,
        "data": "scenes",
        "split": "val",
        "digest": "b" * 64,
        "images": images,
        "working_height": 96,
        "variants": {"32s": of_variant, "8s": of_variant},
    }
    return Robustness(**fields | changes)


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_CACHE", str(tmp_path))
    return tmp_path


def test_every_photo_is_predicted_clean_and_corrupted(pairs):
    split, seen, progress = load_split(pairs, "val"), [], []

    def predict_masks(photo, variants, sizes, aspect):
        """The ground truth of clean photos, road on all others; 32s always predicts sky."""
        seen.append(np.asarray(photo))
        index = next((i for i in (0, 2) if np.array_equal(seen[-1], split.photos[i])), None)
        mask = np.zeros(sizes[0], np.uint8) if index is None else np.where(
            split.labels[index] == 255, 0, split.labels[index]
        )  # fmt: skip
        assert aspect == 2
        return {"32s": [(np.full(sizes[0], 10, np.uint8), None)], "8s": [(mask, None)]}

    predictor = SimpleNamespace(model=SimpleNamespace(variants=("32s", "8s")), predict_masks=predict_masks)
    by_variant = robustness.evaluate_corrupted(
        predictor, split, [0, 2], lambda *state: progress.append(state)
    )
    cases = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    assert len(seen) == 2 * (1 + len(cases)) and progress[-1] == (len(seen), len(seen))
    for case, pixels in zip(cases, seen[2 + len(cases) :], strict=True):
        assert np.array_equal(pixels, corrupt(split.photos[2], *case, seed=2, aspect=2))

    labels = split.labels[[0, 2]]
    is_labelled, classes = labels != 255, len(np.unique(labels[labels != 255]))
    assert by_variant["8s"].clean == 1
    road = (labels == 0).sum() / is_labelled.sum() / classes
    sky = (labels == 10).sum() / is_labelled.sum() / classes
    for corruption in CORRUPTIONS:
        assert by_variant["8s"].corrupted[corruption] == pytest.approx([road] * 3)
        assert by_variant["32s"].corrupted[corruption] == pytest.approx([sky] * 3)
    assert by_variant["32s"].clean == pytest.approx(sky) and by_variant["32s"].relative_loss == pytest.approx(
        0
    )
    assert by_variant["8s"].relative_loss == pytest.approx(1 - road)


def test_means_and_losses_by_hand():
    of_variant = results().variants["8s"]
    assert of_variant.mean == pytest.approx(0.4) and of_variant.mean_of("fog") == pytest.approx(0.4)
    assert [of_variant.relative_loss, of_variant.relative_loss_of("fog")] == pytest.approx([0.2, 0.2])
    unlabelled = VariantRobustness(clean=None, corrupted=dict.fromkeys(CORRUPTIONS, [None] * 3))
    assert unlabelled.mean is None and unlabelled.relative_loss is None


def test_pairs_are_spread_evenly_over_the_split():
    assert robustness.evenly_spaced(500, 3) == [0, 250, 499]
    assert robustness.evenly_spaced(3, 100) == [0, 1, 2] and robustness.evenly_spaced(5, 1) == [0]
    assert len(robustness.evenly_spaced(500, 100)) == 100


def test_stored_results_with_the_most_photos_are_loaded(own_cache):
    assert robustness.load("a" * 64, "b" * 64) is None
    for images in (20, 100, 3):
        robustness.save(results(images))
    robustness.save(results(500, digest="c" * 64))
    assert robustness.load("a" * 64, "b" * 64) == results(100)


def test_damaged_and_former_results_are_not_loaded(own_cache):
    robustness.save(results())
    [file] = own_cache.rglob("3.json")
    content = json.loads(file.read_text())
    former = content | {"version": robustness.ROBUSTNESS_VERSION - 1}
    content["variants"]["8s"]["corrupted"]["fog"].pop()
    for damaged in (former, content, {"version": 1}, [], "x"):
        file.write_text(json.dumps(damaged))
        assert robustness.load("a" * 64, "b" * 64) is None
    file.write_text("{")
    assert robustness.load("a" * 64, "b" * 64) is None
