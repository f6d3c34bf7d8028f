"""Photo to image and back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from seg.preprocess import MAX_SIDE, MEAN, STD, certainty, normalize, to_image, to_mask, unsquash, working_size


@pytest.mark.parametrize(
    ("photo", "wanted"),
    [
        ((2048, 1024), (320, 640)),
        ((4000, 3000), (480, 640)),
        ((3000, 4000), (853, 640)),
        ((4000, 1000), (320, 1280)),
        ((640, 320), (320, 640)),
        ((1, 20000), (4096, 1)),
        ((1080, 2400), (1349, 607)),
        ((20000, 1), (1, 4096)),
    ],
)
def test_the_working_resolution_keeps_the_aspect_and_is_bounded(photo, wanted):
    assert working_size(*photo, 320) == wanted
    assert max(working_size(*photo, 320)) <= MAX_SIDE


def test_by_the_other_rule_every_photo_has_the_working_height():
    assert working_size(4000, 3000, 320, "height") == (320, 427)
    assert working_size(3000, 4000, 320, "height") == (320, 240)


def test_an_image_is_normalized_as_imagenet_was():
    grey = Image.new("RGB", (8, 4), (128, 64, 255))
    image = to_image(grey, (2, 4))
    assert image.shape == (1, 3, 2, 4)
    wanted = [(v / 255 - m) / s for v, m, s in zip((128, 64, 255), MEAN, STD, strict=True)]
    torch.testing.assert_close(image[0, :, 0, 0], torch.tensor(wanted))
    torch.testing.assert_close(normalize(torch.tensor(MEAN).view(1, 3, 1, 1)), torch.zeros(1, 3, 1, 1))


def test_a_pair_is_unsquashed_to_two_to_one():
    assert unsquash(Image.new("RGB", (256, 256))).size == (512, 256)


def test_an_endless_row_is_decided_at_a_bounded_width():
    mask, confidence = to_mask(torch.randn(19, 1, 40), 1, 200_000, with_confidence=True)
    assert mask.shape == confidence.shape == (1, 200_000)
    assert (mask[:, ::4] == to_mask(torch.randn(19, 1, 40) * 0, 1, 50_000)[0]).mean() < 1


@pytest.mark.parametrize("size", [(7, 5), (64, 96), (300, 1000), (31, 1)])
def test_strips_give_what_bringing_all_up_at_once_gives(size, monkeypatch):
    monkeypatch.setattr("seg.preprocess._STRIP", 19 * 1000 * 7)
    logits = torch.randn(19, 20, 31, generator=torch.Generator().manual_seed(0)) * 5
    mask, confidence = to_mask(logits, *size, with_confidence=True)
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    assert mask.dtype == np.uint8
    assert (mask == whole.argmax(0).numpy()).mean() > 0.999  # ties may fall either way in the last bit
    np.testing.assert_allclose(confidence, whole.softmax(0).amax(0).numpy(), atol=2e-3)


def test_certainty_is_the_winners_probability_and_the_runner_up():
    logits = torch.randn(19, 7, 11, generator=torch.Generator().manual_seed(0)) * 3
    sure, second = certainty(logits)
    probability = logits.softmax(0)
    np.testing.assert_allclose(sure, 255 * probability.max(0).values, atol=0.51)
    order = logits.argsort(0, descending=True)
    np.testing.assert_array_equal(second, order[1])
