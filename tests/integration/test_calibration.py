"""The command weights calibrate: temperatures, and scores of photos unlike the training photos."""

import dataclasses
import shutil

import pytest

from seg.data.datasets import load_split
from seg.data.pairs import find_pairs
from seg.evaluation.out_of_distribution import SCORES
from seg.models.model_card import to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card
from tests.support.command import run_command


@pytest.fixture
def trained(registry, pairs, tmp_path, monkeypatch):
    """The registry with a card that names the pairs as training data."""
    shutil.copytree(registry, tmp_path / "weights")
    card = dataclasses.replace(
        read_card(DEFAULT_WEIGHTS, registry),
        config={"holdout": 3},
        data={"pairs": load_split(pairs, "train").digest},
    )
    (tmp_path / "weights" / DEFAULT_WEIGHTS / CARD_FILE).write_bytes(to_json(card))
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path / "weights"))


@pytest.mark.slow
def test_calibrate_prints_temperatures_and_compares_photos(trained, pairs, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for file in find_pairs(pairs, "val"):
        shutil.copy(file, tmp_path / "photos")
    before = read_card(DEFAULT_WEIGHTS)
    options = ("--device", "cpu", "--unlike", tmp_path / "photos", "--scenes", 2)
    assert run_command("weights", "calibrate", DEFAULT_WEIGHTS, "--data", pairs, *options) == 0
    printed = capsys.readouterr().out
    names = ("FCN-32s", "FCN-8s", "temperature", "3 held-out samples", "photos (3)", "rendered scenes (2)")
    for text in names:
        assert text in printed
    assert all(score in printed for score in SCORES)
    assert read_card(DEFAULT_WEIGHTS) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--scenes", -1), "--scenes must be at least 0"),
        (("--unlike", "nowhere"), "There is no folder nowhere"),
        ((), "held out no samples"),
    ],
)
def test_unusable_options_end_in_a_message(options, sentence, registry, pairs, monkeypatch, capsys):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    assert run_command("weights", "calibrate", DEFAULT_WEIGHTS, "--data", pairs, *options) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
