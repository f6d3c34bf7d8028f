"""The metrics of a training also go to an experiment tracker."""

import pytest

from seg.training import lifecycle, trackers
from seg.training.config import TrainConfig, TrainError
from seg.training.distributed import DistributedContext
from seg.training.session import Session


@pytest.fixture
def config(pairs, tmp_path):
    return TrainConfig(
        data=pairs,
        out=tmp_path / "run",
        encoder_weights="none",
        variants=("32s",),
        holdout=2,
        epochs=1,
        batch_size=2,
        height=32,
        device="cpu",
        precision="bf16",  # Accelerate permits one in a process: that of the other tests
        log_with="tensorboard",
    )


@pytest.mark.slow
def test_tensorboard_gets_the_numbers_of_the_run(config):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = lifecycle.create(config, "")
    Session(config, DistributedContext()).work()
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    losses = {line["step"]: line["loss"] for line in run.metrics() if "loss" in line}
    assert {event.step: event.value for event in events.Scalars("loss")} == pytest.approx(losses)
    (evaluation,) = (line for line in run.metrics() if "32s" in line)
    (mean_iou,) = events.Scalars("32s/mean_iou")
    assert mean_iou.value == pytest.approx(evaluation["32s"]["mean_iou"])
    assert mean_iou.step == evaluation["step"]


def test_a_tracker_that_is_not_installed_is_named(config, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(TrainError, match="pip install tensorboard"):
        lifecycle.create(config, "")
    assert not config.out.exists()
