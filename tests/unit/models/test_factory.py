"""Every architecture has the same interface."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES, create_model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_have_the_image_size_and_gradients(architecture):
    torch.manual_seed(0)
    kind = ARCHITECTURES[architecture]
    model = create_model(architecture, 5, kind.variants)
    image = torch.rand(2, 3, 50, 70, generator=torch.Generator().manual_seed(1))
    outputs = model(image)
    assert tuple(outputs) == kind.variants == model.variants
    for logits in outputs.values():
        assert logits.shape == (2, 5, 50, 70) and logits.dtype == torch.float32
    sum(logits.square().sum() + logits[:, 0].sum() for logits in outputs.values()).backward()
    heads = {p for p in model.parameters()} - set(model.backbone.parameters())
    assert heads and all(p.grad is not None and bool(p.grad.isfinite().all()) for p in heads)
    assert {id(p) for p in model.backbone.parameters()} < {id(p) for p in model.parameters()}
    assert set(kind.variants) <= set(DISPLAY_NAMES)


@pytest.mark.slow
def test_architectures_are_sorted_by_computation():
    flops = []
    for architecture, kind in ARCHITECTURES.items():
        model = create_model(architecture, 19, kind.variants).eval()
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model.fuse_skips(model.encoder(torch.zeros(1, 3, 64, 128)))
        flops.append(counter.get_total_flops())
    assert flops == sorted(flops)


@pytest.mark.parametrize(
    ("architecture", "before", "after"), [("unet-resnet50", 1, 2), ("fcn-resnet50", 1, 2)]
)
def test_the_stride_layout_follows_the_pretrained_weights(architecture, before, after):
    for strides, first_stride, second_stride in (("v1", after, before), ("v1.5", before, after)):
        block = create_model(architecture, 5, ARCHITECTURES[architecture].variants, strides).backbone.layer3[
            0
        ]
        assert (block.conv1.stride, block.conv2.stride) == (
            (first_stride, first_stride),
            (second_stride, second_stride),
        )


def test_the_dilated_fcn_always_scores_at_stride_8():
    for strides in ("v1", "v1.5"):
        features = create_model("dilated-resnet50", 5, ("dilated",), strides).encoder(
            torch.rand(1, 3, 64, 96)
        )
        assert features["out"].shape == (1, 2048, 8, 12)


def test_unavailable_variants_are_refused():
    with pytest.raises(ValueError, match="U-Net on ResNet-50 has the variants unet, not 8s"):
        create_model("unet-resnet50", 5, ("8s",))
    with pytest.raises(ValueError, match="has only the variant unet, not 8s"):
        create_model("unet-resnet50", 5, ("unet",)).eval()(torch.rand(1, 3, 32, 32), ["8s"])
    with pytest.raises(ValueError, match="not none"):
        create_model("fcn-resnet50", 5, ())
