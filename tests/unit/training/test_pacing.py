"""When a training records, evaluates and saves."""

from seg.training.config import TrainConfig
from seg.training.pacing import RECORD_SECONDS, Pacing, evaluation_interval


def test_evaluations_take_a_tenth_of_the_training_time():
    assert evaluation_interval(1.0, 60.0) == evaluation_interval(6.0, 60.0) == 1
    assert evaluation_interval(6.1, 60.0) == 2 and evaluation_interval(60.0, 60.0) == 10


def test_evaluations_follow_the_setting_or_the_choice():
    chosen = Pacing(TrainConfig(), 0.0, 3)
    assert [epochs for epochs in range(1, 8) if chosen.evaluation_due(epochs)] == [3, 6]
    assert Pacing(TrainConfig(evaluate_every=2), 0.0, 3).evaluate_every == 2
    assert Pacing(TrainConfig(), 0.0, None).evaluate_every is None


def test_records_are_at_least_an_interval_apart():
    pacing = Pacing(TrainConfig(), 0.0, None)
    times = [0.04 * step for step in range(100)]
    recorded = [seconds for seconds in times if pacing.record_due(seconds)]
    assert recorded[0] == 0 and len(recorded) > 3.9 / (RECORD_SECONDS + 0.04)
    assert min(b - a for a, b in zip(recorded, recorded[1:], strict=False)) >= RECORD_SECONDS


def test_checkpoints_are_written_by_time():
    pacing = Pacing(TrainConfig(), 500.0, None)
    assert not pacing.checkpoint_due(100, 619.0) and pacing.checkpoint_due(100, 620.0)
    assert pacing.checkpoint_due(100, 560.0, upcoming_seconds=60.0)  # before a long evaluation
    pacing.checkpoint_saved(620.0)
    assert not pacing.checkpoint_due(200, 739.0) and pacing.checkpoint_due(200, 740.0)


def test_checkpoints_can_be_written_by_steps():
    pacing = Pacing(TrainConfig(checkpoint_every=4), 0.0, None)
    assert [step for step in range(1, 13) if pacing.checkpoint_due(step, 1e6)] == [4, 8, 12]
