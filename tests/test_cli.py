"""python -m seg, as a person calls it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg import checkpoint, cli, dataset, evaluate, labels, masks, resolution, runs, scenes, table, weights
from seg.dataset import load
from seg.predict import Predictor
from seg.recipe import TrainConfig
from seg.weights import DEFAULT

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def use_registry(registry, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", registry)
    for function in (weights.names, weights.read_card, weights.verify, weights.load, Predictor.of.__func__, table.cards):
        monkeypatch.setattr(function, "__defaults__", (*(function.__defaults__ or ())[:-1], registry))


def run(*words) -> int:
    """The exit code of a command."""
    try:
        cli.main([str(w) for w in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def photos(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    scene = Image.fromarray(scenes.render(3, 160, 96).photo)
    scene.save(folder / "one.png")
    exif = Image.Exif()
    exif[274] = 6
    scene.save(folder / "deep" / "turned.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes((folder / "deep" / "turned.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_predict_writes_masks_and_facts_and_reports_what_it_cannot_read(tmp_path, registry, capsys):
    out = tmp_path / "out"
    assert run("predict", photos(tmp_path / "in"), "--out", out) == 1
    said = " ".join(" ".join(capsys.readouterr()).split())
    assert "skipped" in said and "broken.jpg" in said and "notes.txt" in said and "2 of 4 photos are done" in said
    assert "Traceback" not in said
    written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    endings = ("32s.png", "16s.png", "8s.png", "json")
    assert written == {f"{stem}.{end}" for stem in ("one", "deep/turned") for end in endings} | {"failed.csv"}
    picture = Image.open(out / "deep" / "turned.8s.png")
    assert (picture.mode, picture.size) == ("P", (96, 160))  # upright
    assert picture.getpalette()[: 19 * 3] == [int(v) for c in labels.PALETTE for v in c]
    mask = masks.read_png((out / "one.8s.png").read_bytes())
    assert (mask == Predictor.of(DEFAULT, "cpu", registry).predict(tmp_path / "in" / "one.png").masks["8s"]).all()
    facts = json.loads((out / "one.json").read_text())
    assert facts["weights_sha256"] == weights.read_card(DEFAULT, registry).sha256
    assert facts["shares"]["8s"] == masks.shares(mask) and set(facts["shares"]) == {"32s", "16s", "8s"}
    assert facts["device"] and facts["seconds"]["encoder"] > 0


def test_predict_of_good_photos_ends_with_zero_and_takes_variants(tmp_path, capsys):
    photos(tmp_path / "in")
    assert run("predict", tmp_path / "in" / "one.png", "--variants", "16s", "--out", tmp_path / "out") == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"one.16s.png", "one.json"}
    made = (tmp_path / "out" / "one.json").stat().st_mtime_ns
    for more, same in (((), True), (("--again",), False)):
        assert run("predict", tmp_path / "in" / "one.png", "--variants", "16s", "--out", tmp_path / "out", *more) == 0
        assert ("1 of them before" in capsys.readouterr().out) == same == ((tmp_path / "out/one.json").stat().st_mtime_ns == made)


def test_variants_may_come_anywhere_and_twice(tmp_path, capsys):
    photo, out = photos(tmp_path / "in") / "one.png", tmp_path / "out"
    assert run("predict", "--variants", "32s", "8s", "8s", photo, "--out", out) == 0
    assert {p.name for p in out.iterdir()} == {"one.32s.png", "one.8s.png", "one.json"}
    assert run("predict", "--out", out, "--variants", "16s", "--", photo) == 0
    assert {p.name for p in out.iterdir()} == {"one.16s.png", "one.json"}  # the others were not asked for any more
    for wrong, sentence in (("4s", "There is no variant 4s"), ("unet", "These weights have no unet")):
        assert run("predict", "--variants", wrong, photo, "--out", out) == 1
        assert sentence in capsys.readouterr().err


def test_a_second_photo_of_one_name_is_a_row_and_goes_on(tmp_path, capsys):
    given, out = photos(tmp_path / "in") / "deep", tmp_path / "out"
    (given / "turned.png").write_bytes((tmp_path / "in" / "one.png").read_bytes())
    for _ in range(2):  # the second time nothing else is left
        assert run("predict", given, "--out", out) == 1
        assert "1 of 2 photos are done" in capsys.readouterr().out
        assert "turned.png,Its masks would have the names of those of" in (out / "failed.csv").read_text()
    (given / "turned.png").unlink()
    assert run("predict", given, "--out", out) == 0 and not (out / "failed.csv").exists()


def test_what_takes_long_tells_in_lines_where_there_is_no_terminal(pairs, capsys):
    assert run("data", "check", pairs, "--split", "train") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("verifying train")]
    assert told[-1] == "verifying train: 14 of 14" and 5 < len(told) <= 10


def test_evaluate_prints_and_writes_the_matrix(pairs, tmp_path, registry, capsys):
    file = tmp_path / "scores.json"
    assert run("evaluate", DEFAULT, "--data", pairs, "--split", "val", "--limit", 2, "--variants", "8s", "--json", file) == 0
    answer = json.loads(file.read_text())
    assert (answer["weights"], answer["split"], answer["images"], list(answer["variants"])) == (DEFAULT, "val", 2, ["8s"])
    found = evaluate.confusions(Predictor.of(DEFAULT, "cpu", registry), load(pairs, "val"), ["8s"], range(2))["8s"]
    row = answer["variants"]["8s"]
    assert row["confusion"] == found.tolist()
    assert (answer["working_height"], answer["truth"]) == (96, "decoded")
    assert answer["digest"] == load(pairs, "val").digest and answer["sha256"] == weights.read_card(DEFAULT, registry).sha256
    assert {"pixel_accuracy", "mean_accuracy", "mean_iou", "iou"} <= set(row)
    assert set(row["iou"]) == set(labels.NAMES)
    assert np.trace(found) / found.sum() == pytest.approx(row["pixel_accuracy"])
    assert f"{row['mean_iou']:.4f}" in capsys.readouterr().out


def test_evaluate_against_nearest_colours_scores_more_pixels(pairs, tmp_path):
    for truth in ("decoded", "nearest"):
        assert run("evaluate", DEFAULT, "--data", pairs, "--limit", 1, "--truth", truth, "--json", tmp_path / truth) == 0
    decoded, nearest = (json.loads((tmp_path / t).read_text())["variants"]["8s"]["confusion"] for t in ("decoded", "nearest"))
    assert np.sum(nearest) > np.sum(decoded)


def test_the_best_quality_is_scored_and_written(pairs, tmp_path):
    for name, more in (("plain", ()), ("best", ("--best",))):
        command = ("evaluate", DEFAULT, "--data", pairs, "--limit", 1, "--variants", "8s", "--json", tmp_path / name)
        assert run(*command, *more) == 0
    plain, best = (json.loads((tmp_path / name).read_text()) for name in ("plain", "best"))
    assert (plain["best_quality"], best["best_quality"]) == (False, True)
    assert plain["variants"]["8s"]["confusion"] != best["variants"]["8s"]["confusion"]
    row = best["variants"]["8s"]
    assert row["intervals"]["mean_iou"][0] <= row["mean_iou"] <= row["intervals"]["mean_iou"][1]
    assert sum(size["segments"] for size in row["by_size"]) > 0 and 0 <= row["boundary_iou"] <= 1
    photos(tmp_path / "in")
    assert run("predict", tmp_path / "in" / "one.png", "--best", "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "one.json").read_text())["best_quality"]


def test_the_table_prints_ceilings_and_every_card(pairs, tmp_path, registry, capsys, monkeypatch):
    shutil.copytree(registry / DEFAULT, tmp_path / "cards" / DEFAULT)
    found = evaluate.tally(Predictor.of(DEFAULT, "cpu", registry), load(pairs, "val"), ["8s"], range(1))
    told = {"variants": {"8s": evaluate.report(found["8s"])}, "digest": "of other pairs", "split": "val", "images": 1}
    card = dataclasses.replace(weights.read_card(DEFAULT, registry), metrics=told, photos=1234)
    (tmp_path / "cards" / DEFAULT / weights.CARD).write_bytes(weights.to_json(card))
    drawn, written = tmp_path / "new" / "t.html", tmp_path / "newer" / "t.json"
    controls = ("--controls", tmp_path / "cards")
    assert run("table", "--data", pairs, *controls, "--out", drawn, "--json", written) == 0
    said = capsys.readouterr().out
    answer = json.loads(written.read_text())
    assert f"{told['variants']['8s']['mean_iou']:.4f}" in said and "1234" in said and drawn.exists()
    assert f"no ceiling stands beside: {DEFAULT}" in " ".join(said.split())
    assert [row["variant"] for row in answer["rows"]] == ["8s"] and len(answer["ceilings"]) == 15  # the card's own height too
    assert run("table", "--data", pairs, "--controls", tmp_path / "nowhere") == 1


def test_the_resolution_study_prints_both_rules(pairs, capsys, monkeypatch):
    for name, value in {"HEIGHTS": (32,), "WIDTHS": (1280,), "SHAPES": {"4:3": 4 / 3}, "SCENE_WIDTH": 128}.items():
        monkeypatch.setattr(resolution, name, value)
    assert run("resolution", DEFAULT, "--data", pairs, "--count", 1) == 0
    said = capsys.readouterr().out
    assert "rule: cover" in said and "rendered" in said and "144" in said
    assert run("resolution", DEFAULT, "--data", pairs, "--count", 0) == 1


def test_weights_are_listed_shown_and_verified(registry, capsys):
    assert run("weights", "list") == 0 and DEFAULT in capsys.readouterr().out
    assert run("weights", "show", DEFAULT) == 0
    assert json.loads(capsys.readouterr().out)["name"] == DEFAULT
    assert run("weights", "show", "--full", DEFAULT) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(weights.to_json(weights.read_card(DEFAULT, registry)))
    for words in ((), (DEFAULT,)):
        assert run("weights", "verify", *words) == 0
        assert weights.read_card(DEFAULT, registry).sha256 in capsys.readouterr().out


NIGHT = ("--sky", "night", "--people", 0)


def test_data_is_rendered_and_checked(pairs, tmp_path, capsys):
    assert run("data", "render", "--to", tmp_path / "new", "--train", 1, "--val", 1, "--seed", 9) == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"train", "val", "exact"}
    night = scenes.render(scenes._scene_seed(9, "val", 1), wishes=scenes.Wishes(sky="night", people=0))
    assert run("data", "render", "--to", tmp_path / "night", "--train", 1, "--val", 1, "--seed", 9, *NIGHT) == 0
    assert (dataset.exact(tmp_path / "night" / "val" / "1.jpg") == night.label).all()
    assert run("data", "check", pairs, "--split", "val") == 0
    said = capsys.readouterr().out
    assert "val: 3 pairs" in said and "train: " not in said
    assert run("data", "check", pairs) == 0
    said = capsys.readouterr().out
    assert "train: 14 pairs" in said and "val: 3 pairs" in said and "traffic light" in said and "%" in said


def test_every_damaged_pair_is_named(pairs, tmp_path, capsys):
    (tmp_path / "train").mkdir()
    whole = (pairs / "val" / "1.jpg").read_bytes()
    for name, content in (("1", whole), ("2", whole[:4000]), ("3", b"")):
        (tmp_path / "train" / f"{name}.jpg").write_bytes(content)
    assert run("data", "check", tmp_path) == 1
    said = " ".join(" ".join(capsys.readouterr()).split())
    assert "2.jpg cannot be read" in said and "3.jpg cannot be read" in said and "2 of the pairs" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predict", "nowhere.jpg", "--out", "x"), "There is no file or folder nowhere.jpg"),
        (("evaluate", "unknown", "--data", "nowhere"), 'There are no weights named "unknown"'),
        (("evaluate", DEFAULT, "--data", "nowhere"), "There is no folder nowhere"),
        (("publish", "nowhere", "--name", "x"), "nowhere is no run"),
        (("train", "--resume", "nowhere"), "nowhere is no run"),
        (("train", "--resume", "nowhere", "--epochs", "3"), "--resume goes alone"),
        (("train", "--data", "nowhere", "--encoder-weights", "none"), "There is no folder nowhere"),
        (("train", "--encoder-weights", "missing.safetensors"), "There is no file missing.safetensors"),
        (("train", "--epochs", "0"), "--epochs must be at least 1"),
        (("data", "check", "nowhere"), "There is no folder nowhere"),
        (("weights", "show", "../x"), "is no name of weights"),
        (("bench", "--plot", "g.png"), "--plot writes a page: its name ends in .html, and g.png does not"),
        (("growth", "--plot", "g"), "its name ends in .html"),
        (("table", "--out", "t.pdf"), "its name ends in .html"),
        (("predict", "/dev/null", "--out", "/dev/null/x"), "/dev/null/x cannot be read or written (Not a directory)"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


COMMANDS = ("", "data fetch", "data check", "data render", "train", "evaluate", "publish", "predict")
COMMANDS += ("weights list", "weights show", "weights verify", "table", "resolution")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_complete(command, capsys):
    assert run(*command.split(), "--help") == 0
    said = capsys.readouterr().out
    assert "usage: python -m seg" in said
    if command == "train":
        assert all(
            f"--{name}" in said for name in ("resume", "variants", "encoder-weights", "epochs", "batch-size", "out", "mix")
        )


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "seg", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "evaluate" in done.stdout and not done.stderr


def test_the_cost_of_a_training_is_measured_and_nothing_kept(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("seg.cost.SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    options = f"--data {pairs} --epochs 3 --batch-size 4 --height 32 --holdout 2 --device cpu"
    assert run("cost", *options.split(), "--json", tmp_path / "out" / "cost.json") == 0
    assert "the loop adds" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert found["steps"] == 9 and found["device"] == "cpu" and found["precision"] in ("bf16", "fp32")
    assert found["seconds_per_step"] / found["bare_seconds"] - 1 == pytest.approx(found["overhead"])
    assert found["seconds"] > 9 * found["seconds_per_step"] and found["memory_bytes"] > 1e8
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert run("cost", *options.replace("--holdout 2", "--holdout 13").split()) == 1


def test_a_name_is_no_order_to_the_terminal(tmp_path, registry, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x\x1b]0;owned\x07\x1b[31m\n[bold]5 of 5 photos are done.jpg").write_bytes(b"no photo")
    assert run("predict", folder, "--out", tmp_path / "out") == 1
    told = "".join(capsys.readouterr())
    assert "owned" in told and not set(told) & {"\x1b", "\x07"}
    assert not any(line.startswith("[bold]5 of 5") for line in told.splitlines())


def test_runs_are_listed(pairs, tmp_path, capsys):
    assert run("runs", tmp_path / "none") == 1 and "There are no runs in" in capsys.readouterr().err
    checkpoint.Run(tmp_path / "one").create(TrainConfig(data=pairs, out=tmp_path / "one").to_json())
    assert run("runs", tmp_path) == 0
    told = capsys.readouterr().out
    assert "one" in told and runs.see(tmp_path / "one").state in told


@pytest.mark.parametrize("command", ["list", "verify"])
def test_weights_that_are_damaged_are_told_beside_the_others(command, registry, tmp_path):
    for name in (DEFAULT, "spoilt"):
        shutil.copytree(registry / DEFAULT, tmp_path / name)
    words = [sys.executable, "-m", "seg", "weights", command]
    told = subprocess.run(words, cwd=ROOT, env=os.environ | {"SEG_WEIGHTS": str(tmp_path)}, capture_output=True, text=True)
    assert told.returncode == 1 and DEFAULT in told.stdout
    assert f"is that of {DEFAULT}" in told.stderr and "Traceback" not in told.stderr
