"""Augmentations that mix the crops of a batch in pairs: the first with the second, and so on.

Their partners do not depend on the number of processes, as long as each has an even number of crops.
"""

import torch
from torch import Tensor

from seg.data.classes import IGNORE
from seg.data.draws import Uniform, to_device


def partners(crops: Tensor) -> Tensor:
    """Return N crops, N even, in the order in which each stands at the place of its partner."""
    return crops.view(-1, 2, *crops.shape[1:]).flip(1).reshape(crops.shape)


def mix_classes(
    image: Tensor, label: Tensor, uniform: Uniform, probability: float, classes: int
) -> tuple[Tensor, Tensor]:
    """Paste half of the classes of its partner into a crop.

    Source: Olsson, Tranheden, Pinto, Svensson 2021, "ClassMix: Segmentation-Based Data Augmentation for
    Semi-Supervised Learning", here with labels in place of predictions.

    Args:
        image: N x 3 x H x W; N is even.
        label: N x H x W train ids, or N x 3 x H x W soft labels.
        uniform: draws N numbers between two limits.
        probability: that of a crop to be pasted into.
        classes: number of classes.

    Returns:
        The mixed crops and labels.
    """
    ids = (label if label.ndim == 3 else label[:, 0]).flatten(1)
    is_mixed = uniform(0, 1) < probability
    host = torch.stack([uniform(0, 1) for _ in range(classes)], 1) + 2.0 * ~is_mixed[:, None]
    draws = to_device(host, ids.device)
    # by crop that is pasted into, of the classes of its partner
    present = torch.zeros(len(ids), IGNORE + 1, dtype=torch.bool, device=ids.device)
    present = partners(present.scatter(1, ids, torch.ones_like(ids, dtype=torch.bool)))[:, :classes]
    rank = torch.where(present, draws, 4.0).argsort(1).argsort(1)
    is_pasted = torch.zeros(len(ids), IGNORE + 1, dtype=torch.bool, device=ids.device)
    half = (present.sum(1, keepdim=True) + 1) // 2
    is_pasted[:, :classes] = (rank < half) & (draws < 2) & present
    mask = is_pasted.gather(1, partners(ids)).view(len(ids), 1, *label.shape[-2:])
    return (
        torch.where(mask, partners(image), image),
        torch.where(mask if label.ndim == 4 else mask[:, 0], partners(label), label),
    )


def mix_amplitudes(image: Tensor, uniform: Uniform, strength: float) -> Tensor:
    """Blend the amplitudes of the spectrum of a crop with those of its partner; the phases stay.

    Amplitudes carry the style of a photo, phases its content (Xu, Zhang, Zhang, Wang, Tian 2021, "A
    Fourier-based Framework for Domain Generalization").

    Args:
        image: N x 3 x H x W; N is even.
        uniform: draws N numbers between two limits.
        strength: the greatest share of the partner's amplitudes.
    """
    share = to_device(uniform(0, strength), image.device).view(-1, 1, 1, 1)
    spectrum = torch.fft.rfft2(image)
    amplitude = spectrum.abs()
    mixed = torch.polar(torch.lerp(amplitude, partners(amplitude), share), spectrum.angle())
    return torch.fft.irfft2(mixed, image.shape[-2:])
