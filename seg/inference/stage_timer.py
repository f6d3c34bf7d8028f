"""The time of each stage of a prediction."""

import time

import torch

from seg.inference.device import synchronize

UPSAMPLING = "upsampling"
"""The stage of the last upsampling, a part of the network. Its logits are computed in strips while another
stage uses them, so its time is measured within that stage and taken from it."""


class StageTimer:
    """Measures the stages of a prediction.

    Args:
        seconds: the time of each stage is added here.
        device: a GPU finishes its work before a stage ends.
    """

    def __init__(self, seconds: dict[str, float], device: torch.device) -> None:
        self.seconds, self.device = seconds, device
        self.restart()

    def restart(self) -> None:
        """Start the next stage now; the time since the previous mark is not counted."""
        synchronize(self.device)  # earlier work of a GPU belongs to the stage before
        self._since, self._upsampling = time.perf_counter(), self.seconds.get(UPSAMPLING, 0.0)

    def mark(self, name: str) -> None:
        """Add the seconds since the previous mark, without those of upsampling, to the stage `name`."""
        synchronize(self.device)
        elapsed = time.perf_counter() - self._since
        upsampling = self.seconds.get(UPSAMPLING, 0.0) - self._upsampling
        self.seconds[name] = self.seconds.get(name, 0.0) + elapsed - upsampling
        self.restart()
