"""The learning-rate schedule: linear warm-up, then polynomial or cosine decay to zero, by steps or by the
clock."""

import math
from dataclasses import dataclass

from seg.training.config import TrainConfig, TrainError


@dataclass
class TrainingSchedule:
    """The progress of a training and the learning rate that follows from it.

    A training ends after ``config.epochs``, or after ``config.minutes`` including what follows its last step.

    Attributes:
        config: the settings. steps_per_epoch: steps of an epoch. closing_seconds: time reserved for the
            evaluation after the last step; not used if epochs end the training.
    """

    config: TrainConfig
    steps_per_epoch: int
    closing_seconds: float = 0.0

    def reserve(self, closing_seconds: float) -> None:
        """Reserve time for what follows the last step.

        Raises:
            TrainError: if ``config.minutes`` leave no time to train.
        """
        minutes, needed = self.config.minutes, closing_seconds / 60
        if minutes and needed >= minutes:
            raise TrainError(
                f"--minutes {minutes:g} is less than the evaluation at the end takes here, about {needed:.1f}"
                " minutes. Give it more, or choose a smaller --holdout."
            )
        self.closing_seconds = closing_seconds

    def has_time(self, seconds: float) -> bool:
        """Whether there is time to evaluate an epoch that ends after `seconds`, and the last step as well."""
        return not self.config.minutes or seconds + 2 * self.closing_seconds <= 60 * self.config.minutes

    def progress(self, step: int, seconds: float) -> float:
        """The completed share of the training after `step` steps and `seconds`, 0–1."""
        if self.config.minutes:
            training_seconds = 60 * self.config.minutes - self.closing_seconds
            return seconds / training_seconds if seconds < training_seconds else 1.0
        return step / (self.steps_per_epoch * self.config.epochs)

    def steps(self, step: int, seconds: float) -> int | None:
        """The number of steps in all, estimated from the present speed if the clock ends them; None if
        unknown."""
        if not self.config.minutes:
            return self.steps_per_epoch * self.config.epochs
        progress = self.progress(step, seconds)
        return max(step, round(step / progress)) if step and progress else None

    def lr_factor(self, step: int, seconds: float) -> float:
        """The learning rate of a step as a share of its maximum, 0–1."""
        progress = self.progress(step, seconds)
        decay = (
            (1 - progress) ** 0.9
            if self.config.schedule == "poly"
            else (1 + math.cos(math.pi * progress)) / 2
        )
        return decay * min(1.0, (step + 1) / max(1, self.config.warmup))
