"""From a run to weights: stored in float16, scored as stored, written in one go."""

import pytest
import torch
from safetensors.torch import load_file

from seg import evaluate, publish, weights
from seg.checkpoint import Run
from seg.dataset import load
from seg.metrics import scores
from seg.predict import Predictor
from seg.publish import PublishError
from seg.recipe import TrainConfig
from seg.train import train


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    settings = {"epochs": 1, "batch_size": 4, "height": 32, "holdout": 2, "warmup": 2, "lr": 1e-3}
    train(TrainConfig(data=pairs, out=folder, encoder_weights="none", device="cpu", **settings))
    return folder


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    registry = tmp_path_factory.mktemp("registry")
    return registry, publish.publish(run, "tiny", 64, best=True, registry=registry)


def test_the_card_says_what_the_file_is(published, pairs, run):
    registry, card = published
    assert weights.verify("tiny", registry) == card
    assert (card.working_height, card.config["height"], card.variants) == (64, 32, ["32s", "16s", "8s"])
    assert card.data == {str(pairs): load(pairs, "train").digest}
    assert card.command == Run(run).config()["command"]
    assert card.parameters == sum(p.numel() for p in weights.load("tiny", registry)[0].parameters())
    stored = load_file(registry / "tiny" / weights.FILE)
    assert {str(v.dtype) for k, v in stored.items() if v.ndim == 4} == {"torch.float16"}
    assert {str(v.dtype) for k, v in stored.items() if k.endswith("running_var")} == {"torch.float32"}


def test_the_metrics_are_those_of_the_very_file(published, pairs):
    registry, card = published
    predictor, split = Predictor.of("tiny", "cpu", registry), load(pairs, "val")
    found = evaluate.confusions(predictor, split, ["32s", "16s", "8s"], range(3))
    assert card.metrics["images"] == 3 and card.metrics["split"] == "val"
    for variant, confusion in found.items():
        assert card.metrics["variants"][variant]["confusion"] == confusion.tolist()
        assert card.metrics["variants"][variant]["mean_iou"] == scores(confusion).mean_iou


def test_the_best_quality_and_the_lineage_are_on_the_card(published, pairs, run):
    registry, card = published
    best = evaluate.tally(Predictor.of("tiny", "cpu", registry), load(pairs, "val"), ["8s"], range(3), best=True)["8s"]
    assert card.metrics["best"]["8s"] == evaluate.report(best)
    config = Run(run).config()
    assert card.parent is None and card.working_rule == "cover"
    assert card.photos == config["batch_size"] * Run(run).latest()[2]["step"] > 0


def test_the_working_height_is_chosen_on_held_out_pairs(run, tmp_path):
    card = publish.publish(run, "chosen", registry=tmp_path)
    assert list(card.heights_tried) == ["32", "40", "48", "56", "64"]
    best = max(card.heights_tried.values(), key=lambda scores: scores["8s"])
    assert card.heights_tried[str(card.working_height)]["8s"] == best["8s"]


def test_weights_are_never_overwritten_and_unfinished_runs_not_published(published, run, tmp_path):
    registry, _ = published
    with pytest.raises(PublishError, match="never overwritten"):
        publish.publish(run, "tiny", registry=registry)
    unfinished = tmp_path / "unfinished"
    Run(unfinished).create(Run(run).config())
    with pytest.raises(PublishError, match="is not finished.*--resume"):
        publish.publish(unfinished, "other", registry=registry)
    assert weights.names(registry) == ["tiny"] and [p.name for p in registry.iterdir()] == ["tiny"]


def test_what_float16_would_change_is_stored_as_it_is(run, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "_store", lambda value: value + 9 * torch.arange(19) if value.shape == (19,) else value)
    card = publish.publish(run, "tiny", 32, registry=tmp_path)
    kept, trained = load_file(tmp_path / "tiny" / weights.FILE), load_file(run / "model.safetensors")
    assert all(torch.equal(kept[key], trained[key]) and kept[key].dtype == trained[key].dtype for key in trained)
    found = evaluate.confusions(Predictor.of("tiny", folder=tmp_path), load(pairs, "val"), ["8s"], range(3))
    assert card.metrics["variants"]["8s"]["confusion"] == found["8s"].tolist()
