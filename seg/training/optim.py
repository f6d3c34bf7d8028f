"""Parameter groups of the optimizer."""

from typing import Any

from seg.models.base import SegmentationModel
from seg.training.config import TrainConfig


def param_groups(model: SegmentationModel, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: encoder and heads, each with and without weight decay.

    Biases, batch normalization and upsampling kernels are not decayed. Each group's ``max_lr`` is its maximum
    learning rate.
    """
    groups = []
    encoder = set(model.backbone.parameters())
    for is_encoder, max_lr in ((True, config.encoder_lr), (False, config.lr)):
        named = [(n, p) for n, p in model.named_parameters() if (p in encoder) == is_encoder]
        decayed = [p for n, p in named if p.ndim > 1 and not n.startswith("upscore")]
        not_decayed = [p for n, p in named if p.ndim <= 1 or n.startswith("upscore")]
        groups += [
            {"params": decayed, "lr": 0.0, "max_lr": max_lr, "weight_decay": config.weight_decay},
            {"params": not_decayed, "lr": 0.0, "max_lr": max_lr, "weight_decay": 0.0},
        ]
    return groups
