"""Publishing a run: weights are stored in float16, evaluated as stored, and written atomically."""

import pytest
import torch
from safetensors.torch import load_file

from seg.data.datasets import load_split
from seg.evaluation import calibration, evaluate
from seg.evaluation.metrics import compute_metrics
from seg.inference.predictor import Predictor
from seg.models.model_card import TrainingRecord
from seg.models.registry import WEIGHTS_FILE, list_weights, load_weights, verify_weights
from seg.publishing import publish
from seg.publishing.publish import PublishError
from seg.training.config import TrainConfig
from seg.training.lifecycle import train
from seg.training.run import Run


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    settings = {"epochs": 1, "batch_size": 4, "height": 32, "holdout": 2, "warmup": 2, "lr": 1e-3}
    train(TrainConfig(data=pairs, out=folder, encoder_weights="none", device="cpu", **settings))
    return folder


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    registry = tmp_path_factory.mktemp("registry")
    return registry, publish.publish(run, "tiny", 64, tta=True, registry=registry)


def test_the_card_describes_the_file(published, pairs, run):
    registry, card = published
    assert verify_weights("tiny", registry) == card
    assert (card.working_height, card.config["height"], card.variants) == (64, 32, ["32s", "16s", "8s"])
    assert card.data == {str(pairs): load_split(pairs, "train").digest}
    assert card.command == Run(run).config()["command"]
    assert card.training == {
        "steps": 3, "planned_steps": 3, "seconds": card.training["seconds"], "ended": "epochs",
        "last_rate": card.training["last_rate"],
    }  # fmt: skip
    assert card.training["seconds"] > 0 and 0 < card.training["last_rate"] < 1
    assert card.parameters == sum(p.numel() for p in load_weights("tiny", registry)[0].parameters())
    stored = load_file(registry / "tiny" / WEIGHTS_FILE)
    assert {str(v.dtype) for k, v in stored.items() if v.ndim == 4} == {"torch.float16"}
    assert {str(v.dtype) for k, v in stored.items() if k.endswith("running_var")} == {"torch.float32"}


def test_the_metrics_belong_to_the_stored_file(published, pairs):
    registry, card = published
    predictor, split = (
        Predictor.from_pretrained("tiny", "cpu", registry, precision="fp32"),
        load_split(pairs, "val"),
    )
    matrices = evaluate.confusion_matrices(predictor, split, ["32s", "16s", "8s"], range(3))
    assert card.metrics["images"] == 3 and card.metrics["split"] == "val"
    for variant, confusion in matrices.items():
        assert card.metrics["variants"][variant]["confusion"] == confusion.tolist()
        assert card.metrics["variants"][variant]["mean_iou"] == compute_metrics(confusion).mean_iou


def test_the_card_has_tta_metrics_and_lineage(published, pairs, run):
    registry, card = published
    best = evaluate.accumulate(
        Predictor.from_pretrained("tiny", "cpu", registry, precision="fp32"),
        load_split(pairs, "val"),
        ["8s"],
        range(3),
        tta=True,
    )["8s"]
    assert card.metrics["tta"]["8s"] == evaluate.report(best)
    config = Run(run).config()
    assert card.init_from is None and card.resize_mode == "cover"
    assert card.samples_seen == config["batch_size"] * Run(run).load_latest()[2]["step"] > 0


def test_confidences_are_calibrated_on_held_out_pairs(published, pairs):
    registry, card = published
    assert card.calibration is not None and card.calibration["images"] == 2
    assert card.calibration["temperature"] == card.metrics["temperature"]
    predictor = Predictor.from_pretrained("tiny", "cpu", registry, precision="fp32")
    assert predictor.temperatures == card.calibration["temperature"]
    held_out = load_split(pairs, "train").held_out(2)
    results = calibration.calibrate(predictor, held_out, ["8s"])  # its temperatures are not applied twice
    assert calibration.to_record(results, 2)["temperature"]["8s"] == predictor.temperatures["8s"]
    counts = evaluate.accumulate(predictor, load_split(pairs, "val"), ["8s"], range(3))
    report = card.metrics["variants"]["8s"]
    assert evaluate.report(counts["8s"])["calibration_error"] == report["calibration_error"]


