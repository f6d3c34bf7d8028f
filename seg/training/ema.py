"""The exponential moving average (EMA) of the weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class ExponentialAverage(AveragedModel):
    """The exponential moving average of a model's parameters and buffers.

    The decay grows with the number of updates n to its full value, min(decay, (1 + n) / (10 + n)), so that
    the first steps are soon forgotten (TensorFlow, tf.train.ExponentialMovingAverage). Integer buffers are
    copied.

    Args:
        model: the model; its present parameters are the first average.
        decay: decay per update, from 0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay
        self._count = 0  # `n_averaged` as a number: PyTorch copies that to the GPU, which waits for it

    def update_parameters(self, model: nn.Module) -> None:
        """Add the present parameters and buffers of the model, without waiting for a GPU."""
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        averages, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        integers = [pair for pair in pairs if not pair[0].is_floating_point()]
        decay = min(self.decay, (1 + self._count) / (10 + self._count)) if self._count else 0.0
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in integers:
            average.copy_(value)
        self._count += 1
        self.n_averaged += 1

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load tensors, and continue with the decay of their number of updates."""
        result = super().load_state_dict(state_dict, *args, **kwargs)
        self._count = int(self.n_averaged)
        return result


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach() for tensor in (*model.parameters(), *model.buffers())]
