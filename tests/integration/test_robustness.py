"""The command robustness: table, files, stored results, and splits."""

import json

import pytest

from seg.data.datasets import load_split
from seg.evaluation import robustness
from seg.evaluation.corruptions import CORRUPTIONS
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.command import run_command


@pytest.fixture(autouse=True)
def use_registry(registry, monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


@pytest.mark.slow
def test_robustness_prints_writes_and_stores_its_results(pairs, tmp_path, registry, capsys):
    files = tmp_path / "results.json", tmp_path / "plots" / "page.html"
    options = ("--limit", 1, "--device", "cpu", "--json", files[0], "--html", files[1])
    assert run_command("robustness", DEFAULT_WEIGHTS, "--data", pairs, *options) == 0
    answer = json.loads(files[0].read_text())
    assert (answer["weights"], answer["split"], answer["images"]) == (DEFAULT_WEIGHTS, "val", 1)
    assert list(answer["variants"]) == ["32s", "16s", "8s"]
    printed, finest = capsys.readouterr().out, answer["variants"]["8s"]
    for corruption in CORRUPTIONS:
        row = next(line for line in printed.splitlines() if corruption in line)
        assert [f"{score:.4f}" in row for score in finest["corrupted"][corruption]] == [True] * 3
    assert f"{finest['clean']:.4f}" in printed and f"{finest['mean']:.4f}" in printed
    assert "FCN-8s" in printed and "FCN-32s" not in printed
    stored = robustness.load(read_card(DEFAULT_WEIGHTS).sha256, load_split(pairs, "val").digest)
    assert stored is not None and stored.model_dump() == answer
    page = files[1].read_text()
    assert "Robustness of " + DEFAULT_WEIGHTS in page and all(name in page for name in CORRUPTIONS)


def test_held_out_pairs_are_only_those_of_the_training(pairs, capsys):
    command = ("robustness", DEFAULT_WEIGHTS, "--data", pairs, "--split", "held-out")
    assert run_command(*command) == 1
    assert "held out no samples" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--limit", 0), "--limit must be at least 1"),
        (("--html", "page.pdf"), "its name ends in .html"),
        (("--variants", "4s"), "There is no variant"),
        (("--data", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_unusable_options_end_in_a_message(options, sentence, capsys):
    assert run_command("robustness", DEFAULT_WEIGHTS, *options) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
