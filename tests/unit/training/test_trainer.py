"""A training step does not make the host wait for a GPU."""

import copy
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from seg.models.factory import create_model
from seg.models.registry import DEFAULT_WEIGHTS
from seg.training import lifecycle
from seg.training.config import TrainConfig
from seg.training.distributed import DistributedContext
from seg.training.ema import ExponentialAverage
from seg.training.run import Run
from seg.training.trainer import Trainer
from tests.support.sync_counter import SyncCounter


@pytest.fixture
def config(pairs, tmp_path) -> TrainConfig:
    return TrainConfig(
        data=pairs,
        out=tmp_path / "run",
        encoder_weights="none",
        holdout=2,
        batch_size=2,
        height=32,
        device="cpu",
        ema_decay=0.9,
    )


TECHNIQUES = {
    "soft_targets": True,
    "teacher": DEFAULT_WEIGHTS,
    "rare_classes": 0.5,
    "class_mix": 0.5,
    "corruptions": 0.9,
    "amplitude_mix": 0.5,
    "mixstyle": True,
}
"""Settings that are off by default."""


@pytest.fixture
def all_techniques(config, registry, monkeypatch) -> TrainConfig:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    return replace(config, **TECHNIQUES)


@pytest.mark.slow
def test_all_techniques_resume_with_identical_parameters(all_techniques, tmp_path):
    config = replace(all_techniques, batch_size=4, epochs=2, checkpoint_every=2)
    lifecycle.train(config)
    unbroken = load_file(config.out / "model.safetensors")
    assert all(value.isfinite().all() for value in unbroken.values())
    assert unbroken.keys() == create_model(config.arch).state_dict().keys()
    (config.out / "model.safetensors").unlink()
    for checkpoint in sorted((config.out / "checkpoints").iterdir())[1:]:
        shutil.rmtree(checkpoint)
    assert Run(config.out).state()["step"] < 6
    lifecycle.resume(config.out)
    resumed = load_file(config.out / "model.safetensors")
    assert [key for key, value in unbroken.items() if not torch.equal(value, resumed[key])] == []


@pytest.mark.slow
def test_best_guesses_are_trained_on_and_not_evaluated(config):
    config = replace(config, best_guesses=True, scale=(1.0, 1.0))
    trainer = Trainer(lifecycle.create(config, ""), config, DistributedContext())
    rows = next(iter(trainer.sampler))
    _, labels, *_ = next(trainer.batches)
    assert torch.equal(labels, torch.from_numpy(trainer.dataset.best_guesses[rows[:, 1].numpy()]))
    assert (trainer.dataset.labels != trainer.dataset.best_guesses).any()
    assert trainer.evaluation.dataset is trainer.dataset


@pytest.mark.slow
@pytest.mark.parametrize("technique", ["none", "all"])
def test_a_training_step_does_not_synchronize(config, all_techniques, technique):
    config = all_techniques if technique == "all" else config
    trainer = Trainer(lifecycle.create(config, ""), config, DistributedContext())
    trainer.train_step()  # the first step also creates the state of the optimizer
    with SyncCounter() as counter:
        trainer.train_step()
    assert not counter.counts


def test_the_counter_notices_synchronizing_operations():
    tensor, mask = torch.arange(4.0), torch.tensor([True, False, True, False])
    with SyncCounter() as counter:
        float(tensor.sum()), tensor.nonzero(), tensor[mask], tensor + 1
    assert counter.counts == {"_local_scalar_dense": 1, "nonzero": 1, "index": 1}


def test_the_average_equals_that_of_pytorch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    own = ExponentialAverage(model, 0.5)
    reference = AveragedModel(model, use_buffers=True)
    for count in range(12):
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data += 1
        decay = min(0.5, (1 + count) / (10 + count))
        reference.multi_avg_fn = get_ema_multi_avg_fn(decay)
        own.update_parameters(model)
        reference.update_parameters(model)
        if count == 5:  # as a resumed run does
            state, own = own.state_dict(), ExponentialAverage(copy.deepcopy(model), 0.5)
            own.load_state_dict(state)
    for key, value in reference.state_dict().items():
        if value.is_floating_point() or key == "n_averaged":
            assert torch.equal(own.state_dict()[key], value), key


@pytest.mark.slow
def test_an_automatic_interval_is_recorded_and_restored(config, monkeypatch):
    config = replace(config, epochs=3, checkpoint_every=6)
    monkeypatch.setattr("seg.training.trainer.evaluation_interval", lambda *_: 2)
    lifecycle.train(config)
    run = lifecycle.Run(config.out)
    assert [line["epoch"] for line in run.metrics() if "8s" in line] == [1, 2]
    assert run.state()["evaluate_every"] == 2
    assert "--evaluate-every 2 is used" in (config.out / "log.txt").read_text()
    (config.out / "model.safetensors").unlink()
    monkeypatch.setattr("seg.training.trainer.evaluation_interval", None)  # not chosen again
    trainer = Trainer(run, config, DistributedContext())
    assert trainer.pacing.evaluate_every == 2
