"""The command line ``python -m seg``, called as by a user."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data import cityscapes, scenes
from seg.data.datasets import load_split
from seg.data.pairs import exact_label
from seg.evaluation import evaluate, resolution_study
from seg.inference import mask_io
from seg.inference.predictor import Predictor
from seg.models.model_card import to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card
from seg.training import run_status
from seg.training.config import TrainConfig
from seg.training.run import Run
from seg.training.trainer import Trainer
from tests.support.command import run_command as run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def use_registry(registry, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))


def photos(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    scene = Image.fromarray(scenes.render_scene(3, 160, 96).photo)
    scene.save(folder / "one.png")
    exif = Image.Exif()
    exif[274] = 6
    scene.save(folder / "deep" / "turned.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes((folder / "deep" / "turned.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_predict_writes_masks_and_reports_unreadable_files(tmp_path, registry, capsys):
    out = tmp_path / "out"
    assert run("predict", photos(tmp_path / "in"), "--out", out) == 1
    output = " ".join(" ".join(capsys.readouterr()).split())
    assert (
        "skipped" in output
        and "broken.jpg" in output
        and "no photos: 1 .txt" in output
        and "2 of 3 photos are done" in output
    )
    assert "Traceback" not in output
    file_names = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    endings = ("32s.png", "16s.png", "8s.png", "json")
    assert file_names == {f"{stem}.{end}" for stem in ("one", "deep/turned") for end in endings} | {
        "failed.csv"
    }
    picture = Image.open(out / "deep" / "turned.8s.png")
    assert (picture.mode, picture.size) == ("P", (96, 160))  # upright
    assert picture.getpalette()[: 19 * 3] == [int(v) for c in cityscapes.PALETTE for v in c]
    mask = mask_io.read_png((out / "one.8s.png").read_bytes())
    assert (
        mask
        == Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)
        .predict(tmp_path / "in" / "one.png")
        .masks["8s"]
    ).all()
    facts = json.loads((out / "one.json").read_text())
    assert facts["weights_sha256"] == read_card(DEFAULT_WEIGHTS, registry).sha256
    assert facts["shares"]["8s"] == mask_io.shares(mask) and set(facts["shares"]) == {"32s", "16s", "8s"}
    assert facts["device"] and facts["seconds"]["encoder"] > 0


def test_predict_writes_chosen_variants_and_exits_with_zero(tmp_path, capsys):
    photos(tmp_path / "in")
    assert run("predict", tmp_path / "in" / "one.png", "--variants", "16s", "--out", tmp_path / "out") == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"one.16s.png", "one.json"}
    modified = (tmp_path / "out" / "one.json").stat().st_mtime_ns
    for more, same in (((), True), (("--again",), False)):
        assert (
            run("predict", tmp_path / "in" / "one.png", "--variants", "16s", "--out", tmp_path / "out", *more)
            == 0
        )
        assert (
            ("1 of them before" in capsys.readouterr().out)
            == same
            == ((tmp_path / "out/one.json").stat().st_mtime_ns == modified)
        )


def test_variants_may_appear_anywhere_and_repeatedly(tmp_path, capsys):
    photo, out = photos(tmp_path / "in") / "one.png", tmp_path / "out"
    assert run("predict", "--variants", "32s", "8s", "8s", photo, "--out", out) == 0
    assert {p.name for p in out.iterdir()} == {"one.32s.png", "one.8s.png", "one.json"}
    assert run("predict", "--out", out, "--variants", "16s", "--", photo) == 0
    assert {p.name for p in out.iterdir()} == {
        "one.16s.png",
        "one.json",
    }  # the other variants were not requested again
    for wrong, sentence in (("4s", "There is no variant 4s"), ("unet", "These weights have no unet")):
        assert run("predict", "--variants", wrong, photo, "--out", out) == 1
        assert sentence in capsys.readouterr().err


def test_a_photo_that_cannot_be_read_is_recorded(tmp_path, capsys):
    folder, out = photos(tmp_path / "in"), tmp_path / "out"
    for _ in range(2):  # the second time no other photo remains
        assert run("predict", folder, "--out", out) == 1
        assert "2 of 3 photos are done" in capsys.readouterr().out
        assert 'broken.jpg","This JPEG picture is cut off' in (out / "failed.csv").read_text()
    (folder / "broken.jpg").unlink()
    assert run("predict", folder, "--out", out) == 0 and not (out / "failed.csv").exists()


def test_progress_is_printed_as_lines_without_a_terminal(pairs, capsys):
    assert run("data", "check", pairs, "--split", "train") == 0
    progress_lines = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("verifying train")
    ]
    assert progress_lines[-1] == "verifying train: 14 of 14" and 5 < len(progress_lines) <= 10


def test_evaluate_prints_and_writes_the_matrix(pairs, tmp_path, registry, capsys):
    file = tmp_path / "scores.json"
    assert (
        run(
            "evaluate",
            DEFAULT_WEIGHTS,
            "--data",
            pairs,
            "--split",
            "val",
            "--limit",
            2,
            "--variants",
            "8s",
            "--json",
            file,
        )
        == 0
    )
    answer = json.loads(file.read_text())
    assert (answer["weights"], answer["split"], answer["images"], list(answer["variants"])) == (
        DEFAULT_WEIGHTS,
        "val",
        2,
        ["8s"],
    )
    confusion = evaluate.confusion_matrices(
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry, precision="fp32"),
        load_split(pairs, "val"),
        ["8s"],
        range(2),
    )["8s"]
    row = answer["variants"]["8s"]
    assert row["confusion"] == confusion.tolist()
    assert (answer["working_height"], answer["truth"]) == (96, "decoded")
    assert (
        answer["digest"] == load_split(pairs, "val").digest
        and answer["sha256"] == read_card(DEFAULT_WEIGHTS, registry).sha256
    )
    assert {"pixel_accuracy", "mean_accuracy", "mean_iou", "iou"} <= set(row)
    assert set(row["iou"]) == set(cityscapes.NAMES)
    assert np.trace(confusion) / confusion.sum() == pytest.approx(row["pixel_accuracy"])
    assert f"{row['mean_iou']:.4f}" in capsys.readouterr().out


def test_evaluate_against_nearest_colors_scores_more_pixels(pairs, tmp_path):
    for truth in ("decoded", "nearest"):
        assert (
            run(
                "evaluate",
                DEFAULT_WEIGHTS,
                "--data",
                pairs,
                "--limit",
                1,
                "--truth",
                truth,
                "--json",
                tmp_path / truth,
            )
            == 0
        )
    decoded, nearest = (
        json.loads((tmp_path / t).read_text())["variants"]["8s"]["confusion"] for t in ("decoded", "nearest")
    )
    assert np.sum(nearest) > np.sum(decoded)


def test_the_best_quality_is_scored_and_written(pairs, tmp_path):
    for name, more in (("plain", ()), ("best", ("--best",))):
        command = (
            "evaluate",
            DEFAULT_WEIGHTS,
            "--data",
            pairs,
            "--limit",
            1,
            "--variants",
            "8s",
            "--json",
            tmp_path / name,
        )
        assert run(*command, *more) == 0
    plain, best = (json.loads((tmp_path / name).read_text()) for name in ("plain", "best"))
    assert (plain["best_quality"], best["best_quality"]) == (False, True)
    assert plain["variants"]["8s"]["confusion"] != best["variants"]["8s"]["confusion"]
    row = best["variants"]["8s"]
    assert row["intervals"] == {} and 0 <= row["mean_iou"] <= 1  # one photo is too few for intervals
    assert sum(size["segments"] for size in row["by_size"]) > 0 and 0 <= row["boundary_iou"] <= 1
    photos(tmp_path / "in")
    assert run("predict", tmp_path / "in" / "one.png", "--best", "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "one.json").read_text())["best_quality"]


def test_the_table_prints_cell_share_references_and_every_card(
    pairs, tmp_path, registry, capsys, monkeypatch
):
    shutil.copytree(registry / DEFAULT_WEIGHTS, tmp_path / "cards" / DEFAULT_WEIGHTS)
    tallies = evaluate.accumulate(
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry, precision="fp32"),
        load_split(pairs, "val"),
        ["8s"],
        range(1),
    )
    metrics = {
        "variants": {"8s": evaluate.report(tallies["8s"])},
        "digest": "of other pairs",
        "split": "val",
        "images": 1,
    }
    card = dataclasses.replace(read_card(DEFAULT_WEIGHTS, registry), metrics=metrics, samples_seen=1234)
    (tmp_path / "cards" / DEFAULT_WEIGHTS / CARD_FILE).write_bytes(to_json(card))
    html_file, json_file = tmp_path / "new" / "t.html", tmp_path / "newer" / "t.json"
    controls = ("--baselines", tmp_path / "cards")
    assert run("table", "--data", pairs, *controls, "--out", html_file, "--json", json_file) == 0
    output = capsys.readouterr().out
    answer = json.loads(json_file.read_text())
    assert (
        f"{metrics['variants']['8s']['mean_iou']:.4f}" in output and "1234" in output and html_file.exists()
    )
    assert f"so without a reference: {DEFAULT_WEIGHTS}" in " ".join(output.split())
    assert [row["variant"] for row in answer["rows"]] == ["8s"] and len(
        answer["grid_references"]
    ) == 15  # including the height of the card
    assert run("table", "--data", pairs, "--baselines", tmp_path / "nowhere") == 1


def test_the_resolution_study_prints_both_rules(pairs, capsys, monkeypatch):
    for name, value in {
        "HEIGHTS": (32,),
        "WIDTHS": (1280,),
        "SHAPES": {"4:3": 4 / 3},
        "SCENE_WIDTH": 128,
    }.items():
        monkeypatch.setattr(resolution_study, name, value)
    assert run("resolution", DEFAULT_WEIGHTS, "--data", pairs, "--count", 1) == 0
    output = capsys.readouterr().out
    assert "cover" in output and "rendered" in output and "144" in output
    assert run("resolution", DEFAULT_WEIGHTS, "--data", pairs, "--count", 0) == 1


def test_weights_are_listed_shown_and_verified(registry, capsys):
    assert run("weights", "list") == 0 and DEFAULT_WEIGHTS in capsys.readouterr().out
    assert run("weights", "show", DEFAULT_WEIGHTS) == 0
    assert json.loads(capsys.readouterr().out)["name"] == DEFAULT_WEIGHTS
    assert run("weights", "show", "--full", DEFAULT_WEIGHTS) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(to_json(read_card(DEFAULT_WEIGHTS, registry)))
    for arguments in ((), (DEFAULT_WEIGHTS,)):
        assert run("weights", "verify", *arguments) == 0
        assert read_card(DEFAULT_WEIGHTS, registry).sha256 in capsys.readouterr().out


NIGHT = ("--sky", "night", "--people", 0)


def test_data_is_rendered_and_checked(pairs, tmp_path, capsys):
    assert run("data", "render", "--to", tmp_path / "new", "--train", 1, "--val", 1, "--seed", 9) == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"train", "val", "exact"}
    night = scenes.render_scene(
        scenes.scene_seed(9, "val", 1), options=scenes.SceneOptions(sky="night", people=0)
    )
    assert (
        run("data", "render", "--to", tmp_path / "night", "--train", 1, "--val", 1, "--seed", 9, *NIGHT) == 0
    )
    assert (exact_label(tmp_path / "night" / "val" / "1.jpg") == night.label).all()
    assert run("data", "check", pairs, "--split", "val") == 0
    output = capsys.readouterr().out
    assert "val: 3 pairs" in output and "train: " not in output
    assert run("data", "check", pairs) == 0
    output = capsys.readouterr().out
    assert (
        "train: 14 pairs" in output
        and "val: 3 pairs" in output
        and "traffic light" in output
        and "%" in output
    )


def test_every_damaged_pair_is_reported(pairs, tmp_path, capsys):
    (tmp_path / "train").mkdir()
    whole = (pairs / "val" / "1.jpg").read_bytes()
    for name, content in (("1", whole), ("2", whole[:4000]), ("3", b"")):
        (tmp_path / "train" / f"{name}.jpg").write_bytes(content)
    assert run("data", "check", tmp_path) == 1
    output = " ".join(" ".join(capsys.readouterr()).split())
    assert (
        "2.jpg cannot be read" in output and "3.jpg cannot be read" in output and "2 of the 3 pairs" in output
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("predict", "nowhere.jpg", "--out", "x"), "There is no file or folder nowhere.jpg"),
        (("evaluate", DEFAULT_WEIGHTS, "--json", "/proc/none/x.json"), "/proc/none"),
        (("compare", "a", "b", "--report", "/proc/none.html"), "/proc/none.html"),
        (("evaluate", "unknown", "--data", "nowhere"), 'There are no weights named "unknown"'),
        (("evaluate", DEFAULT_WEIGHTS, "--data", "nowhere"), "There is no folder nowhere"),
        (("publish", "nowhere", "--name", "x"), "nowhere is not a run"),
        (("train", "--resume", "nowhere"), "nowhere is not a run"),
        (("train", "--resume", "nowhere", "--epochs", "3"), "--resume allows no other option"),
        (("train", "--data", "nowhere", "--encoder-weights", "none"), "There is no folder nowhere"),
        (("train", "--encoder-weights", "missing.safetensors"), "There is no file missing.safetensors"),
        (("train", "--epochs", "0"), "--epochs must be at least 1"),
        (("data", "check", "nowhere"), "There is no folder nowhere"),
        (("weights", "show", "../x"), "is not a valid name of weights"),
        (("bench", "--plot", "g.png"), "--plot writes a page: its name ends in .html, and g.png does not"),
        (("growth", "--plot", "g"), "its name ends in .html"),
        (("table", "--out", "t.pdf"), "its name ends in .html"),
        (("predict", "/dev/null", "--out", "/dev/null/x"), "Cannot access /dev/null/x (Not a directory)"),
    ],
)
def test_an_impossible_request_ends_in_a_message(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    error_output = " ".join(capsys.readouterr().err.split())
    assert sentence in error_output and "Traceback" not in error_output
    assert not list(tmp_path.iterdir())


COMMANDS = ("", "data fetch", "data check", "data render", "train", "evaluate", "publish", "predict")
COMMANDS += (
    "weights list",
    "weights show",
    "weights verify",
    "weights calibrate",
    "table",
    "resolution",
    "robustness",
    "compare",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_complete(command, capsys):
    assert run(*command.split(), "--help") == 0
    output = capsys.readouterr().out
    assert "usage: street-fcn" in output
    if command == "train":
        assert all(
            f"--{name}" in output
            for name in ("resume", "variants", "encoder-weights", "epochs", "batch-size", "out", "mix")
        )


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "seg", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "evaluate" in done.stdout and not done.stderr


def test_the_training_cost_is_measured_and_nothing_kept(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("seg.training.cost_estimate.SECONDS", 0.0)
    save_checkpoint = Trainer.save_checkpoint

    def save_slowly(trainer: Trainer) -> None:
        time.sleep(0.3)
        save_checkpoint(trainer)

    monkeypatch.setattr(Trainer, "save_checkpoint", save_slowly)
    monkeypatch.chdir(tmp_path)
    options = f"--data {pairs} --epochs 3 --batch-size 4 --height 32 --holdout 2 --device cpu"
    options += " --checkpoint-every 3"
    assert run("cost", *options.split(), "--json", tmp_path / "out" / "cost.json") == 0
    assert "the loop adds" in capsys.readouterr().out
    cost = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert cost["steps"] == 9 and cost["device"] == "cpu" and cost["precision"] in ("bf16", "fp32")
    assert cost["seconds_per_step"] / cost["compute_seconds"] - 1 == pytest.approx(cost["overhead"])
    # three checkpoints, and one at the end
    assert cost["seconds"] > 9 * cost["seconds_per_step"] + 4 * 0.3 and cost["memory_bytes"] > 1e8
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert run("cost", *options.replace("--holdout 2", "--holdout 13").split()) == 1


def test_file_names_cannot_control_the_terminal(tmp_path, registry, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x\x1b]0;owned\x07\x1b[31m\n[bold]5 of 5 photos are done.jpg").write_bytes(b"no photo")
    assert run("predict", folder, "--out", tmp_path / "out") == 1
    output = "".join(capsys.readouterr())
    assert "owned" in output and not set(output) & {"\x1b", "\x07"}
    assert not any(line.startswith("[bold]5 of 5") for line in output.splitlines())


def test_runs_are_listed(pairs, tmp_path, capsys):
    assert run("runs", tmp_path / "none") == 1 and "There are no runs in" in capsys.readouterr().err
    Run(tmp_path / "one").create(TrainConfig(data=pairs, out=tmp_path / "one").to_json())
    assert run("runs", tmp_path) == 0
    output = capsys.readouterr().out
    assert "one" in output and run_status.get_status(tmp_path / "one").state in output


@pytest.mark.parametrize("command", ["list", "verify"])
def test_damaged_weights_are_reported_beside_the_others(command, registry, tmp_path, monkeypatch, capsys):
    for name in (DEFAULT_WEIGHTS, "spoilt"):
        shutil.copytree(registry / DEFAULT_WEIGHTS, tmp_path / name)
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path))
    assert run("weights", command) == 1
    ended = capsys.readouterr()
    assert DEFAULT_WEIGHTS in ended.out
    assert f"is that of {DEFAULT_WEIGHTS}" in " ".join(ended.err.split()) and "Traceback" not in ended.err
