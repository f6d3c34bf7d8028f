"""The inside of a U-Net: shapes, masks without skip connections, and receptive fields."""

import numpy as np
import pytest
import torch
from PIL import Image

from seg.data import scenes
from seg.inference.predictor import Predictor
from seg.interpretability import activations, unet_activations
from seg.interpretability.receptive_field import effective_field, theoretical_unet_field
from seg.interpretability.unet_activations import DECODER_STRIDES, SKIP_STRIDES, compute_unet_activations
from seg.models.factory import create_model

CLASSES = 5


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model("unet-resnet50", CLASSES, ("unet",), "v1")
    return Predictor(model, 64, torch.device("cpu"), bf16=False)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(scenes.render_scene(4, 300, 140).photo)  # neither side is a multiple of 32


def test_masks_are_those_of_the_network(predictor, photo):
    recorded = compute_unet_activations(predictor, photo)
    logits = predictor.logits(photo, ["unet"])["unet"].materialize()
    np.testing.assert_array_equal(recorded.masks[()], logits.argmax(0))
    assert recorded.size == logits.shape[1:] and recorded.scores.shape[0] == CLASSES
    torch.testing.assert_close(recorded.scores, logits[:, ::4, ::4])
    assert list(recorded.masks) == [(), *((stride,) for stride in SKIP_STRIDES), SKIP_STRIDES]
    assert all((mask != recorded.masks[()]).any() for left_out, mask in recorded.masks.items() if left_out)
    row, column = recorded.most_affected
    assert recorded.masks[()][row, column] != recorded.masks[SKIP_STRIDES][row, column]
    padded = [-(-side // 32) * 32 for side in recorded.size]
    assert list(recorded.decoder_activity) == list(DECODER_STRIDES)
    for stride, values in (recorded.activity | recorded.decoder_activity).items():
        assert values.shape == tuple(side // stride for side in padded)
    assert recorded.channels[32] == 2048 and recorded.decoder_channels[1] == 16
    assert not any(block._forward_hooks for block in predictor.model.net.decoder.blocks)


def test_another_network_is_refused(photo):
    fcn = Predictor(create_model("fcn-resnet50", CLASSES, ("32s",)), 64, torch.device("cpu"))
    with pytest.raises(activations.InspectionError, match="not a U-Net"):
        compute_unet_activations(fcn, photo)
    dilated = Predictor(create_model("dilated-resnet50", CLASSES), 64, torch.device("cpu"))
    with pytest.raises(activations.InspectionError, match="neither an FCN nor a U-Net"):
        effective_field(dilated, photo, (3, 3), {"dilated": 0})


@pytest.mark.slow
def test_gradients_fill_but_never_leave_the_theoretical_field(predictor):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 1024, 3), np.uint8))
    wide, at = Predictor(predictor.model, 96, predictor.device, bf16=False), (40, 497)
    field = effective_field(wide, noise, at, {"unet": 2})["unet"]
    box = theoretical_unet_field(unet_activations.unet_of(predictor), at, field.shape)
    assert 0 < box.left <= at[1] <= box.right < 1023
    reached = np.flatnonzero(field.max(0) > 0)
    assert (reached.min(), reached.max()) == (box.left, box.right)
