"""The training losses exclude ignored pixels and agree with PyTorch."""

import pytest
import torch

from seg.training import losses


def loss(
    logits: torch.Tensor, label: torch.Tensor, kind: str, weight: torch.Tensor | None = None
) -> torch.Tensor:
    return losses.segmentation_loss(logits, label, kind, weight, losses.valid_pixel_weight(label, weight))


@pytest.mark.parametrize("kind", ["cross-entropy", "ohem", "dice"])
def test_a_batch_without_classes_has_zero_gradient(kind):
    logits = torch.randn(1, 19, 4, 4, requires_grad=True)
    loss(logits, torch.full((1, 4, 4), 255), kind).backward()
    assert float(logits.grad.abs().sum()) == 0


@pytest.mark.parametrize("kind", ["cross-entropy", "ohem", "dice"])
def test_losses_exclude_ignored_pixels_and_reward_correct_predictions(kind):
    label = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    label[:, 0] = 255
    correct = torch.nn.functional.one_hot(label.clamp(max=18), 19).permute(0, 3, 1, 2).float() * 9
    changed = correct.clone()
    changed[:, :, 0] = 7.0 * torch.rand(2, 19, 8, generator=torch.Generator().manual_seed(1))
    assert loss(correct, label, kind) < 0.1
    torch.testing.assert_close(loss(correct, label, kind), loss(changed, label, kind))
    assert loss(-correct, label, kind) > 1


def test_the_weighted_loss_matches_pytorch():
    label = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    label[:, 0] = 255
    logits = torch.randn(2, 19, 8, 8, generator=torch.Generator().manual_seed(1))
    for weight in (None, torch.linspace(0.1, 2, 19)):
        expected = torch.nn.functional.cross_entropy(logits, label, weight, ignore_index=255)
        torch.testing.assert_close(loss(logits, label, "cross-entropy", weight), expected)


def test_only_the_probability_selects_hard_pixels():
    """Sixteen pixels of two classes: one of class 0 has a probability of 0.5, the others of 0.99."""
    label = torch.tensor([0] * 8 + [1] * 8).view(1, 4, 4)
    probability = torch.full((16,), 0.99)
    probability[0] = 0.5
    of_class_0 = torch.where(label.flatten() == 0, probability, 1 - probability)
    logits = torch.stack((of_class_0, 1 - of_class_0)).log().view(1, 2, 4, 4)
    # weighted, the losses of class 1 would exceed the threshold, and that of the hard pixel would not
    weight = torch.tensor([0.1, 100.0])
    expected = torch.tensor(0.5).log().neg()  # weighted, and divided by the weight
    torch.testing.assert_close(loss(logits, label, "ohem", weight), expected)
    torch.testing.assert_close(loss(logits, label, "ohem"), expected)


def test_hard_pixels_are_weighted_by_class():
    probability = torch.tensor([0.5, 0.6, 0.99, 0.99])
    label = torch.tensor([0, 1, 0, 1]).view(1, 2, 2)
    of_class_0 = torch.where(label.flatten() == 0, probability, 1 - probability)
    logits = torch.stack((of_class_0, 1 - of_class_0)).log().view(1, 2, 2, 2)
    losses_of_hard = -probability[:2].log()
    expected = (losses_of_hard * torch.tensor([1.0, 3.0])).sum() / 4
    torch.testing.assert_close(loss(logits, label, "ohem", torch.tensor([1.0, 3.0])), expected)


@pytest.mark.parametrize("weight", [None, torch.linspace(0.1, 2, 19)])
def test_soft_targets_match_the_dense_loss_of_pytorch(weight):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(0, 19, (2, 2, 8, 8), generator=generator)
    share = torch.randint(0, 256, (2, 8, 8), generator=generator)
    second[:, :4], share[:, :4] = first[:, :4], 255  # unambiguous
    target = torch.zeros(2, 19, 8, 8)
    target.scatter_add_(1, first[:, None], share[:, None] / 255)
    target.scatter_add_(1, second[:, None], 1 - share[:, None] / 255)
    first[:, 0] = second[:, 0] = 255  # unlabelled
    target[:, :, 0] = 0
    second[:, 5], target[:, :, 5] = 255, 0  # the second class is void
    target[:, :, 5].scatter_add_(1, first[:, None, 5], share[:, None, 5] / 255)
    soft = losses.SoftTarget.of(torch.stack((first, second, share), 1), weight)
    total = (target * (1 if weight is None else weight.view(-1, 1, 1))).sum()
    torch.testing.assert_close(soft.weights.sum(), total)
    logits = torch.randn(2, 19, 8, 8, generator=generator, requires_grad=True)
    own = losses.soft_cross_entropy(logits, soft, total)
    dense = torch.nn.functional.cross_entropy(logits, target, weight, reduction="sum") / total
    torch.testing.assert_close(own, dense)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (own, dense)]
    torch.testing.assert_close(*gradients)


def test_soft_targets_of_sure_pixels_equal_labels():
    label = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    label[:, 0] = 255
    logits = torch.randn(2, 19, 8, 8, generator=torch.Generator().manual_seed(1))
    weight = torch.linspace(0.1, 2, 19)
    target = losses.SoftTarget.of(torch.stack((label, label, torch.full_like(label, 255)), 1), weight)
    own = losses.soft_cross_entropy(logits, target, target.weights.sum())
    torch.testing.assert_close(own, loss(logits, label, "cross-entropy", weight))
    nothing = losses.SoftTarget.of(torch.full((1, 3, 2, 2), 255), weight)
    assert float(losses.soft_cross_entropy(logits[:1, :, :2, :2], nothing, nothing.weights.sum())) == 0
