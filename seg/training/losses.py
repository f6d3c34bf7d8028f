"""The training loss: cross-entropy over all pixels or the hardest ones, with or without Dice."""

import math

import torch.nn.functional as F
from torch import Tensor

from seg.data import cityscapes


def valid_pixel_weight(label: Tensor, class_weight: Tensor | None) -> Tensor:
    """The sum of the class weights of all labelled pixels; without class weights, their number.

    Args:
        label: N x H x W train ids.
        class_weight: K float32, or None.

    Returns:
        A scalar tensor.
    """
    if class_weight is None:
        return (label != cityscapes.IGNORE).sum().float()
    return F.pad(class_weight, (0, cityscapes.IGNORE + 1 - len(class_weight)))[label].sum()


def segmentation_loss(
    logits: Tensor, label: Tensor, kind: str, class_weight: Tensor | None, total: Tensor
) -> Tensor:
    """The loss of one variant; zero if every pixel is ignored.

    Args:
        logits: N x K x H x W. label: N x H x W train ids. kind: ``cross-entropy``, ``ohem`` (hardest pixels
            only) or ``dice`` (cross-entropy plus Dice). class_weight: K float32, or None. total:
            `valid_pixel_weight`, averaged over all processes: the divisor of the summed cross-entropy. OHEM
            and Dice use
            this process's samples only, so they differ slightly between one process and several.

    Returns:
        A scalar tensor.
    """
    # pixel by pixel, as channels_last has them in memory: N x K x H x W would be copied to another order
    # first
    flat_logits, flat_label = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]), label.flatten()
    if kind == "ohem":
        pixel_losses = F.cross_entropy(
            flat_logits, flat_label, class_weight, ignore_index=cityscapes.IGNORE, reduction="none"
        )
        num_labelled = int((label != cityscapes.IGNORE).sum())
        hard = pixel_losses[pixel_losses > -math.log(0.7)]
        min_pixels = max(1, num_labelled // 16)
        return (hard if len(hard) >= min_pixels else pixel_losses.topk(min_pixels).values).mean()
    summed = F.cross_entropy(
        flat_logits, flat_label, class_weight, ignore_index=cityscapes.IGNORE, reduction="sum"
    )
    loss = summed / total.clamp(min=1e-6)
    if kind == "dice":
        from segmentation_models_pytorch.losses import DiceLoss

        loss = loss + DiceLoss("multiclass", ignore_index=cityscapes.IGNORE)(logits, label)
    return loss
