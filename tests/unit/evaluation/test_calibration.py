"""Temperatures, limits of the logits, and scores of photos unlike the training photos."""

import numpy as np
import pytest
import torch
from PIL import Image

from seg.data import scenes
from seg.data.datasets import load_split
from seg.data.pairs import restore_aspect
from seg.evaluation import calibration, out_of_distribution
from seg.evaluation.out_of_distribution import SCORES, auroc, score_photos
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry, precision="fp32")


@pytest.fixture(scope="module")
def held_out(pairs):
    return load_split(pairs, "train").held_out(3)


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_a_factor_of_the_logits(factor):
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, generator=rng)
    labels = logits.softmax(1).multinomial(1, generator=rng)[:, 0]  # so these logits are calibrated
    assert calibration.fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.05)


def test_calibration_reduces_errors(predictor, held_out):
    results = calibration.calibrate(predictor, held_out, ["32s", "8s"])
    assert list(results) == ["32s", "8s"]
    assert all(0 <= after < before for before, after in (result.errors for result in results.values()))
    record = calibration.to_record(results, len(held_out))
    assert record["images"] == 3 and record["temperature"].keys() == record["max_logit_limit"].keys()


def test_the_limit_is_one_of_predicted_logits(predictor, held_out):
    [result] = calibration.calibrate(predictor, held_out, ["8s"]).values()
    predicted = [
        predictor.predict(restore_aspect(Image.fromarray(pixels)), ["8s"], with_runner_up=True).max_logits[
            "8s"
        ]
        for pixels in held_out.photos
    ]
    limit = np.percentile(predicted, 100 - calibration.PERCENTILE)
    assert result.max_logit_limit == pytest.approx(limit, rel=0.02)


def test_scores_and_features_belong_to_each_photo(predictor):
    photos = [Image.fromarray(scenes.render_scene(seed, 128, 64).photo) for seed in (1, 2)]
    done = []
    scores = score_photos(predictor, photos, "8s", 2.0, on_progress=lambda *of: done.append(of), count=2)
    assert done == [(1, 2), (2, 2)] and scores.features.shape == (2, 2048)
    alone = score_photos(predictor, photos[1:], "8s", 2.0)
    for name in SCORES:
        np.testing.assert_allclose(scores.values(name, alone)[1], alone.values(name, alone)[0], rtol=1e-3)
    assert scores.values(out_of_distribution.FEATURES, alone)[0] > 0
    assert not predictor.model.backbone._forward_hooks


def test_auroc_counts_exceeded_pairs():
    assert auroc([1, 2], [3, 4]) == 1 and auroc([3, 4], [1, 2]) == 0
    assert auroc([1, 3], [2, 2]) == 0.5 and auroc([1, 1], [1]) == 0.5
