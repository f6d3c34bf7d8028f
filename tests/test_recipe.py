"""A recipe that is trained already is recognised by what counts, and by nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seg import publish, recipe, train, weights
from seg.recipe import TrainConfig, Trained, TrainError

CHANGES = (
    {"seed": 1},
    {"variants": ("8s",)},
    {"lr": 1e-3},
    {"holdout": 3},
    {"mix": ("{pairs}:0.5",)},
)
"""Each makes another recipe."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def config(pairs, folder) -> TrainConfig:
    """That of a finished run."""
    made = TrainConfig(data=pairs, out=folder / "one", encoder_weights="none", epochs=1, batch_size=4, height=32, holdout=2)
    train.train(made)
    return made


def test_a_finished_run_and_its_weights_are_found_wherever_they_lie(config, pairs, folder, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(pairs, moved)
    same = replace(config, out=folder / "two", checkpoint_every=7, data=moved)
    assert recipe.trained(same, folder, tmp_path / "registry") == (Trained("finished", str(folder / "one")),)
    publish.publish(folder / "one", "mine", 32, registry=tmp_path / "registry")
    assert recipe.trained(same, folder, tmp_path / "registry") == (
        *(Trained("weights", "mine"), Trained("finished", str(folder / "one"))),
    )
    assert recipe.trained(same, tmp_path / "none", tmp_path / "none") == ()


@pytest.mark.parametrize("change", CHANGES)
def test_another_recipe_is_not_found(config, pairs, folder, change):
    change = {k: tuple(text.format(pairs=pairs) for text in v) if k == "mix" else v for k, v in change.items()}
    assert recipe.trained(replace(config, **change), folder, folder / "none") == ()


def test_other_pairs_other_code_and_other_starts_are_other_recipes(config, pairs, folder, tmp_path, monkeypatch):
    other = tmp_path / "pairs"
    shutil.copytree(pairs, other)
    shutil.copy(other / "train" / "1.jpg", other / "train" / "2.jpg")
    assert recipe.trained(replace(config, data=other), folder, tmp_path) == ()
    assert recipe.trained(replace(config, encoder_weights="imagenet"), folder, tmp_path) == ()
    assert recipe.trained(replace(config, encoder_weights="imagenet", parent=str(folder / "one")), folder, tmp_path) == ()
    monkeypatch.setattr(recipe, "BEHAVIOR", recipe.BEHAVIOR + 1)
    assert recipe.trained(config, folder, tmp_path) == ()


def test_an_unfinished_run_is_offered_to_go_on_with(config, folder, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(folder / "one", half)
    (half / "model.safetensors").unlink()
    assert recipe.trained(config, tmp_path, tmp_path / "none") == (Trained("unfinished", str(half)),)


def test_what_was_trained_on_something_else_has_the_terms_of_it(pairs, tmp_path):
    assert recipe.licence([str(pairs)], None) == recipe.MIT
    assert recipe.licence([str(tmp_path)], None) == recipe.CITYSCAPES
    assert recipe.licence([str(pairs)], {"licence": recipe.CITYSCAPES}) == recipe.CITYSCAPES


def test_damaged_neighbours_hinder_nothing(config, folder, tmp_path, registry):
    shutil.copytree(folder / "one", tmp_path / "runs" / "odd")
    (tmp_path / "runs" / "odd" / "checkpoints" / "step-00000003" / "state.json").write_text("{")
    shutil.copytree(registry, tmp_path / "weights")
    (tmp_path / "weights" / weights.DEFAULT / weights.CARD).write_text("{")
    assert recipe.trained(config, tmp_path / "runs", tmp_path / "weights") == ()
    with pytest.raises(TrainError, match="is not finished"):
        (tmp_path / "runs" / "odd" / "model.safetensors").unlink()
        recipe.trained(replace(config, encoder_weights="imagenet", parent=str(tmp_path / "runs" / "odd")), folder, tmp_path)
