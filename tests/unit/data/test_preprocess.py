"""Photos become network images, and logits become masks of the photo's size."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from seg.data.pairs import restore_aspect
from seg.data.preprocess import MAX_SIDE, MEAN, STD, normalize, to_image, to_images, working_size
from seg.inference import postprocess
from seg.inference.postprocess import (
    MAX_MASK_WIDTH,
    LazyLogits,
    nearest_indices,
    normalized_entropy,
    probability_maps,
    to_mask,
)


@pytest.mark.parametrize(
    ("photo", "expected"),
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
def test_the_working_resolution_keeps_the_aspect_and_is_bounded(photo, expected):
    assert working_size(*photo, 320) == expected
    assert max(working_size(*photo, 320)) <= MAX_SIDE


def test_fit_height_gives_every_photo_the_working_height():
    assert working_size(4000, 3000, 320, "fit_height") == (320, 427)
    assert working_size(3000, 4000, 320, "fit_height") == (320, 240)


def test_an_image_is_normalized_like_imagenet():
    gray = Image.new("RGB", (8, 4), (128, 64, 255))
    image = to_image(gray, (2, 4))
    assert image.shape == (1, 3, 2, 4)
    expected = [(v / 255 - m) / s for v, m, s in zip((128, 64, 255), MEAN, STD, strict=True)]
    torch.testing.assert_close(image[0, :, 0, 0], torch.tensor(expected))
    torch.testing.assert_close(normalize(torch.tensor(MEAN).view(1, 3, 1, 1)), torch.zeros(1, 3, 1, 1))


def test_a_pair_photo_is_restored_to_two_to_one():
    assert restore_aspect(Image.new("RGB", (256, 256))).size == (512, 256)


def test_a_very_wide_row_is_decided_at_bounded_width():
    mask, confidence = to_mask(
        LazyLogits.from_tensor(torch.randn(19, 1, 40)), 1, 200_000, with_confidence=True
    )
    assert mask.shape == confidence.shape == (1, 200_000)
    assert (mask[:, ::4] == to_mask(LazyLogits.from_tensor(torch.zeros(19, 1, 40)), 1, 50_000)[0]).mean() < 1


@pytest.mark.parametrize("size", [(7, 5), (64, 96), (300, 1000), (31, 1)])
def test_strips_equal_the_full_interpolation(size, monkeypatch):
    monkeypatch.setattr("seg.inference.postprocess._STRIP_LOGITS", 19 * 1000 * 7)
    logits = torch.randn(19, 20, 31, generator=torch.Generator().manual_seed(0)) * 5
    mask, confidence = to_mask(LazyLogits.from_tensor(logits), *size, with_confidence=True)
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    assert mask.dtype == np.uint8
    assert (mask == whole.argmax(0).numpy()).mean() > 0.999  # ties may differ in the last bit
    np.testing.assert_allclose(confidence, whole.softmax(0).amax(0).numpy(), atol=2e-3)
    assert (to_mask(LazyLogits.from_tensor(logits), *size)[0] == mask).mean() > 0.999


@pytest.mark.parametrize("size", [(20, 31), (1, 1), (7, 300), (97, 61), (400, 641), (5, 70_000)])
def test_the_fast_decision_leaves_no_class_out(size):
    """Smooth scores like those of networks, with classes that win only between pixels of other classes."""
    dice = torch.Generator().manual_seed(3)
    smooth = F.interpolate(torch.randn(1, 19, 5, 8, generator=dice), size=(20, 31), mode="bicubic")[0] * 4
    # second everywhere, so it wins where two other classes change places
    smooth[7] = smooth.sort(0).values[-2] - 0.01
    fast, slow = (
        to_mask(LazyLogits.from_tensor(smooth), *size)[0],
        to_mask(LazyLogits.from_tensor(smooth), *size, with_confidence=True)[0],
    )
    assert (fast == slow).mean() > 0.9999
    if size[0] > 40:
        assert (fast == 7).any() and not (smooth.argmax(0) == 7).any()


@pytest.mark.parametrize(
    ("size", "display_size"),
    [((400, 641), (97, 155)), ((20, 31), (7, 9)), ((97, 61), (97, 61)), ((5, 70_000), (1, 2048))],
)
def test_reduced_masks_have_the_pixels_of_full_masks(size, display_size):
    logits = LazyLogits.from_tensor(
        F.interpolate(torch.randn(1, 19, 5, 8, generator=torch.Generator().manual_seed(3)), size=(20, 31))[0]
    )
    for with_confidence in (False, True):
        whole, reduced = (to_mask(logits, *size, with_confidence, at) for at in (None, display_size))
        if size[1] <= MAX_MASK_WIDTH:
            rows, columns = (
                nearest_indices(to, of).numpy() for to, of in zip(display_size, size, strict=True)
            )
            assert (reduced[0] == whole[0][rows][:, columns]).all()
            if with_confidence:  # strips of another size round the last bit differently
                np.testing.assert_allclose(reduced[1], whole[1][rows][:, columns], rtol=1e-5)
        assert reduced[0].shape == display_size and (reduced[1] is not None) == with_confidence


def test_nearest_indices_match_pillow():
    assert nearest_indices(3, 9).tolist() == [1, 4, 7] and nearest_indices(4, 2).tolist() == [0, 0, 1, 1]
    wide = np.arange(4000, dtype=np.int32)[None]
    pillows = np.array(Image.fromarray(wide).resize((2048, 1), Image.Resampling.NEAREST))[0]
    assert (nearest_indices(2048, 4000).numpy() == pillows).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_probability_maps_match_the_softmax(temperature):
    logits = torch.randn(19, 7, 11, generator=torch.Generator().manual_seed(0)) * 3
    lazy = LazyLogits.from_tensor(logits, temperature)
    confidence, runner_up, entropy, mean_max_logit = probability_maps(lazy)
    assert mean_max_logit == pytest.approx(float(logits.max(0).values.mean()), rel=1e-5)
    probability = (logits / temperature).softmax(0)
    np.testing.assert_allclose(confidence, 255 * probability.max(0).values, atol=0.51)
    np.testing.assert_array_equal(runner_up, logits.argsort(0, descending=True)[1])
    share = -(probability * probability.log()).sum(0) / np.log(19)
    np.testing.assert_allclose(entropy, 255 * share, atol=0.51)
    torch.testing.assert_close(normalized_entropy(logits, temperature), share)
    mask, sure = to_mask(lazy, 7, 11, with_confidence=True)
    np.testing.assert_allclose(sure, probability.max(0).values, atol=1e-6)
    np.testing.assert_array_equal(mask, to_mask(LazyLogits.from_tensor(logits), 7, 11)[0])


def test_entropy_is_bounded_for_extreme_logits():
    equal, one_sure = torch.zeros(19, 1, 1), torch.tensor([1e4] + 18 * [-1e4]).view(19, 1, 1)
    extremes = torch.cat([equal, one_sure], 2)
    np.testing.assert_array_equal(probability_maps(LazyLogits.from_tensor(extremes)).entropy, [[255, 0]])


def test_gpus_mask_like_cpus_with_other_operations(monkeypatch):
    torch.manual_seed(0)
    logits = LazyLogits.from_tensor(
        F.interpolate(torch.randn(1, 19, 8, 12), scale_factor=8, mode="bilinear")[0]
    )
    cases = [((64, 96), None), ((150, 130), None), ((40, 50), None), ((300, 200), (60, 50))]
    expected = [to_mask(logits, *size, output_size=output) for size, output in cases]
    sure = [to_mask(logits, *size, True, output) for size, output in cases]
    maps = probability_maps(logits)
    monkeypatch.setattr(postprocess, "_interpolates_everywhere", lambda device: True)
    monkeypatch.setattr(postprocess, "_GPU_STRIP_LOGITS", 200_000)  # several strips
    for (size, output), (mask, _), (same, confidence) in zip(cases, expected, sure, strict=True):
        np.testing.assert_array_equal(to_mask(logits, *size, output_size=output)[0], mask)
        other_mask, other = to_mask(logits, *size, True, output)
        np.testing.assert_array_equal(other_mask, same)
        np.testing.assert_allclose(other, confidence, atol=1e-6)
    for result, value in zip(probability_maps(logits), maps, strict=True):
        np.testing.assert_array_equal(result, value)


def test_several_photos_are_normalized_like_single_ones():
    photos = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 7, 3), np.uint8)) for i in (0, 1)]
    together = to_images(photos, (4, 6))
    assert together.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(together, torch.cat([to_image(photo, (4, 6)) for photo in photos]))
