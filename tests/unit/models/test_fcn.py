"""The FCN: its three skips, its upsampling, and the layers that each variant trains."""

import pytest
import torch

from seg.models import fcn
from seg.models.fcn import FCN, VARIANTS, LearnedUpsample, bilinear_kernel

K = 5


@pytest.fixture(scope="module")
def family() -> FCN:
    torch.manual_seed(0)
    model = FCN(K).eval()
    for score in (model.score32, model.score16, model.score8):
        torch.nn.init.normal_(score.weight, std=0.02)
        torch.nn.init.normal_(score.bias)
    return model


def image(height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def features(height: int = 64, width: int = 96) -> dict[int, torch.Tensor]:
    dice = torch.Generator().manual_seed(2)
    return {
        s: torch.rand(2, c, height // s, width // s, generator=dice)
        for s, c in ((8, 512), (16, 1024), (32, 2048))
    }


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_upsampling_keeps_a_constant_up_to_the_border(factor):
    constant = torch.tensor([3.0, -1.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 3)
    upsampled = LearnedUpsample(3, factor)(constant)
    assert upsampled.shape == (1, 3, 2 * factor, 3 * factor)
    torch.testing.assert_close(upsampled, constant[..., :1, :1].expand_as(upsampled))


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_upsampling_begins_as_bilinear_interpolation(factor):
    scores = torch.rand(2, 3, 4, 5)
    expected = torch.nn.functional.interpolate(
        scores, scale_factor=factor, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(LearnedUpsample(3, factor)(scores), expected)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_selected_rows_equal_those_of_the_whole(factor):
    upsample = LearnedUpsample(3, factor)
    torch.nn.init.normal_(upsample.weight)
    for height in (1, 2, 5):
        scores = torch.randn(2, 3, height, 4)
        whole = upsample(scores)
        for top in range(0, factor * height, max(1, factor // 3)):
            for bottom in {top + 1, min(top + factor + 3, factor * height), factor * height}:
                torch.testing.assert_close(
                    upsample.forward_rows(scores, top, bottom), whole[:, :, top:bottom]
                )


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_matrix_products_equal_the_transposed_convolution(factor, monkeypatch):
    upsample, results = LearnedUpsample(3, factor), {}
    torch.nn.init.normal_(upsample.weight, std=0.3)
    scores = torch.randn(2, 3, 4, 5, requires_grad=True)
    for convolves in (False, True):
        monkeypatch.setattr(LearnedUpsample, "_convolves", lambda self, _, answer=convolves: answer)
        whole = upsample(scores)
        rows = upsample.forward_rows(scores, factor - 1, 3 * factor)
        torch.testing.assert_close(rows, whole[:, :, factor - 1 : 3 * factor], atol=1e-6, rtol=0)
        gradients = torch.autograd.grad(whole.square().mean(), (scores, upsample.weight))
        results[convolves] = whole, *gradients
    for multiplied, convolved in zip(results[False], results[True], strict=True):
        torch.testing.assert_close(multiplied, convolved, atol=1e-6, rtol=0)


def test_cpus_and_exported_files_keep_the_transposed_convolution(monkeypatch):
    monkeypatch.setattr(fcn, "upsample_cells", None)
    upsample, scores = LearnedUpsample(3, 8), torch.rand(1, 3, 2, 2)
    upsample(scores), upsample.forward_rows(scores, 0, 5)
    assert not upsample._convolves(scores.to("meta"))  # as on a GPU
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert upsample._convolves(scores.to("meta"))


def test_upsampling_is_fp32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert LearnedUpsample(3, 8)(torch.rand(1, 3, 2, 2).bfloat16()).dtype == torch.float32


def test_the_kernel_of_factor_2_matches_the_paper():
    assert bilinear_kernel(2)[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]


def test_zeroed_skips_give_the_upsampled_coarse_variant(family):
    inputs = features()
    silenced = FCN(K).eval()
    silenced.load_state_dict(family.state_dict())
    for score in (silenced.score16, silenced.score8):
        torch.nn.init.zeros_(score.weight)
        torch.nn.init.zeros_(score.bias)
    with torch.no_grad():
        logits = silenced.decode(inputs)
        coarse = silenced.score32(inputs[32])
        torch.testing.assert_close(logits["16s"], silenced.upscore16(silenced.upscore2(coarse)))
        torch.testing.assert_close(
            logits["8s"], silenced.upscore8(silenced.upscore4(silenced.upscore2(coarse)))
        )
        assert not torch.allclose(logits["8s"], family.decode(inputs)["8s"])


LEARNS = {
    "32s": {"score32", "upscore32"},
    "16s": {"score32", "score16", "upscore2", "upscore16"},
    "8s": {"score32", "score16", "score8", "upscore2", "upscore4", "upscore8"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_of_a_variant_reaches_only_its_layers(family, variant):
    family.zero_grad()
    family(image())[variant].square().mean().backward()
    reached = {
        n.split(".")[0]
        for n, p in family.named_parameters()
        if p.grad is not None and bool(p.grad.abs().sum() > 0)
    }
    assert reached == LEARNS[variant] | {"encoder"}


@pytest.mark.slow
def test_one_and_three_variants_with_equal_parameters_agree(family):
    with torch.no_grad():
        together = family(image())
        for variant in VARIANTS:
            alone = FCN(K, [variant]).eval()
            alone.load_state_dict(
                {k: v for k, v in family.state_dict().items() if k in alone.state_dict()}, strict=True
            )
            torch.testing.assert_close(alone(image())[variant], together[variant])
            torch.testing.assert_close(family(image(), [variant])[variant], together[variant])


def test_any_image_size_is_accepted(family):
    with torch.no_grad():
        for height, width in ((1, 1), (31, 65), (32, 32), (50, 33)):
            logits = family(image(height, width))
            assert {v: tuple(s.shape) for v, s in logits.items()} == {
                v: (2, K, height, width) for v in VARIANTS
            }


def test_unknown_and_missing_variants_are_refused(family):
    with pytest.raises(ValueError, match="variants must be some of 32s, 16s, 8s"):
        FCN(K, ["4s"])
    with pytest.raises(ValueError, match="FCN-8s is not in these weights; they have FCN-32s"):
        FCN(K, ["32s"])(image(), ["8s"])
