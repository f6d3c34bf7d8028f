"""Every architecture behind the same call."""

import pytest
import torch

from seg.networks import ARCHITECTURES, TITLES, build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_have_the_images_size_and_learn(architecture):
    torch.manual_seed(0)
    kind = ARCHITECTURES[architecture]
    model = build(architecture, 5, kind.variants)
    image = torch.rand(2, 3, 50, 70, generator=torch.Generator().manual_seed(1))
    found = model(image)
    assert tuple(found) == kind.variants == model.variants
    for logits in found.values():
        assert logits.shape == (2, 5, 50, 70) and logits.dtype == torch.float32
    sum(logits.square().sum() + logits[:, 0].sum() for logits in found.values()).backward()
    heads = {p for p in model.parameters()} - set(model.backbone.parameters())
    assert heads and all(p.grad is not None and bool(p.grad.isfinite().all()) for p in heads)
    assert {id(p) for p in model.backbone.parameters()} < {id(p) for p in model.parameters()}
    assert set(kind.variants) <= set(TITLES)


@pytest.mark.parametrize(("architecture", "before", "after"), [("unet-resnet50", 1, 2), ("fcn-resnet50", 1, 2)])
def test_the_place_of_the_strides_belongs_to_the_start(architecture, before, after):
    for strides, one, two in (("v1", after, before), ("v1.5", before, after)):
        block = build(architecture, 5, ARCHITECTURES[architecture].variants, strides).backbone.layer3[0]
        assert (block.conv1.stride, block.conv2.stride) == ((one, one), (two, two))


def test_the_dilated_fcn_scores_on_a_grid_of_stride_8_whatever_the_strides():
    for strides in ("v1", "v1.5"):
        features = build("dilated-resnet50", 5, ("dilated",), strides).encoder(torch.rand(1, 3, 64, 96))
        assert features["out"].shape == (1, 2048, 8, 12)


def test_what_an_architecture_has_not_is_refused():
    with pytest.raises(ValueError, match="U-Net on ResNet-50 comes as unet, not as 8s"):
        build("unet-resnet50", 5, ("8s",))
    with pytest.raises(ValueError, match="comes as unet, not as 8s"):
        build("unet-resnet50", 5, ("unet",)).eval()(torch.rand(1, 3, 32, 32), ["8s"])
    with pytest.raises(ValueError, match="not as none"):
        build("fcn-resnet50", 5, ())
