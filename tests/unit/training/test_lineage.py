"""An existing training with the same recipe is found; differences that do not matter are ignored."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS
from seg.publishing import publish
from seg.training import lifecycle, lineage
from seg.training.config import TrainConfig, TrainError
from seg.training.lineage import ExistingTraining

pytestmark = pytest.mark.slow

CHANGES = (
    {"seed": 1},
    {"variants": ("8s",)},
    {"lr": 1e-3},
    {"holdout": 3},
    {"extra_data": ("{pairs}:0.5",)},
    {"teacher": DEFAULT_WEIGHTS},
    {"soft_targets": True},
)
"""Each of these changes the recipe."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def config(pairs, folder) -> TrainConfig:
    """The configuration of a finished run."""
    run_config = TrainConfig(
        data=pairs, out=folder / "one", encoder_weights="none", epochs=1, batch_size=4, height=32, holdout=2
    )
    lifecycle.train(run_config)
    return run_config


def test_a_finished_run_and_its_weights_are_found(config, pairs, folder, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(pairs, moved)
    same = replace(config, out=folder / "two", checkpoint_every=7, data=moved)
    assert lineage.find_equivalent(same, folder, tmp_path / "registry") == (
        ExistingTraining("finished", str(folder / "one")),
    )
    publish.publish(folder / "one", "mine", 32, registry=tmp_path / "registry")
    assert lineage.find_equivalent(same, folder, tmp_path / "registry") == (
        *(ExistingTraining("weights", "mine"), ExistingTraining("finished", str(folder / "one"))),
    )
    assert lineage.find_equivalent(same, tmp_path / "none", tmp_path / "none") == ()


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_with_another_recipe_is_not_found(config, pairs, folder, change):
    change = {
        k: tuple(text.format(pairs=pairs) for text in v) if k == "extra_data" else v
        for k, v in change.items()
    }
    assert lineage.find_equivalent(replace(config, **change), folder, folder / "none") == ()


def test_changed_pairs_code_or_start_change_the_recipe(config, pairs, folder, tmp_path, monkeypatch):
    changed_pairs = tmp_path / "pairs"
    shutil.copytree(pairs, changed_pairs)
    shutil.copy(changed_pairs / "train" / "1.jpg", changed_pairs / "train" / "2.jpg")
    assert lineage.find_equivalent(replace(config, data=changed_pairs), folder, tmp_path) == ()
    assert lineage.find_equivalent(replace(config, encoder_weights="imagenet"), folder, tmp_path) == ()
    assert (
        lineage.find_equivalent(
            replace(config, encoder_weights="imagenet", init_from=str(folder / "one")), folder, tmp_path
        )
        == ()
    )
    monkeypatch.setattr(lineage, "TRAINER_VERSION", lineage.TRAINER_VERSION + 1)
    assert lineage.find_equivalent(config, folder, tmp_path) == ()


def test_an_unfinished_run_is_offered_for_resuming(config, folder, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(folder / "one", half)
    (half / "model.safetensors").unlink()
    assert lineage.find_equivalent(config, tmp_path, tmp_path / "none") == (
        ExistingTraining("unfinished", str(half)),
    )


def test_the_licence_follows_the_training_data(pairs, tmp_path):
    assert lineage.licence([str(pairs)], None) == lineage.MIT
    assert lineage.licence([str(tmp_path)], None) == lineage.CITYSCAPES
    assert lineage.licence([str(pairs)], {"licence": lineage.CITYSCAPES}) == lineage.CITYSCAPES
    assert lineage.licence([str(pairs)], None, {"licence": lineage.CITYSCAPES}) == lineage.CITYSCAPES


def test_damaged_neighboring_runs_are_skipped(config, folder, tmp_path, registry):
    shutil.copytree(folder / "one", tmp_path / "runs" / "odd")
    (tmp_path / "runs" / "odd" / "checkpoints" / "step-00000003" / "state.json").write_text("{")
    shutil.copytree(registry, tmp_path / "weights")
    (tmp_path / "weights" / DEFAULT_WEIGHTS / CARD_FILE).write_text("{")
    assert lineage.find_equivalent(config, tmp_path / "runs", tmp_path / "weights") == ()
    with pytest.raises(TrainError, match="is not finished"):
        (tmp_path / "runs" / "odd" / "model.safetensors").unlink()
        lineage.find_equivalent(
            replace(config, encoder_weights="imagenet", init_from=str(tmp_path / "runs" / "odd")),
            folder,
            tmp_path,
        )
