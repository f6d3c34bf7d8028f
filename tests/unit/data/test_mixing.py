"""Crops are mixed in pairs, with their labels, and the same in any number of processes."""

import pytest
import torch
from torch import Tensor

from seg.data.cityscapes import IGNORE
from seg.data.draws import batch_draws
from seg.data.mixing import mix_amplitudes, mix_classes, partners


def batch(n: int = 8) -> tuple[Tensor, Tensor]:
    """Crops whose channels are the train ids of their labels, and ten times the number of the crop."""
    ids = torch.randint(0, 6, (n, 16, 32), generator=torch.Generator().manual_seed(0))
    ids[:, 0] = IGNORE
    crop = 10.0 * torch.arange(n).view(n, 1, 1).expand_as(ids)
    return torch.stack((ids.float(), crop, ids.float()), 1), ids


@pytest.mark.parametrize("soft", [False, True])
def test_half_of_the_classes_are_pasted_with_their_pixels(soft):
    image, ids = batch()
    label = torch.stack((ids, ids.roll(1, 1), ids.roll(2, 1)), 1) if soft else ids
    mixed, mixed_label = mix_classes(image, label, batch_draws(8, 0, 0), 1.0, 19)
    mixed_ids = mixed_label[:, 0] if soft else mixed_label
    assert torch.equal(mixed[:, 0].long(), mixed_ids)
    for i in range(8):
        is_pasted = mixed[i, 1] == 10 * (i ^ 1)
        assert (is_pasted | (mixed[i, 1] == 10 * i)).all()
        pasted = set(ids[i ^ 1][is_pasted].tolist())
        assert len(pasted) == 3 and IGNORE not in pasted
        assert torch.equal(is_pasted, sum(ids[i ^ 1] == k for k in pasted).bool())
        assert torch.equal(mixed_label[i], torch.where(is_pasted, label[i ^ 1], label[i]))


def test_only_some_crops_are_pasted_into():
    image, ids = batch(64)
    mixed, label = mix_classes(image, ids, batch_draws(64, 0, 0), 0.25, 19)
    changed = (label != ids).any(-1).any(-1)
    assert torch.equal(changed, (mixed != image).flatten(1).any(1)) and 6 <= changed.sum() <= 26


def test_mixing_is_the_same_in_two_processes():
    image, ids = batch()
    whole = mix_classes(image, ids, batch_draws(8, 3, 4), 0.5, 19)
    halves = [
        mix_classes(image[i : i + 4], ids[i : i + 4], batch_draws(4, 3, 4, (i // 4, 2)), 0.5, 19)
        for i in (0, 4)
    ]
    for mixed, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(mixed, torch.cat(parts))
    spectra = [mix_amplitudes(image[i : i + 4], batch_draws(4, 3, 4, (i // 4, 2)), 0.5) for i in (0, 4)]
    torch.testing.assert_close(torch.cat(spectra), mix_amplitudes(image, batch_draws(8, 3, 4), 0.5))


def test_mixed_amplitudes_keep_the_phases():
    image = torch.rand(4, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix_amplitudes(image, batch_draws(4, 0, 0), 0.0), image)
    mixed = mix_amplitudes(image, lambda _, high: torch.full((4,), high), 1.0)
    spectrum, expected = torch.fft.rfft2(mixed), torch.fft.rfft2(image)
    torch.testing.assert_close(spectrum.abs(), torch.fft.rfft2(partners(image)).abs(), atol=1e-3, rtol=1e-3)
    significant = expected.abs() > 0.1
    turned = (spectrum / expected).angle()[significant]
    assert (turned.abs() < 0.01).float().mean() > 0.98  # rounding turns the weakest
