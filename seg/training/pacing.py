"""When a training writes records and checkpoints and evaluates: by its clock, which all processes share."""

import math

from seg.training.config import TrainConfig

RECORD_SECONDS = 0.3
"""Least time between two records of progress: each waits for the GPU and writes files."""

RECORD_STEPS = 10
"""Steps between two recorded losses."""

EVALUATION_SHARE = 0.1
"""Highest share of the training time that automatically chosen evaluations take."""


def evaluation_interval(evaluation_seconds: float, epoch_seconds: float) -> int:
    """Return the epochs between evaluations that keep them within `EVALUATION_SHARE` of the training time."""
    return max(1, math.ceil(evaluation_seconds / (EVALUATION_SHARE * epoch_seconds)))


class Pacing:
    """The decisions of one session of a training, from the seconds of training so far.

    Args:
        config: the settings.
        seconds: the seconds of training before this session.
        evaluate_every: the epochs between evaluations that an earlier session has chosen, if one has.

    Attributes:
        evaluate_every: epochs between evaluations; None until they are chosen.
    """

    def __init__(self, config: TrainConfig, seconds: float, evaluate_every: int | None) -> None:
        self.config = config
        self.evaluate_every = config.evaluate_every or evaluate_every
        self._last_record = -math.inf
        self._last_checkpoint = seconds

    def record_due(self, seconds: float) -> bool:
        """Return whether to record progress now; if so, the next record is due `RECORD_SECONDS` later."""
        if seconds - self._last_record < RECORD_SECONDS:
            return False
        self._last_record = seconds
        return True

    def evaluation_due(self, epochs: int) -> bool:
        """Return whether to evaluate after a number of epochs; `evaluate_every` must be chosen."""
        return self.evaluate_every is not None and epochs % self.evaluate_every == 0

    def checkpoint_due(self, step: int, seconds: float, upcoming_seconds: float = 0.0) -> bool:
        """Return whether to save a checkpoint after a step.

        Args:
            step: the number of completed steps.
            seconds: the seconds of training so far.
            upcoming_seconds: time until the next opportunity, if an evaluation comes first.
        """
        if self.config.checkpoint_every:
            return step % self.config.checkpoint_every == 0
        elapsed = seconds + upcoming_seconds - self._last_checkpoint
        return elapsed >= 60 * self.config.checkpoint_minutes

    def checkpoint_saved(self, seconds: float) -> None:
        """Begin the time to the next checkpoint."""
        self._last_checkpoint = seconds
