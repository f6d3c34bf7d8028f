"""Saved evaluations and the results read from them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from seg import jobs
from seg.cli.main import main
from seg.data import cityscapes
from seg.data.datasets import load_split
from seg.evaluation import evaluate, store
from seg.evaluation.photo_counts import COUNTS_FILE, counts_key
from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from seg.system.status_file import write_status


@pytest.fixture(scope="module")
def evaluation(registry, pairs, tmp_path_factory):
    """An evaluation of the random weights, and its folder."""
    folder = tmp_path_factory.mktemp("scores")
    tallies = evaluate.accumulate(
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry),
        load_split(pairs, "val"),
        ("32s", "8s"),
        range(3),
    )
    report = {
        "version": evaluate.EVALUATION_VERSION,
        "images": 3,
        "variants": {variant: evaluate.report(tally) for variant, tally in tallies.items()},
    }
    store.save(folder, report, tallies)
    return folder, tallies


def test_a_saved_evaluation_is_loaded_unchanged(evaluation):
    folder, tallies = evaluation
    stored = store.load(folder)
    assert stored.variants == ("32s", "8s")
    for variant, tally in tallies.items():
        assert np.array_equal(stored.of(variant), np.stack(tally.confusions))
        report = stored.report["variants"][variant]
        assert stored.of(variant).sum(0).tolist() == report["confusion"]
        pixels = sum(entry["pixels"] for entry in report["calibration"])
        assert pixels == stored.of(variant).sum() and 0 <= report["calibration_error"] <= 1
        correct_pixels = sum(entry["pixels"] * entry["accuracy"] for entry in report["calibration"])
        assert correct_pixels / pixels == pytest.approx(report["pixel_accuracy"])


def test_a_damaged_evaluation_is_not_loaded(evaluation, tmp_path):
    assert store.load(tmp_path) is None
    folder, _ = evaluation
    counts = (folder / COUNTS_FILE).read_bytes()
    report = (folder / "report.json").read_text()
    (tmp_path / "report.json").write_text(report)
    (tmp_path / COUNTS_FILE).write_bytes(counts)
    assert store.load(tmp_path)
    middle = len(counts) // 2
    for damaged in (counts[:-9], counts[:middle] + bytes([counts[middle] ^ 1]) + counts[middle + 1 :]):
        (tmp_path / COUNTS_FILE).write_bytes(damaged)
        assert store.load(tmp_path) is None
    np.savez(tmp_path / COUNTS_FILE, **{"32s": np.zeros((3, 2, 2))})
    assert store.load(tmp_path) is None
    (tmp_path / COUNTS_FILE).write_bytes(counts)
    former = json.loads(report) | {"version": evaluate.EVALUATION_VERSION - 1}
    (tmp_path / "report.json").write_text(json.dumps(former))
    assert store.load(tmp_path) is None


def test_photo_rankings_by_hand():
    counts = np.zeros((3, 2, 2), int)
    counts[0] = [[90, 10], [0, 100]]
    counts[1] = [[100, 0], [70, 30]]
    counts[2] = [[100, 0], [10, 0]]  # too few pixels of class 1 for a ranking
    assert [photo for photo, _ in store.rank_worst(counts)] == [1, 2, 0]
    assert store.rank_worst(counts)[0][1] == pytest.approx((100 / 170 + 30 / 100) / 2)
    assert store.rank_worst(counts, 1) == [(1, pytest.approx(0.3)), (0, pytest.approx(100 / 110))]
    assert store.images_in_cell(counts, 1, 0) == [(1, 70), (2, 10)] and store.images_in_cell(
        counts, 0, 1
    ) == [(0, 10)]


def test_differences_cover_only_shared_metrics():
    card = {"8s": dict.fromkeys(store.KEYS, 0.5)}
    report = {"8s": {"mean_iou": 0.6, "pixel_accuracy": None}, "32s": {"mean_iou": 0.1}}
    assert store.differences(card, report, ("32s", "8s")) == [("8s", "mean_iou", 0.5, 0.6)]


def test_a_dead_process_is_distinguished_from_a_running_one(tmp_path):
    assert store.progress(tmp_path) == {}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        write_status(tmp_path, store.NOTE, {"status": "running", "done": 1}, process.pid)
        assert store.progress(tmp_path)["status"] == "running"
        store.stop(tmp_path)
        assert process.wait() == -15
    assert store.progress(tmp_path)["message"] == "It was stopped."
    write_status(tmp_path, store.NOTE, {"status": "running"}, process.pid)
    assert "gone" in store.progress(tmp_path)["message"]


def test_the_command_line_saves_its_counts(registry, pairs, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", DEFAULT_WEIGHTS, "--data", str(pairs), "--keep", "--limit", "1"])
    assert ended.value.code == 1
    main(["evaluate", DEFAULT_WEIGHTS, "--data", str(pairs), "--keep"])
    folder = store.store_dir(read_card(DEFAULT_WEIGHTS).sha256, load_split(pairs, "val").digest)
    stored = store.load(folder)
    classes = len(cityscapes.CLASSES)
    assert stored.report["images"] == 3
    keys = {counts_key(v, labels) for v in ("32s", "16s", "8s") for labels in (None, *evaluate.LABEL_SETS)}
    assert {key: counts.shape for key, counts in stored.counts.items()} == dict.fromkeys(
        keys, (3, classes, classes)
    )
    assert store.progress(folder)["status"] == "finished" and store.progress(folder)["pid"] == os.getpid()


def test_the_app_starts_an_evaluation_process(registry, pairs, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(
        jobs,
        "spawn_detached",
        lambda output, *arguments: started.append(arguments) or type("P", (), {"pid": 1}),
    )
    jobs.evaluate("mine", pairs, tmp_path / "new", 3)
    assert started == [("evaluate", "mine", "--data", str(pairs), "--keep")]
    assert json.loads((tmp_path / "new" / "scoring.json").read_text())["total"] == 3
