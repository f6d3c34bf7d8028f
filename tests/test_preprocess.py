"""Photo to image and back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from seg.preprocess import (
    MAX_SIDE,
    MEAN,
    STD,
    WIDEST,
    Logits,
    certainty,
    nearest,
    normalize,
    to_image,
    to_mask,
    unsquash,
    working_size,
)


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
    mask, confidence = to_mask(Logits.of(torch.randn(19, 1, 40)), 1, 200_000, with_confidence=True)
    assert mask.shape == confidence.shape == (1, 200_000)
    assert (mask[:, ::4] == to_mask(Logits.of(torch.zeros(19, 1, 40)), 1, 50_000)[0]).mean() < 1


@pytest.mark.parametrize("size", [(7, 5), (64, 96), (300, 1000), (31, 1)])
def test_strips_give_what_bringing_all_up_at_once_gives(size, monkeypatch):
    monkeypatch.setattr("seg.preprocess._STRIP", 19 * 1000 * 7)
    logits = torch.randn(19, 20, 31, generator=torch.Generator().manual_seed(0)) * 5
    mask, confidence = to_mask(Logits.of(logits), *size, with_confidence=True)
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    assert mask.dtype == np.uint8
    assert (mask == whole.argmax(0).numpy()).mean() > 0.999  # ties may fall either way in the last bit
    np.testing.assert_allclose(confidence, whole.softmax(0).amax(0).numpy(), atol=2e-3)
    assert (to_mask(Logits.of(logits), *size)[0] == mask).mean() > 0.999


@pytest.mark.parametrize("size", [(20, 31), (1, 1), (7, 300), (97, 61), (400, 641), (5, 70_000)])
def test_deciding_only_where_winners_differ_leaves_no_class_out(size):
    """Smooth scores as networks give them, with classes that win between pixels of others only."""
    dice = torch.Generator().manual_seed(3)
    smooth = F.interpolate(torch.randn(1, 19, 5, 8, generator=dice), size=(20, 31), mode="bicubic")[0] * 4
    smooth[7] = smooth.sort(0).values[-2] - 0.01  # second everywhere, so first where two others change places
    fast, slow = to_mask(Logits.of(smooth), *size)[0], to_mask(Logits.of(smooth), *size, with_confidence=True)[0]
    assert (fast == slow).mean() > 0.9999
    if size[0] > 40:
        assert (fast == 7).any() and not (smooth.argmax(0) == 7).any()


@pytest.mark.parametrize(
    ("size", "seen_at"), [((400, 641), (97, 155)), ((20, 31), (7, 9)), ((97, 61), (97, 61)), ((5, 70_000), (1, 2048))]
)
def test_of_what_is_shown_smaller_only_the_pixels_shown_are_made(size, seen_at):
    logits = Logits.of(F.interpolate(torch.randn(1, 19, 5, 8, generator=torch.Generator().manual_seed(3)), size=(20, 31))[0])
    for with_confidence in (False, True):
        whole, shown = (to_mask(logits, *size, with_confidence, at) for at in (None, seen_at))
        if size[1] <= WIDEST:
            rows, columns = (nearest(to, of).numpy() for to, of in zip(seen_at, size, strict=True))
            assert (shown[0] == whole[0][rows][:, columns]).all()
            assert not with_confidence or (shown[1] == whole[1][rows][:, columns]).all()
        assert shown[0].shape == seen_at and (shown[1] is not None) == with_confidence


def test_the_nearest_pixel_is_the_one_that_a_middle_lies_on():
    assert nearest(3, 9).tolist() == [1, 4, 7] and nearest(4, 2).tolist() == [0, 0, 1, 1]
    wide = np.arange(4000, dtype=np.int32)[None]
    pillows = np.array(Image.fromarray(wide).resize((2048, 1), Image.Resampling.NEAREST))[0]
    assert (nearest(2048, 4000).numpy() == pillows).all()


def test_certainty_is_the_winners_probability_and_the_runner_up():
    logits = torch.randn(19, 7, 11, generator=torch.Generator().manual_seed(0)) * 3
    sure, second = certainty(Logits.of(logits))
    probability = logits.softmax(0)
    np.testing.assert_allclose(sure, 255 * probability.max(0).values, atol=0.51)
    order = logits.argsort(0, descending=True)
    np.testing.assert_array_equal(second, order[1])
