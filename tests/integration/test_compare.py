"""The command compare: weights, folders of masks and ONNX files, its report, and what it keeps."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from seg.data.cityscapes import NAMES
from seg.data.datasets import load_split
from seg.data.pairs import cached_content_hash, find_pairs
from seg.evaluation import compared_counts
from seg.evaluation.mask_sources import open_source
from seg.evaluation.metrics import compute_metrics
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.command import run_command
from tests.support.image_sets import write_own_set
from tests.support.onnx_files import write_channel_network


@pytest.fixture(autouse=True)
def place(registry, monkeypatch, tmp_path, pairs):
    """The registry, and a cache folder of each test that has the decoded pairs."""
    load_split(pairs, "val")
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


@pytest.fixture
def masks(tmp_path, pairs):
    """The labels of val as masks, one of them with road only."""
    folder, split = tmp_path / "masks", load_split(pairs, "val")
    folder.mkdir()
    for i, file in enumerate(split.files):
        mask = np.zeros_like(split.label(i)) if i == 1 else split.label(i)
        Image.fromarray(mask).save(folder / f"{file.stem}.png")
    return folder


def compare(pairs, *arguments):
    return run_command("compare", *arguments, "--data", pairs, "--device", "cpu")


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_weights_and_a_folder_of_masks_are_compared(pairs, masks, tmp_path, capsys):
    files = tmp_path / "results.json", tmp_path / "reports" / "report.html"
    first, options = f"{DEFAULT_WEIGHTS}:32s", ("--json", files[0], "--report", files[1])
    assert compare(pairs, first, masks, *options) == 0
    printed, results = capsys.readouterr().out, json.loads(files[0].read_text())
    assert (results["first"]["name"], results["second"]["kind"]) == (first, "folder")
    assert results["first"]["seconds"] > 0 and results["second"]["seconds"] is None
    overall = results["overall"]
    assert overall["difference"] == pytest.approx(overall["first"] - overall["second"])
    assert f"{overall['difference']:+.4f}" in printed and "An interval needs at least 100 photos." in printed
    assert results["won"] + results["lost"] + results["equal"] == 3
    assert {row["group"] for row in results["slices"]} >= {"brightness", "class presence"}
    worst = min(results["photos"], key=lambda photo: photo["difference"])
    page = files[1].read_text()
    assert page.count("<figure>") == 4 * results["lost"] and worst["photo"] in page
    assert not re.search(r'<(img|script|link)\b[^>]* (src|href)="(?!data:)', page)


def test_counts_are_kept_until_the_masks_change(pairs, masks, tmp_path, capsys):
    other = write_channel_network(tmp_path / "onnx", (*NAMES[:18], "zebra"))
    assert compare(pairs, masks, other) == 0
    printed = capsys.readouterr().out
    assert "other does not predict these classes, so their IoU is 0: bicycle." in printed
    assert "counting masks: 3 of 3" not in printed
    split = load_split(pairs, "val")
    records = {record.text: record for record in compared_counts.stored_sources(split.digest)}
    assert records[str(masks)].seconds is None and records[str(other)].seconds > 0
    stored = compared_counts.stored_counts(records[str(masks)], split.digest)
    assert stored.shape == (3, 19, 19) and compute_metrics(stored[0]).pixel_accuracy == 1
    assert compute_metrics(stored[1]).pixel_accuracy < 1

    def fail(*_):
        raise AssertionError("the counts are known")

    source = open_source(str(masks))
    source.mask = fail
    assert np.array_equal(compared_counts.source_counts(source, split, 2), stored[:2])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / f"{split.files[0].stem}.png")
    changed = open_source(str(masks))
    assert compared_counts.known_counts(changed, split.digest, 3) is None
    compared_counts.source_counts(changed, split, 3)
    texts = [record.text for record in compared_counts.stored_sources(split.digest)]
    assert texts.count(str(masks)) == 1


def test_counts_of_weights_equal_those_of_an_evaluation(pairs, registry, capsys):
    split = load_split(pairs, "val")
    source = open_source(DEFAULT_WEIGHTS, "cpu")
    counts = compared_counts.source_counts(source, split, 3)
    assert run_command("evaluate", DEFAULT_WEIGHTS, "--data", pairs, "--device", "cpu", "--keep") == 0
    digest = cached_content_hash(find_pairs(pairs, "val"))
    from_evaluation = compared_counts.known_counts(source, digest, 3)
    assert np.array_equal(from_evaluation, counts)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing", DEFAULT_WEIGHTS), "nothing is neither published weights"),
        ((DEFAULT_WEIGHTS, f"{DEFAULT_WEIGHTS}:4s"), "has no variant 4s; it has 32s, 16s, 8s"),
        ((DEFAULT_WEIGHTS, f"{DEFAULT_WEIGHTS}:8s"), "are the same"),
        ((DEFAULT_WEIGHTS, "gone.onnx"), "There is no file gone.onnx"),
        ((DEFAULT_WEIGHTS, "{masks}", "--limit", 0), "--limit must be at least 1"),
        ((DEFAULT_WEIGHTS, "{masks}", "--regressions", -1), "--regressions must be at least 0"),
        ((DEFAULT_WEIGHTS, "{masks}", "--report", "page.pdf"), "its name ends in .html"),
        (
            (DEFAULT_WEIGHTS, "{masks}", "--split", "train"),
            "11 of the 14 photos have no mask; the first is 4.png",
        ),
    ],
)
def test_unusable_arguments_end_in_a_sentence(arguments, sentence, pairs, masks, capsys):
    arguments = [str(argument).replace("{masks}", str(masks)) for argument in arguments]
    assert compare(pairs, *arguments) == 1
    assert sentence in said(capsys)


def test_unusable_masks_end_in_a_sentence(pairs, masks, capsys):
    stem = load_split(pairs, "val").files[2].stem
    Image.fromarray(np.full((8, 8), 40, np.uint8)).save(masks / f"{stem}.png")
    assert compare(pairs, masks, DEFAULT_WEIGHTS, "--limit", 2, "--regressions", 0) == 0
    capsys.readouterr()
    assert compare(pairs, masks, DEFAULT_WEIGHTS) == 1
    assert f"{stem}.png has the id 40, which is none of the 19 classes" in said(capsys)
    (masks / f"{stem}.png").unlink()
    assert compare(pairs, masks, DEFAULT_WEIGHTS) == 1
    assert f"1 of the 3 photos have no mask; the first is {stem}.png" in said(capsys)


def test_two_folders_are_compared_on_own_classes(tmp_path, capsys):
    data = write_own_set(tmp_path / "own", train=2, val=3)
    split = load_split(data, "val")
    folders = tmp_path / "ids", tmp_path / "colors"
    for folder in folders:
        folder.mkdir()
    for i, file in enumerate(split.files):
        label = split.label(i)
        Image.fromarray(label).save(folders[0] / f"{file.stem}.png")
        Image.fromarray(split.classes.colorize(np.full_like(label, 3))).save(folders[1] / f"{file.stem}.png")
    results, report = tmp_path / "results.json", tmp_path / "report.html"
    options = ("--data", data, "--json", results, "--report", report)
    assert run_command("compare", folders[1], folders[0], *options) == 0
    written = json.loads(results.read_text())
    assert list(written["by_class"]) == list(split.classes.names)
    assert written["overall"]["second"] == 1 and written["lost"] == 3
    assert report.read_text().count("<figure>") == 12
