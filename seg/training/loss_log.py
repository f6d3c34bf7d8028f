"""The losses of a training in metrics.jsonl, fetched from the device a few times per second only."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seg.training.config import TrainError
from seg.training.distributed import DistributedContext
from seg.training.run import Run


@dataclass(frozen=True)
class _Entry:
    line: dict[str, Any]  # without the losses
    losses: dict[str, Tensor]  # scalars on the device


class LossLog:
    """Collects losses, and appends them to a run's metrics.

    Args:
        run: the run.
        distributed: the processes that train together; the losses are averaged over them.
    """

    def __init__(self, run: Run, distributed: DistributedContext) -> None:
        self.run, self.distributed = run, distributed
        self._pending: list[_Entry] = []

    def add(self, line: dict[str, Any], losses: dict[str, Tensor]) -> None:
        """Collect the losses of a step without waiting for the device.

        Args:
            line: the other values of the line in metrics.jsonl: step, epoch, lr and seconds.
            losses: the loss of each variant, by its name in the line.
        """
        self._pending.append(_Entry(line, losses))

    def flush(self) -> float | None:
        """Append the collected losses to metrics.jsonl. A collective.

        Returns:
            The mean over the variants of the last losses; None if there are none.

        Raises:
            TrainError: if a loss is not finite.
        """
        if not self._pending:
            return None
        stacked = torch.stack([torch.stack(list(entry.losses.values())) for entry in self._pending])
        means = self.distributed.all_reduce_mean(stacked).tolist()
        entries, self._pending = self._pending, []
        for entry, values in zip(entries, means, strict=True):
            total, step = sum(values), entry.line["step"]
            if not math.isfinite(total):
                raise TrainError(
                    f"The loss is no longer a number at step {step}. Start again with a lower --lr and"
                    f" --encoder-lr; the last good checkpoint is in {self.run.checkpoints}."
                )
            by_variant = dict(zip(entry.losses, values, strict=True))
            self.run.append_metrics({**entry.line, "loss": total, **by_variant})
        return sum(means[-1]) / len(means[-1])
