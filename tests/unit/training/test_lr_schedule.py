"""The learning-rate schedule by steps and by time."""

import pytest

from seg.training.config import TrainConfig, TrainError
from seg.training.lr_schedule import TrainingSchedule


def test_the_learning_rate_warms_up_and_falls_to_zero():
    for schedule in ("poly", "cosine"):
        config = TrainConfig(warmup=10, schedule=schedule)
        rates = [TrainingSchedule(config, steps_per_epoch=5).lr_factor(step, 0.0) for step in range(100)]
        assert rates[0] < 0.11 and max(rates) == max(rates[8:13]) > 0.85 and rates[-1] < 0.02
        assert rates[12:] == sorted(rates[12:], reverse=True)


def test_minutes_schedule_the_learning_rate_by_the_clock():
    schedule = TrainingSchedule(TrainConfig(minutes=2, warmup=1), steps_per_epoch=5)
    schedule.reserve(20.0)
    assert [
        schedule.progress(step, seconds) for step, seconds in ((0, 0.0), (999, 50.0), (3, 100.0), (3, 300.0))
    ] == [
        0,
        0.5,
        1,
        1,
    ]
    assert schedule.lr_factor(999, 50.0) == 0.5**0.9 and schedule.lr_factor(7, 100.0) == 0
    assert (schedule.steps(0, 0.0), schedule.steps(30, 25.0), schedule.steps(130, 100.0)) == (None, 120, 130)
    with pytest.raises(
        TrainError, match=r"--minutes 2 is less than the evaluation at the end takes here, about 2.5 minutes"
    ):
        schedule.reserve(150.0)
