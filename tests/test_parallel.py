"""A training in two processes: it is the training of one, and ends well however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from seg.checkpoint import Run
from seg.networks import ARCHITECTURES
from seg.team import Team
from seg.turn import turn

ROOT = Path(__file__).parent.parent
LAUNCH = (sys.executable, *"-m accelerate.commands.launch --multi_gpu --num_processes 2 --main_process_port 0 -m seg".split())
VARIANTS = ARCHITECTURES["fcn-resnet50"].variants


def options(pairs: Path, out: Path, *more: str) -> list[str]:
    """From weights that know nothing, but whose scores are not zero: all of the network learns from the first step."""
    words = f"""train --data {pairs} --mix {pairs}:1.3 --out {out} --parent fcn-resnet50-cityscapes --epochs 2 --batch-size 4
    --height 32 --holdout 5 --precision fp32 --device cpu --class-weights 0.2 --lr 1e-5 --encoder-lr 1e-6"""
    return [*words.split(), *more]


def start(registry: Path, *words: str) -> subprocess.Popen:
    environment = os.environ | {"SEG_WEIGHTS": str(registry), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(process: subprocess.Popen, ready: Callable[[], bool]) -> None:
    while not ready():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


def test_two_processes_train_what_one_would(pairs, registry, tmp_path):
    one, two = tmp_path / "alone" / "run", tmp_path / "together" / "run"
    for words in ((sys.executable, "-m", "seg", *options(pairs, one)), (*LAUNCH, *options(pairs, two))):
        process = start(registry, *words)
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    assert said.count("on 5 held-out pairs") == 2  # the last was that of both: one of them tells
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    assert "on 2 processes on cpu" in (two / "log.txt").read_text()
    lines = [[line for line in Run(run).metrics()] for run in (one, two)]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]] == [5, 10, 10]
    for line, other in zip(*lines, strict=True):
        if "loss" in line:
            assert other["loss"] == pytest.approx(line["loss"], rel=1e-4)
        for variant in VARIANTS if "loss" not in line else ():
            for score in ("pixel_accuracy", "mean_iou"):
                assert other[variant][score] == pytest.approx(line[variant][score], abs=1e-3)
    before, mine, other = (load_file(f) for f in (registry / "fcn-resnet50-cityscapes" / "model.safetensors", *models(one, two)))
    assert mine.keys() == other.keys()
    for key, value in mine.items():
        apart = float((value.float() - other[key].float()).norm())
        if "running" in key:
            assert apart < 2e-3 * float(value.norm()), key
        if key in ("score8.weight", "score32.weight"):  # of what they have moved
            assert apart < 0.3 * float((value - before[key].float()).norm()), key


def models(*runs: Path) -> list[Path]:
    return [run / "model.safetensors" for run in runs]


def test_a_process_killed_ends_the_training_in_words_and_a_stop_is_agreed(pairs, registry, tmp_path):
    run = Run(tmp_path / "run")
    process = start(registry, *LAUNCH, *options(pairs, run.folder, "--checkpoint-every", "2"))
    until(process, lambda: run.checkpoints.joinpath("step-00000002").exists())
    first = run.heartbeat()["pid"]
    workers = [child.pid for child in psutil.Process(process.pid).children() if child.pid != first]
    os.kill(workers[-1], signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    beat = run.heartbeat()
    assert beat["status"] == "failed" and "One of the processes of this training ended" in beat["message"], said
    assert beat["message"] in (run.folder / "log.txt").read_text()
    assert not any(map(psutil.pid_exists, (first, *workers)))
    kept = run.latest()[2]["step"]
    assert 2 <= kept < 10

    process = start(registry, *LAUNCH, "train", "--resume", str(run.folder))
    until(process, lambda: run.heartbeat()["status"] == "running" and run.heartbeat()["step"] > kept)
    os.kill(run.heartbeat()["pid"], signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count("saved. Go on with: python -m seg train --resume") == 1
    assert run.heartbeat()["status"] == "stopped"
    assert kept < run.latest()[2]["step"] == run.heartbeat()["step"] < 10

    process = start(registry, sys.executable, "-m", "seg", "train", "--resume", str(run.folder))  # one process
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and run.heartbeat()["status"] == "finished", said
    assert [line["step"] for line in run.metrics()] == [5, 10, 10]


def test_what_several_processes_cannot_do_is_said_by_one_of_them(pairs, registry, cache, tmp_path):
    process = start(registry, *LAUNCH, *options(pairs, tmp_path / "odd", "--batch-size", "3"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and not (tmp_path / "odd").exists()
    assert said.replace("\n", " ").count("A batch of 3 pairs cannot be divided among 2 processes.") == 1


def test_several_processes_wait_in_line_and_can_be_stopped_there(pairs, registry, tmp_path):
    run = Run(tmp_path / "second")
    with turn("cpu", "another", lambda who: None):
        process = start(registry, *LAUNCH, *options(pairs, run.folder))
        until(process, lambda: "waiting for another" in run.heartbeat().get("message", ""))
        assert run.heartbeat()["status"] == "queued" and run.alive()
        os.kill(run.heartbeat()["pid"], signal.SIGTERM)
        process.communicate(timeout=60)
    assert run.heartbeat()["status"] == "stopped"


def test_a_team_of_one_asks_nobody():
    team = Team()
    assert team.writer and team.speaks and team.any(True) and not team.any(False)
    assert team.first(lambda: 3) == 3
    assert torch.equal(team.mine(torch.arange(4)), torch.arange(4))
