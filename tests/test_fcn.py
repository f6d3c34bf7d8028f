"""The network: its three taps, its upsampling, and what each learns from."""

import pytest
import torch

from seg.fcn import FCN, VARIANTS, Upsample, bilinear_kernel

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
    return {s: torch.rand(2, c, height // s, width // s, generator=dice) for s, c in ((8, 512), (16, 1024), (32, 2048))}


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_a_constant_is_brought_up_to_that_constant_border_included(factor):
    constant = torch.tensor([3.0, -1.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 3)
    brought = Upsample(3, factor)(constant)
    assert brought.shape == (1, 3, 2 * factor, 3 * factor)
    torch.testing.assert_close(brought, constant[..., :1, :1].expand_as(brought))


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_upsampling_begins_as_bilinear_interpolation(factor):
    scores = torch.rand(2, 3, 4, 5)
    wanted = torch.nn.functional.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Upsample(3, factor)(scores), wanted)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_some_rows_are_those_of_all_of_them(factor):
    upsample = Upsample(3, factor)
    torch.nn.init.normal_(upsample.weight)
    for height in (1, 2, 5):
        scores = torch.randn(2, 3, height, 4)
        whole = upsample(scores)
        for top in range(0, factor * height, max(1, factor // 3)):
            for bottom in {top + 1, min(top + factor + 3, factor * height), factor * height}:
                torch.testing.assert_close(upsample.rows(scores, top, bottom), whole[:, :, top:bottom])


def test_upsampling_is_fp32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert Upsample(3, 8)(torch.rand(1, 3, 2, 2).bfloat16()).dtype == torch.float32


def test_the_kernel_of_factor_2_is_that_of_the_paper():
    assert bilinear_kernel(2)[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]


def test_with_the_skips_zeroed_the_finer_variants_are_the_coarse_one_brought_up(family):
    given = features()
    silenced = FCN(K).eval()
    silenced.load_state_dict(family.state_dict())
    for score in (silenced.score16, silenced.score8):
        torch.nn.init.zeros_(score.weight)
        torch.nn.init.zeros_(score.bias)
    with torch.no_grad():
        logits = silenced.decode(given)
        coarse = silenced.score32(given[32])
        torch.testing.assert_close(logits["16s"], silenced.upscore16(silenced.upscore2(coarse)))
        torch.testing.assert_close(logits["8s"], silenced.upscore8(silenced.upscore4(silenced.upscore2(coarse))))
        assert not torch.allclose(logits["8s"], family.decode(given)["8s"])


LEARNS = {
    "32s": {"score32", "upscore32"},
    "16s": {"score32", "score16", "upscore2", "upscore16"},
    "8s": {"score32", "score16", "score8", "upscore2", "upscore4", "upscore8"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_of_a_variant_reaches_what_it_is_made_of_and_nothing_else(family, variant):
    family.zero_grad()
    family(image())[variant].square().mean().backward()
    reached = {n.split(".")[0] for n, p in family.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
    assert reached == LEARNS[variant] | {"encoder"}


def test_one_tap_and_three_taps_with_the_same_parameters_agree(family):
    with torch.no_grad():
        together = family(image())
        for variant in VARIANTS:
            alone = FCN(K, [variant]).eval()
            alone.load_state_dict({k: v for k, v in family.state_dict().items() if k in alone.state_dict()}, strict=True)
            torch.testing.assert_close(alone(image())[variant], together[variant])
            torch.testing.assert_close(family(image(), [variant])[variant], together[variant])


def test_any_size_goes_in_and_comes_out(family):
    with torch.no_grad():
        for height, width in ((1, 1), (31, 65), (32, 32), (50, 33)):
            logits = family(image(height, width))
            assert {v: tuple(s.shape) for v, s in logits.items()} == {v: (2, K, height, width) for v in VARIANTS}


def test_unknown_and_missing_variants_are_refused(family):
    with pytest.raises(ValueError, match="variants must be some of 32s, 16s, 8s"):
        FCN(K, ["4s"])
    with pytest.raises(ValueError, match="FCN-8s is not in these weights; they have FCN-32s"):
        FCN(K, ["32s"])(image(), ["8s"])
