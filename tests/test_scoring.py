"""What an evaluation leaves behind, and what is read off it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from seg import evaluate, labels, launch, scoring, weights
from seg.checkpoint import Run
from seg.cli import main
from seg.dataset import load
from seg.predict import Predictor


@pytest.fixture(scope="module")
def kept(registry, pairs, tmp_path_factory):
    """An evaluation of the random weights, and its folder."""
    folder = tmp_path_factory.mktemp("scores")
    tallies = evaluate.tally(Predictor.of(weights.DEFAULT, "cpu", registry), load(pairs, "val"), ("32s", "8s"), range(3))
    report = {"images": 3, "variants": {variant: evaluate.report(tally) for variant, tally in tallies.items()}}
    scoring.keep(folder, report, tallies)
    return folder, tallies


def test_what_is_kept_is_found_again(kept):
    folder, tallies = kept
    found = scoring.find(folder)
    assert found.variants == ("32s", "8s")
    for variant, tally in tallies.items():
        assert np.array_equal(found.of(variant), np.stack(tally.confusions))
        report = found.report["variants"][variant]
        assert found.of(variant).sum(0).tolist() == report["confusion"]
        known = sum(one["pixels"] for one in report["calibration"])
        assert known == found.of(variant).sum() and 0 <= report["calibration_error"] <= 1
        right = sum(one["pixels"] * one["accuracy"] for one in report["calibration"])
        assert right / known == pytest.approx(report["pixel_accuracy"])


def test_a_damaged_evaluation_is_none(kept, tmp_path):
    assert scoring.find(tmp_path) is None
    folder, _ = kept
    for name in ("report.json", "counts.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert scoring.find(tmp_path)
    (tmp_path / "counts.npy").write_bytes((folder / "counts.npy").read_bytes()[:-9])
    assert scoring.find(tmp_path) is None
    np.save(tmp_path / "counts.npy", np.zeros((1, 3, 2, 2)))
    assert scoring.find(tmp_path) is None


def test_the_worst_photos_and_those_behind_a_cell_by_hand():
    counts = np.zeros((3, 2, 2), int)
    counts[0] = [[90, 10], [0, 100]]
    counts[1] = [[100, 0], [70, 30]]
    counts[2] = [[100, 0], [10, 0]]  # too little of class 1 to be ranked by it
    assert [photo for photo, _ in scoring.worst(counts)] == [1, 2, 0]
    assert scoring.worst(counts)[0][1] == pytest.approx((100 / 170 + 30 / 100) / 2)
    assert scoring.worst(counts, 1) == [(1, pytest.approx(0.3)), (0, pytest.approx(100 / 110))]
    assert scoring.behind(counts, 1, 0) == [(1, 70), (2, 10)] and scoring.behind(counts, 0, 1) == [(0, 10)]


def test_differences_name_what_both_have():
    card = {"8s": dict.fromkeys(scoring.KEYS, 0.5)}
    here = {"8s": {"mean_iou": 0.6, "pixel_accuracy": None}, "32s": {"mean_iou": 0.1}}
    assert scoring.differences(card, here, ("32s", "8s")) == [("8s", "mean_iou", 0.5, 0.6)]


def test_a_process_that_is_gone_is_told_from_one_at_work(tmp_path):
    assert scoring.progress(tmp_path) == {}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        Run(tmp_path).note(scoring.NOTE, {"status": "running", "done": 1}, other.pid)
        assert scoring.progress(tmp_path)["status"] == "running"
        scoring.stop(tmp_path)
        assert other.wait() == -15
    assert scoring.progress(tmp_path)["message"] == "It was stopped."
    Run(tmp_path).note(scoring.NOTE, {"status": "running"}, other.pid)
    assert "gone" in scoring.progress(tmp_path)["message"]


def test_the_command_line_keeps_what_it_counts(registry, pairs, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", registry)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", weights.DEFAULT, "--data", str(pairs), "--keep", "--limit", "1"])
    assert ended.value.code == 1
    main(["evaluate", weights.DEFAULT, "--data", str(pairs), "--keep"])
    folder = scoring.place(weights.read_card(weights.DEFAULT).sha256, load(pairs, "val").digest)
    found = scoring.find(folder)
    assert found.report["images"] == 3 and found.counts.shape == (3, 3, len(labels.CLASSES), len(labels.CLASSES))
    assert scoring.progress(folder)["status"] == "finished" and scoring.progress(folder)["pid"] == os.getpid()


def test_the_app_starts_it_as_a_process_of_its_own(registry, pairs, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(launch, "detached", lambda output, *words: started.append(words) or type("P", (), {"pid": 1}))
    launch.score("mine", pairs, tmp_path / "new", 3)
    assert started == [("evaluate", "mine", "--data", str(pairs), "--keep")]
    assert json.loads((tmp_path / "new" / "scoring.json").read_text())["total"] == 3