def test_the_working_height_is_chosen_on_held_out_pairs(run, tmp_path):
    card = publish.publish(run, "chosen", registry=tmp_path)
    assert list(card.height_search) == ["32", "40", "48", "56", "64"]
    best = max(card.height_search.values(), key=lambda scores: scores["8s"])
    assert card.height_search[str(card.working_height)]["8s"] == best["8s"]


def published_record(
    folder, steps: int, planned: int, epoch: int, rate: float, **settings
) -> tuple[TrainConfig, str, TrainingRecord]:
    """The configuration, command and training record that `publish` derives from a run of a thousand epochs
    with this end."""
    config = TrainConfig(out=folder, epochs=1000, lr=2e-3, **settings)
    run = Run(folder)
    run.create(config.to_json())
    run.append_metrics({"step": steps, "epoch": epoch, "loss": 1.0, "lr": 2e-3 * rate, "seconds": 219.0})
    run.append_metrics({"step": steps, "epoch": epoch, "seconds": 219.0, "8s": {}})
    run.write_heartbeat(steps, "finished", steps=planned)
    command = "python -m seg train --epochs 1000 --lr 2e-3"
    return publish.as_trained(run, config, command, {"step": steps, "seconds": 219.18})


def test_a_training_ended_by_time_records_its_minutes(tmp_path):
    config, command, training = published_record(tmp_path / "run", 4458, 4458, 24, 0.0003)
    assert command == "python -m seg train --minutes 3.65 --lr 2e-3"
    assert (config.minutes, config.epochs) == (3.65, TrainConfig.epochs)
    assert training == {
        "steps": 4458,
        "planned_steps": None,
        "seconds": 219.2,
        "ended": "time",
        "last_rate": 0.0003,
    }


def test_a_stopped_training_keeps_its_command_and_progress(tmp_path):
    config, command, training = published_record(tmp_path / "run", 9002, 10010, 49, 0.127)
    assert command == "python -m seg train --epochs 1000 --lr 2e-3" and (config.minutes, config.epochs) == (
        0,
        1000,
    )
    assert (training["ended"], training["steps"], training["planned_steps"]) == ("stopped", 9002, 10010)


def test_a_training_of_minutes_keeps_its_command(tmp_path):
    config, command, training = published_record(tmp_path / "run", 4458, 4458, 24, 0.0, minutes=4.0)
    assert config.minutes == 4 and "--epochs 1000" in command  # the original command
    assert (training["ended"], training["planned_steps"]) == ("time", None)


def test_a_run_without_records_is_not_published(tmp_path):
    run = Run(tmp_path / "run")
    run.create(TrainConfig(out=run.folder).to_json())
    with pytest.raises(PublishError, match=r"has no metrics.jsonl"):
        publish.as_trained(run, TrainConfig(), "", {"step": 1, "seconds": 1.0})


def test_weights_are_never_overwritten_and_unfinished_runs_not_published(published, run, tmp_path):
    registry, _ = published
    with pytest.raises(PublishError, match="never overwritten"):
        publish.publish(run, "tiny", registry=registry)
    unfinished = tmp_path / "unfinished"
    Run(unfinished).create(Run(run).config())
    with pytest.raises(PublishError, match="is not finished.*--resume"):
        publish.publish(unfinished, "other", registry=registry)
    assert list_weights(registry) == ["tiny"] and [p.name for p in registry.iterdir()] == ["tiny"]


def test_weights_that_float16_would_change_are_stored_unrounded(run, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        publish, "_round", lambda value: value + 9 * torch.arange(19) if value.shape == (19,) else value
    )
    card = publish.publish(run, "tiny", 32, registry=tmp_path)
    stored, trained = load_file(tmp_path / "tiny" / WEIGHTS_FILE), load_file(run / "model.safetensors")
    assert all(
        torch.equal(stored[key], trained[key]) and stored[key].dtype == trained[key].dtype for key in trained
    )
    matrices = evaluate.confusion_matrices(
        Predictor.from_pretrained("tiny", folder=tmp_path, precision="fp32"),
        load_split(pairs, "val"),
        ["8s"],
        range(3),
    )
    assert card.metrics["variants"]["8s"]["confusion"] == matrices["8s"].tolist()
