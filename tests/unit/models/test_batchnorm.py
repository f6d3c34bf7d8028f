"""Folding batch-norm keeps the output of a network."""

import pytest
import torch
from torch import nn

from seg.models.batchnorm import fold_batchnorm
from seg.models.factory import ARCHITECTURES, create_model


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
def test_a_folded_network_differs_only_by_rounding(architecture, precision, tolerance):
    torch.manual_seed(0)
    model = create_model(architecture, 5, ARCHITECTURES[architecture].variants).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics and parameters as after a training
            for values in (module.running_mean, module.bias):
                nn.init.uniform_(values, -0.2, 0.2)
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 2)
        if isinstance(module, nn.Conv2d) and module.out_channels == 5:
            nn.init.normal_(module.weight, std=0.02)
    image = torch.rand(1, 3, 50, 70)
    with torch.inference_mode():
        before = model(image)
        fold_batchnorm(model, precision)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            after = model(image)
    for variant, logits in before.items():
        assert (after[variant] - logits).abs().max() <= tolerance * logits.abs().max() and logits.std() > 0
