"""MixStyle: the first stages of the encoder see each crop in the style of another one, in training only.

Source: Zhou, Yang, Qiao, Xiang 2021, "Domain Generalization with MixStyle".
"""

from typing import Any

import torch
from torch import Tensor, nn

PROBABILITY = 0.5
"""That of a crop to be mixed in a stage."""

_CONCENTRATION = 0.1  # of the beta distribution of the shares: mostly one style or the other


def add_mixstyle(backbone: nn.Module) -> None:
    """Let an encoder mix statistics after its first two stages while it trains; its parameters stay.

    Args:
        backbone: a ResNet, or a VGG whose stages end with poolings.
    """
    poolings = [name for name, module in backbone.named_modules() if isinstance(module, nn.MaxPool2d)]
    for name in ("layer1", "layer2") if hasattr(backbone, "layer1") else poolings[:2]:
        backbone.get_submodule(name).register_forward_hook(_mix)


def _mix(stage: nn.Module, _: Any, features: Tensor) -> Tensor | None:
    """Replace mean and deviation of each channel by a mixture with those of another sample."""
    if not stage.training:
        return None
    concentration = torch.full((len(features), 1, 1, 1), _CONCENTRATION, device=features.device)
    share = torch.distributions.Beta(concentration, concentration, validate_args=False).sample()
    share = torch.where(torch.rand_like(share) < PROBABILITY, share, 1.0)
    with torch.autocast(features.device.type, enabled=False):
        variance, mean = torch.var_mean(features.detach().float(), (2, 3), keepdim=True)
        deviation = (variance + 1e-6).sqrt()
        other = torch.randperm(len(features), device=features.device)
        mixed_mean = torch.lerp(mean[other], mean, share)
        mixed_deviation = torch.lerp(deviation[other], deviation, share)
        mixed = (features.float() - mean) / deviation * mixed_deviation + mixed_mean
    return mixed.to(features.dtype)
