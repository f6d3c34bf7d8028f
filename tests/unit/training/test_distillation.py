"""A network learns the probabilities of a teacher, which does not change."""

import pytest
import torch

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.models.model_card import WeightsError
from seg.models.registry import DEFAULT_WEIGHTS
from seg.training.config import TrainError
from seg.training.distillation import Teacher, describe_teacher, divergence

CPU = torch.device("cpu")


@pytest.fixture
def described(registry, monkeypatch) -> dict:
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    return describe_teacher(DEFAULT_WEIGHTS)


def test_the_divergence_matches_its_definition():
    generator = torch.Generator().manual_seed(0)
    logits, taught = torch.randn(2, 2, 5, 4, 4, generator=generator)
    probability = taught.softmax(1)
    expected = (probability * (probability.log() - logits.log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(divergence(logits, taught.log_softmax(1)), expected)
    assert float(divergence(taught, taught.log_softmax(1))) == pytest.approx(0, abs=1e-6)


def test_variants_learn_from_their_namesakes_or_the_finest(described):
    image = torch.randn(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    teacher = Teacher(described, ("32s", "unet"), CITYSCAPES, CPU)
    known = teacher.log_probabilities(image)
    for variant, of_teacher in (("32s", "32s"), ("unet", "8s")):
        expected = teacher.model(image)[of_teacher].log_softmax(1)
        torch.testing.assert_close(known[variant], expected)
        assert not known[variant].requires_grad
    assert not teacher.model.training and not any(p.requires_grad for p in teacher.model.parameters())


def test_unsuitable_teachers_are_refused(described):
    with pytest.raises(WeightsError, match="no weights named"):
        describe_teacher("nobody")
    assert describe_teacher("") is None
    with pytest.raises(TrainError, match="have changed since this run started"):
        Teacher(described | {"sha256": "0"}, ("8s",), CITYSCAPES, CPU)
    with pytest.raises(TrainError, match="has other classes than the data"):
        Teacher(described, ("8s",), ClassSet(CITYSCAPES.classes[:3]), CPU)
