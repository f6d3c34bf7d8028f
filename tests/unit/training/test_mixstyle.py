"""MixStyle changes the statistics of features while a network trains, and nothing else."""

import pytest
import torch

from seg.models.factory import create_model
from seg.training.mixstyle import _mix, add_mixstyle


def test_mixed_features_keep_content_and_exchange_statistics():
    torch.manual_seed(0)
    stage = torch.nn.Identity()
    features = torch.randn(64, 4, 8, 8) * torch.arange(1, 65).view(-1, 1, 1, 1) + 3
    mixed = _mix(stage, None, features)
    deviation, mean = torch.std_mean(features, (2, 3), keepdim=True)
    mixed_deviation, mixed_mean = torch.std_mean(mixed, (2, 3), keepdim=True)
    content = (mixed - mixed_mean) / mixed_deviation
    torch.testing.assert_close(content, (features - mean) / deviation, atol=1e-3, rtol=0)
    changed = (mixed_deviation / deviation - 1).abs().amax((1, 2, 3)) > 0.01
    assert 8 <= changed.sum() <= 32
    assert mixed_deviation.max() <= deviation.max() * 1.001
    assert _mix(stage.eval(), None, features) is None


@pytest.mark.parametrize("arch", ["fcn-resnet50", "fcn-vgg16", "unet-resnet50", "dilated-resnet50"])
def test_two_stages_of_every_encoder_are_mixed(arch, monkeypatch):
    model = create_model(arch)
    names = model.state_dict().keys()
    add_mixstyle(model.backbone)
    hooked = [module for module in model.modules() if module._forward_hooks]
    assert len(hooked) == 2 and model.state_dict().keys() == names
    calls = []
    for module in hooked:
        module.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        model.eval()(torch.zeros(2, 3, 64, 64))
    assert len(calls) == 2
