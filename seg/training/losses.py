"""The training loss: cross-entropy over all pixels or the hardest ones, with or without Dice."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seg.data import cityscapes

OHEM_PROBABILITY = 0.7
"""Below this probability of its true class a pixel is hard."""


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
    if kind == "ohem":
        return _hard_pixel_loss(*_pixel_by_pixel(logits, label), class_weight)
    # GPUs sum N x K logits in a single block; CPUs would copy N x K x H x W ones from channels_last
    ordered = _pixel_by_pixel(logits, label) if logits.device.type == "cpu" else (logits, label)
    summed = F.cross_entropy(*ordered, class_weight, ignore_index=cityscapes.IGNORE, reduction="sum")
    loss = summed / total.clamp(min=1e-6)
    if kind == "dice":
        from segmentation_models_pytorch.losses import DiceLoss

        loss = loss + DiceLoss("multiclass", ignore_index=cityscapes.IGNORE)(logits, label)
    return loss


class SoftTarget(NamedTuple):
    """What the cross-entropy of soft labels needs; each is N x 2 x H x W, for the two classes of a pixel.

    Attributes:
        ids: train ids, 0 where nothing is labelled.
        weights: the share of each class times its class weight, 0 where nothing is labelled.
    """

    ids: Tensor
    weights: Tensor

    @classmethod
    def of(cls, label: Tensor, class_weight: Tensor | None) -> "SoftTarget":
        """Derive it from N x 3 x H x W soft labels and K float32 class weights, or None."""
        first, second, share = label.unbind(1)
        ids = torch.stack((first, second), 1)
        shares = torch.stack((share, 255 - share), 1) / 255
        is_labelled = ids != cityscapes.IGNORE
        ids = torch.where(is_labelled, ids, 0)
        weights = shares * is_labelled
        return cls(ids, weights if class_weight is None else weights * class_weight[ids])


def soft_cross_entropy(logits: Tensor, target: SoftTarget, total: Tensor) -> Tensor:
    """The cross-entropy of one variant with a mixture of two classes per pixel.

    Args:
        logits: N x K x H x W. target: the mixtures. total: the sum of their weights, averaged over all
            processes.

    Returns:
        A scalar tensor; zero if every pixel is ignored.
    """
    losses = logits.logsumexp(1, keepdim=True) - logits.gather(1, target.ids)
    return (losses * target.weights).sum() / total.clamp(min=1e-6)


def _pixel_by_pixel(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixels of all samples as M x K logits and M train ids."""
    return logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]), label.flatten()


def _hard_pixel_loss(flat_logits: Tensor, flat_label: Tensor, class_weight: Tensor | None) -> Tensor:
    """Cross-entropy of the pixels whose true class has a probability below `OHEM_PROBABILITY`.

    They are at least one sixteenth of the labelled pixels. The probability alone decides which pixels count,
    and the class weights then weight them (Shrivastava, Gupta, Girshick 2016, "Training Region-based Object
    Detectors with Online Hard Example Mining", for pixels instead of regions).

    Args:
        flat_logits: M x K. flat_label: M train ids. class_weight: K float32, or None.

    Returns:
        A scalar tensor, the weighted mean.
    """
    known = flat_label != cityscapes.IGNORE
    label = flat_label[known]
    losses = F.cross_entropy(flat_logits[known], label, reduction="none")
    if not len(losses):
        return flat_logits.sum() * 0
    num_hard = max(int((losses > -math.log(OHEM_PROBABILITY)).sum()), len(losses) // 16, 1)
    hard = losses.topk(num_hard).indices
    weight = torch.ones_like(losses[hard]) if class_weight is None else class_weight[label[hard]]
    return (losses[hard] * weight).sum() / weight.sum().clamp(min=1e-6)
