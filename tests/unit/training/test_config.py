"""Settings that do not fit together are refused with the option that must change."""

import pytest

from seg.models.model_card import WeightsError
from seg.training import lifecycle
from seg.training.config import TrainConfig, TrainError
from seg.training.distributed import DistributedContext


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"soft_targets": True, "loss": "dice"}, "--soft-targets needs --loss cross-entropy, not dice"),
        ({"soft_targets": True, "best_guesses": True}, "exclude each other"),
        ({"class_mix": 0.5, "batch_size": 3}, "choose an even --batch-size, not 3"),
        ({"amplitude_mix": 0.5, "batch_size": 1}, "choose an even --batch-size, not 1"),
        ({"rare_classes": 1.5}, "--rare-classes must be at most 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(TrainError, match=message):
        TrainConfig(**settings)


def test_an_unknown_teacher_is_refused_at_the_start(pairs, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    config = TrainConfig(
        data=pairs, out=tmp_path / "run", encoder_weights="none", holdout=2, teacher="nobody", device="cpu"
    )
    with pytest.raises(WeightsError, match="no weights named"):
        lifecycle.create(config, "")
    assert not config.out.exists()


def test_pairs_of_crops_stay_in_one_process():
    config = TrainConfig(class_mix=0.5, batch_size=6, freeze_batchnorm=True, device="cpu")
    lifecycle._check_processes(config, DistributedContext(0, 3))
    with pytest.raises(TrainError, match="an even number of crops in each of the 2 processes"):
        lifecycle._check_processes(config, DistributedContext(0, 2))
