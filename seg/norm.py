"""Batch-norm over the batch of all processes, so that it sees what it would see in one.

torch's own synchronised batch-norm knows CUDA only; `SyncNorm` does the same over gloo on CPUs. Names and tensors in the state
stay those of plain batch-norm.
"""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def synchronised(model: Model, device: torch.device) -> Model:
    """The network with every batch-norm synchronised; all processes bring equally many rows."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, SyncNorm.of(child))
    return model


class SyncNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose means and variances, while it trains, are those over all processes."""

    momentum: float
    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> "SyncNorm":
        """With the parameters and statistics of `norm` themselves."""
        made = cls(norm.num_features, norm.eps, norm.momentum)
        made.weight, made.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(made, name, buffer)
        return made

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        own = torch.stack((wide.mean((0, 2, 3)), wide.var((0, 2, 3), correction=0)))
        means, variances = _Gathered.apply(own).unbind(1)
        mean = means.mean(0)
        # around the means, since a mean of squares less a squared mean would lose digits
        variance = (variances + (means - mean) ** 2).mean(0)
        with torch.no_grad():
            count = dist.get_world_size() * x.numel() / x.shape[1]
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        factor = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * factor
        return (wide * factor.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(x.dtype)


class _Gathered(torch.autograd.Function):
    """What each of the processes brings, stacked; what comes back to one is the sum over all of them."""

    @staticmethod
    def forward(ctx, mine: Tensor) -> Tensor:
        found = mine.new_zeros(dist.get_world_size(), *mine.shape)
        found[dist.get_rank()] = mine
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        found = gradient.contiguous()
        dist.all_reduce(found)
        return found[dist.get_rank()]
