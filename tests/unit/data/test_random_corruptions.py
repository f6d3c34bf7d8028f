"""Random corruptions change crops as the corruptions of the evaluation change photos."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from seg.data import random_corruptions
from seg.data.random_corruptions import _blur, _darkness, _fog, _jpeg
from seg.evaluation.corruptions import CORRUPTIONS, _View


@pytest.fixture
def crop() -> Tensor:
    """A smooth 64 x 128 crop with an edge."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 16, generator=generator)
    crop = torch.nn.functional.interpolate(coarse, size=(64, 128), mode="bicubic").clamp(0, 1)[0]
    crop[:, :, 64:] = 1 - crop[:, :, 64:]
    return crop


def reference(crop: Tensor, name: str, amount: float) -> Tensor:
    view = _View(np.uint8(crop.permute(1, 2, 0).numpy() * 255 + 0.5), 2.0, np.random.default_rng(0))
    return torch.from_numpy(CORRUPTIONS[name].apply(view, amount) / 255).float().permute(2, 0, 1)


@pytest.mark.parametrize(
    ("corruption", "name", "amount", "tolerance"),
    [(_fog, "fog", 0.01, 0.01), (_darkness, "darkness", 2, 0.02), (_blur, "defocus", 0.05, 0.05)],
)
def test_corruptions_agree_with_those_of_the_evaluation(crop, corruption, name, amount, tolerance):
    sign = -1 if name == "darkness" else 1
    expected = reference(crop, name, sign * amount)
    torch.testing.assert_close(corruption(crop, 1.0, 0.0, amount), expected, atol=tolerance, rtol=0)
    assert (expected - crop).abs().max() > 4 * tolerance


def test_fog_follows_the_place_of_the_crop(crop):
    lower_half = _fog(crop[:, 32:], 0.5, 0.5, 0.02)
    torch.testing.assert_close(lower_half, _fog(crop, 1.0, 0.0, 0.02)[:, 32:])


@pytest.mark.parametrize("quality", [10, 40])
def test_jpeg_errors_agree_with_those_of_pillow(crop, quality):
    file = io.BytesIO()
    pixels = np.uint8(crop.permute(1, 2, 0).numpy() * 255 + 0.5)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    pillows = torch.from_numpy(np.asarray(Image.open(file)) / 255).float().permute(2, 0, 1)
    own = _jpeg(torch.from_numpy(pixels / 255).float().permute(2, 0, 1), 1.0, 0.0, quality).clamp(0, 1)
    assert (own - pillows).abs().mean() < 0.25 * (crop - pillows).abs().mean()


def test_every_kind_of_corruption_occurs(crop, monkeypatch):
    used = []
    kinds = [
        (lambda row, *_, i=i: used.append(i) or row, weakest, strongest)
        for i, (_, weakest, strongest) in enumerate(random_corruptions._KINDS)
    ]
    monkeypatch.setattr(random_corruptions, "_KINDS", kinds)
    generator = torch.Generator().manual_seed(0)
    random_corruptions.corrupt_crops(
        crop.repeat(64, 1, 1, 1),
        torch.eye(2, 3).repeat(64, 1, 1),
        lambda low, high: torch.rand(64, generator=generator) * (high - low) + low,
        0.5,
    )
    assert set(used) == {0, 1, 2, 3} and 20 < len(used) < 44
