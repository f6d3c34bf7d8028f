"""A network ready for inference answers as before."""

import pytest
import torch
from torch import nn

from seg.fold import fold
from seg.networks import ARCHITECTURES, build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
def test_a_folded_network_answers_the_same_but_for_rounding(architecture, precision, tolerance):
    torch.manual_seed(0)
    model = build(architecture, 5, ARCHITECTURES[architecture].variants).eval()
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
        fold(model, precision)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            after = model(image)
    for variant, logits in before.items():
        assert (after[variant] - logits).abs().max() <= tolerance * logits.abs().max() and logits.std() > 0
