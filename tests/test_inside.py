"""What goes on inside an FCN: the way up, exact sums, what a pixel can and does see."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from seg import inside, scenes
from seg.fcn import FCN, VARIANTS, bilinear_kernel
from seg.inside import LAST, Touch
from seg.networks import build
from seg.predict import Predictor

CLASSES = 5
HEIGHT = 128


@pytest.fixture(scope="module", params=["resnet50", "vgg16"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    """A network with random scores, so that every stride has something to say."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FCN(CLASSES, VARIANTS, "v1", request.param)
        for score in (model.score32, model.score16, model.score8):
            torch.nn.init.normal_(score.weight, std=0.05)
            torch.nn.init.normal_(score.bias)
        for name in LAST.values():
            torch.nn.init.normal_(getattr(model, name).weight, 0.2)
    return Predictor(model, HEIGHT, torch.device("cpu"), bf16=False)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(scenes.render(4, 300, 140).photo)  # no multiple of anything


@pytest.fixture(scope="module")
def seen(predictor: Predictor, photo: Image.Image) -> inside.Seen:
    return inside.look(predictor, photo)


def test_what_is_seen_has_the_shapes_that_it_says(predictor, seen):
    height, width = seen.size
    assert height == HEIGHT and list(seen.activity) == [2, 4, 8, 16, 32] and list(seen.scores) == [32, 16, 8]
    for stride, values in seen.activity.items():
        assert values.shape == (-(-height // 32) * 32 // stride, -(-width // 32) * 32 // stride) and values.min() >= 0
    for stride, values in seen.scores.items():
        assert values.shape == (CLASSES, *seen.activity[stride].shape)
    assert {s: seen.channels[s] for s in (8, 16, 32)} == predictor.model.encoder.channels


@pytest.mark.parametrize("variant", VARIANTS)
def test_untouched_it_comes_to_the_networks_own_logits(predictor, photo, seen, variant):
    found = inside.climb(predictor.model, seen.scores, variant)
    own = predictor.logits(photo, [variant])[variant].whole()
    assert list(found)[-1] == LAST[variant]
    assert torch.equal(found[LAST[variant]][:, : seen.size[0], : seen.size[1]], own)
    assert np.array_equal(inside.mask_of(found[LAST[variant]], seen.size), own.argmax(0).numpy())
    for fuse, low, skip in (("fuse16", "upscore2", "score16"), ("fuse8", "upscore4", "score8")):
        if fuse in found:
            assert torch.equal(found[fuse], found[low] + found[skip])


def test_without_skips_only_the_coarsest_scores_are_left(predictor, seen):
    alone = inside.climb(predictor.model, seen.scores, "8s", Touch(skip16=0, skip8=0))
    other = {s: scores if s == 32 else torch.full_like(scores, 7) for s, scores in seen.scores.items()}
    assert torch.equal(
        alone["upscore8"], inside.climb(predictor.model, other, "8s", Touch(skip16=0, skip8=0))["upscore8"]
    )  # what the skips hold makes no difference
    # brought up by nearest cells all the way, every 32 x 32 pixels are of one class: blocks
    blocky = inside.climb(predictor.model, seen.scores, "8s", Touch(0, 0, "nearest", "nearest", "nearest"))["upscore8"]
    assert torch.equal(blocky, seen.scores[32].repeat_interleave(32, 1).repeat_interleave(32, 2))
    twice = inside.climb(predictor.model, seen.scores, "16s", Touch(skip16=2.0))
    assert torch.equal(twice["fuse16"], twice["upscore2"] + 2 * seen.scores[16])


def test_bilinear_is_what_the_transposed_convolutions_began_as(predictor, seen):
    fresh = FCN(CLASSES, VARIANTS, "v1")
    for variant in VARIANTS:
        begun = inside.climb(fresh, seen.scores, variant)[LAST[variant]]
        smooth = Touch(upscore2="bilinear", upscore4="bilinear", last="bilinear")
        torch.testing.assert_close(begun, inside.climb(fresh, seen.scores, variant, smooth)[LAST[variant]], atol=1e-4, rtol=0)
    for name, kernels in inside.kernels(fresh).items():
        factor = getattr(fresh, name).factor
        assert kernels.shape == (CLASSES, 2 * factor, 2 * factor)
        assert np.array_equal(kernels[0], bilinear_kernel(factor).numpy())
    assert list(inside.kernels(fresh)) == ["upscore2", "upscore4", "upscore8", "upscore16", "upscore32"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_contributions_add_up_to_the_logits(predictor, seen, variant):
    logits = inside.climb(predictor.model, seen.scores, variant)[LAST[variant]]
    for at in ((0, 0), (37, 101), (seen.size[0] - 1, seen.size[1] - 1)):
        parts = inside.contributions(predictor.model, seen.scores, variant, at)
        assert list(parts) == [32, 16, 8][: len(VARIANTS[: VARIANTS.index(variant) + 1])]
        np.testing.assert_allclose(sum(parts.values()), logits[:, *at], atol=1e-4)
        assert all(np.abs(part).max() > 0 for part in parts.values())


def test_the_skips_decide_where_they_change_the_winner(predictor, seen):
    row, column = inside.decided(predictor.model, seen)
    parts = inside.contributions(predictor.model, seen.scores, "8s", (row, column))
    assert sum(parts.values()).argmax() != parts[32].argmax()
    nothing = seen.scores | {16: torch.zeros_like(seen.scores[16]), 8: torch.zeros_like(seen.scores[8])}
    assert inside.decided(predictor.model, inside.Seen(seen.size, {}, {}, nothing)) == (seen.size[0] // 2, seen.size[1] // 2)


def test_no_gradient_leaves_the_theoretical_field_and_some_reaches_its_edges(predictor):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8))
    wide, at = Predictor(predictor.model, 512, predictor.device, bf16=False), (256, 497)
    for variant, field in inside.effective_field(wide, noise, at, dict.fromkeys(VARIANTS, 2)).items():
        box = inside.theoretical_field(predictor.model, variant, at, field.shape)
        assert field.shape == (512, 1024)
        assert box.top <= at[0] <= box.bottom and 0 < box.left <= at[1] <= box.right < 1023
        seen = field.max(0) > 0
        assert not seen[: box.left].any() and not seen[box.right + 1 :].any()
        assert seen[box.left] and seen[box.right]


def test_the_theoretical_field_of_resnet50_is_the_known_one():
    """483 pixels for one cell at stride 32: Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural
    Networks", table 1 (v1 strides); the logit rests on two cells beside each other."""
    box = inside.theoretical_field(FCN(CLASSES, VARIANTS, "v1"), "32s", (200, 200), (1024, 1024))
    assert box.size == (483 + 32, 483 + 32)


def test_the_square_that_holds_a_share():
    field = np.zeros((50, 50))
    field[20, 20], field[23, 20] = 3.0, 1.0
    assert inside.side_holding(field, (20, 20), 0.75) == 1
    assert inside.side_holding(field, (20, 20), 0.76) == 7
    assert inside.side_holding(np.zeros((4, 4)), (1, 1)) == 0


def test_a_network_without_scores_and_skips_is_told_so(photo):
    unet = Predictor(build("unet-resnet50", CLASSES, ("unet",)), 64, torch.device("cpu"))
    with pytest.raises(inside.InsideError, match="no FCN with scores"):
        inside.look(unet, photo)


def test_a_mask_is_made_anew_in_time():
    """Under 150 ms for a 256 x 512 working image; the best of some, since a busy machine is no failure."""
    model = FCN(19, VARIANTS, "v1")
    scores = {stride: torch.randn(19, 256 // stride, 512 // stride) for stride in (32, 16, 8)}
    took = []
    for _ in range(8):
        began = time.perf_counter()
        inside.mask_of(inside.climb(model, scores, "8s", Touch(0.5, 1.5))["upscore8"], (256, 512))
        took.append(time.perf_counter() - began)
    assert min(took) < 0.150
