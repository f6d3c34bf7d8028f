"""The app and its processes in another working directory, and the folders that environment variables name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seg import jobs, paths
from seg.cli.main import parse
from seg.data.pairs import find_pairs
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from seg.publishing import publish
from seg.training import lifecycle, run_status
from seg.training.config import TrainConfig
from seg.training.run import Run
from tests.support.command import run_command

ROOT = Path(__file__).parents[2]
VARIABLES = ("SEG_DATA", "SEG_RUNS", "SEG_WEIGHTS")


def python(code: str, folder: Path, **variables: str) -> str:
    """Run code as the app runs in `folder`: only its own process finds the package."""
    environment = {k: v for k, v in os.environ.items() if k not in (*VARIABLES, "PYTHONPATH")}
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    result = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_processes_find_the_package_from_any_directory(pairs, registry, tmp_path):
    (tmp_path / "seg.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong module')")
    code = f"""
import json, os, time
from pathlib import Path
from seg import jobs
from seg.data.datasets import load_split
from seg.data.pairs import find_pairs
from seg.evaluation import store
from seg.models.registry import read_card
from seg.training.config import TrainConfig
from seg.training.run import Run

def wait(done):
    end = time.time() + 200
    while not done() and time.time() < end:
        time.sleep(0.2)

process = jobs.spawn_watched("data", "render", "--to", "new", "--train", "2", "--val", "1")
print(process.stderr.read() if process.wait() else "rendered")
data = Path({str(pairs)!r})
config = TrainConfig(data=data, out=Path("runs/one"), encoder_weights="none", epochs=1, batch_size=2,
                     height=32, holdout=2, device="cpu")
run = jobs.start(config)
wait(lambda: run.read_heartbeat()["status"] in ("finished", "failed"))
print(run.read_heartbeat()["status"])
jobs.publish(run.folder, "mine", False)
wait(lambda: json.loads((run.folder / "publishing.json").read_text())["status"] != "running")
print(json.loads((run.folder / "publishing.json").read_text())["status"])
split = load_split(data, "val")
folder = store.store_dir(read_card("mine").sha256, split.digest)
jobs.evaluate("mine", data, folder, len(split))
wait(lambda: store.progress(folder)["status"] != "running")
print(store.progress(folder)["status"])
arguments, file = jobs.cost_command(config)
process = jobs.spawn_watched(*arguments)
print(process.stderr.read() if process.wait() else json.loads(file.read_text())["steps"])
"""
    output = python(code, tmp_path, SEG_WEIGHTS=str(tmp_path / "weights"))
    assert output.split() == ["rendered", "finished", "finished", "finished", "6"]
    assert len(find_pairs(tmp_path / "new", "train")) == 2


def test_default_folders_are_those_of_the_clone_in_any_directory(tmp_path):
    code = (
        "from seg import paths; print(paths.data(), paths.runs(), paths.weights(), paths.default_dataset())"
    )
    inside, outside = python(code, ROOT), python(code, tmp_path)
    expected = [str(ROOT / name) for name in ("data", "runs", "weights", "data/cityscapes-image-pairs")]
    assert [str(ROOT / name) for name in inside.split()] == expected == outside.split()
    code = "from seg import jobs; print(jobs.displayed_command(['runs']))"
    assert python(code, ROOT) == "python -m seg runs\n"
    assert python(code, tmp_path) == f"PYTHONPATH={ROOT} python -m seg runs\n"


def test_environment_variables_move_all_defaults(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEG_DATA", str(tmp_path / "sets"))
    monkeypatch.setenv("SEG_RUNS", str(tmp_path / "trainings"))
    dataset = tmp_path / "sets" / "cityscapes-image-pairs"
    assert parse(["train"]).data == parse(["cost"]).data == dataset
    assert parse(["train"]).out == tmp_path / "trainings" / "fcn"
    assert parse(["data", "fetch"]).action.to == dataset
    for command in (["evaluate", "x"], ["leaderboard"], ["resolution", "x"]):
        assert parse(command).data == dataset
    with pytest.raises(SystemExit):
        parse(["train", "--help"])
    help_text = "".join(capsys.readouterr().out.split())
    assert str(tmp_path) in help_text.replace("│", "")
    assert run_command("train", "--epochs", 1) == 1
    assert f"There is no folder {dataset}" in capsys.readouterr().err
    monkeypatch.setenv("SEG_DATA", "")
    monkeypatch.setenv("SEG_RUNS", "")
    assert paths.data().absolute() == ROOT / "data" and paths.runs().absolute() == ROOT / "runs"


def test_the_defaults_are_recorded(monkeypatch, tmp_path, pairs):
    monkeypatch.setenv("SEG_DATA", str(tmp_path))
    monkeypatch.setenv("SEG_RUNS", str(tmp_path / "runs"))
    (tmp_path / "cityscapes-image-pairs").symlink_to(pairs)
    config = TrainConfig(encoder_weights="none", batch_size=2, holdout=2)
    run = lifecycle.create(config, "")
    assert run.folder == tmp_path / "runs" / "fcn"
    assert run.config()["data"] == str(tmp_path / "cityscapes-image-pairs")
    assert "--data" in jobs.train_args(config)


def test_wrong_and_empty_registries_are_errors(monkeypatch, tmp_path, registry, capsys):
    missing = tmp_path / "missing"
    for folder, sentence in (
        (missing, f"There is no folder {missing}, which SEG_WEIGHTS names"),
        (tmp_path, f"There are no weights in {tmp_path}"),
    ):
        monkeypatch.setenv("SEG_WEIGHTS", str(folder))
        for arguments in (("weights", "list"), ("weights", "verify"), ("weights", "show", "fcn")):
            assert run_command(*arguments) == 1
            output = capsys.readouterr()
            assert sentence in output.err and not output.out
    (tmp_path / "linked").symlink_to(registry / DEFAULT_WEIGHTS)
    (tmp_path / DEFAULT_WEIGHTS).symlink_to(registry / DEFAULT_WEIGHTS)
    (tmp_path / "lost").symlink_to(missing)
    assert run_command("weights", "list") == 1
    output = capsys.readouterr()
    assert DEFAULT_WEIGHTS in output.out and "lost is a link to" in output.err


def test_broken_links_among_runs_are_named(tmp_path, capsys):
    (tmp_path / "lost").symlink_to(tmp_path / "missing")
    assert run_command("runs", tmp_path) == 1
    assert "lost is a link to" in capsys.readouterr().out


def test_a_run_with_a_relative_data_set_works_in_another_directory(monkeypatch, tmp_path, pairs):
    """Its config.json contains the path relative to the clone, where it was started."""
    clone, elsewhere = tmp_path / "clone", tmp_path / "elsewhere"
    shutil.copytree(pairs, clone / "data" / "streets")
    elsewhere.mkdir()
    monkeypatch.setattr(paths, "_CLONE", clone)
    monkeypatch.chdir(clone)
    config = TrainConfig(
        data=Path("data/streets"), out=Path("runs/one"), encoder_weights="none", epochs=1, batch_size=2,
        height=32, holdout=2, device="cpu",
    )  # fmt: skip
    lifecycle.create(config, "python -m seg train")
    monkeypatch.chdir(elsewhere)
    run = Run(run_status.find_runs(paths.runs())[0])
    lifecycle.resume(run.folder)
    card = publish.publish(run.folder, "mine", 32, registry=tmp_path / "weights")
    assert card.metrics["split"] == "val" and "MIT" in card.licence and list(card.data) == ["data/streets"]
    assert json.loads((run.folder / "config.json").read_text())["data"] == "data/streets"
    assert read_card("mine", tmp_path / "weights") == card


@pytest.mark.slow
def test_runs_are_found_by_the_names_that_are_listed(pairs, monkeypatch, tmp_path, capsys):
    for variable, name in (("SEG_RUNS", "trainings"), ("SEG_WEIGHTS", "weights")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "trainings" / "mine"
    short = (
        "--data",
        pairs,
        "--epochs",
        1,
        "--batch-size",
        2,
        "--height",
        32,
        "--holdout",
        2,
        "--device",
        "cpu",
    )
    assert run_command("train", *short, "--encoder-weights", "none", "--out", run) == 0
    assert run_command("train", "--resume", "mine") == 1
    assert f"{run} is finished." in " ".join(capsys.readouterr().err.split())
    assert run_command("publish", "mine", "--name", "shared", "--height", 32) == 0
    assert run_command("train", *short, "--init-from", "mine", "--out", tmp_path / "trainings" / "next") == 0
    assert Run(tmp_path / "trainings" / "next").config()["init_from"] == str(run)
    capsys.readouterr()
    for command in (("train", "--resume", "none"), ("publish", "none", "--name", "x")):
        assert run_command(*command) == 1
        sentence = f"none is not a run: there is no such folder here or in {run.parent}. List the runs"
        assert sentence in " ".join(capsys.readouterr().err.split())
    (tmp_path / "mine").mkdir()  # a folder here comes first
    assert run_command("train", "--resume", "mine") == 1
    assert "mine is not a run: it has no config.json" in capsys.readouterr().err
