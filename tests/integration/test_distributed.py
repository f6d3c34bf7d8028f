"""Training in two processes gives the result of a single process and ends cleanly."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from seg.models.factory import ARCHITECTURES
from seg.system.device_queue import wait_for_device
from seg.training.distributed import DistributedContext
from seg.training.run import Run
from tests.support.preloaded import PreloadedProcess

ALONE = ("seg",)
LAUNCH = tuple(
    "accelerate.commands.launch --multi_gpu --num_processes 2 --main_process_port 0 -m seg".split()
)
"""Modules that train in one and in two processes, with the arguments before those of `seg`."""
TECHNIQUES = """--soft-targets --teacher fcn-resnet50-cityscapes --rare-classes 0.5 --class-mix 0.5
--corruptions 0.5 --amplitude-mix 0.5"""
VARIANTS = ARCHITECTURES["fcn-resnet50"].variants


def options(pairs: Path, out: Path, *more: str) -> list[str]:
    """Training options with random weights and non-zero scores, so that the whole network learns from the
    first step."""
    arguments = f"""train --data {pairs} --extra-data {pairs}:1.3 --out {out}
    --init-from fcn-resnet50-cityscapes --epochs 2 --batch-size 4 --height 32 --holdout 5 --freeze-batchnorm
    --precision fp32 --device cpu --class-weights 0.2 --lr 1e-5 --encoder-lr 1e-6 --evaluate-every 1"""
    return [*arguments.split(), *more]


def start(registry: Path, *command: str) -> PreloadedProcess:
    environment = os.environ | {"SEG_WEIGHTS": str(registry), "OMP_NUM_THREADS": "1"}
    return PreloadedProcess(*command, environment=environment, merge=True)


def until(process: PreloadedProcess, ready: Callable[[], bool]) -> None:
    while not ready():
        assert process.poll() is None, process.output
        time.sleep(0.02)


@pytest.mark.parametrize("techniques", ["", TECHNIQUES], ids=["plain", "techniques"])
def test_two_processes_train_the_same_as_one(pairs, registry, tmp_path, techniques):
    alone, together = tmp_path / "alone" / "run", tmp_path / "together" / "run"
    for command in (
        (*ALONE, *options(pairs, alone, *techniques.split())),
        (*LAUNCH, *options(pairs, together, *techniques.split())),
    ):
        process = start(registry, *command)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    assert output.count("on 5 held-out samples") == 2  # of the two processes only one prints
    assert sorted(p.name for p in alone.iterdir()) == sorted(p.name for p in together.iterdir())
    assert "on 2 processes on cpu" in (together / "log.txt").read_text()
    lines = [[line for line in Run(run).metrics()] for run in (alone, together)]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]] == [5, 10, 10]
    for line, joint_line in zip(*lines, strict=True):
        if "loss" in line:
            assert joint_line["loss"] == pytest.approx(line["loss"], rel=1e-3)
        for variant in VARIANTS if "loss" not in line else ():
            for score in ("pixel_accuracy", "mean_iou"):
                assert joint_line[variant][score] == pytest.approx(line[variant][score], abs=1e-3)
    before, single, joint = (
        load_file(f)
        for f in (registry / "fcn-resnet50-cityscapes" / "model.safetensors", *models(alone, together))
    )
    assert single.keys() == joint.keys()
    for key, value in single.items():
        apart = float((value.float() - joint[key].float()).norm())
        if "running" in key:
            assert torch.equal(value, joint[key]) and torch.equal(value, before[key]), key
        if key in ("score8.weight", "score32.weight"):  # relative to the change from the start
            assert apart < 0.3 * float((value - before[key].float()).norm()), key


def models(*runs: Path) -> list[Path]:
    return [run / "model.safetensors" for run in runs]


def test_a_killed_or_stopped_process_ends_the_training_cleanly(pairs, registry, tmp_path):
    run = Run(tmp_path / "run")
    process = start(registry, *LAUNCH, *options(pairs, run.folder, "--checkpoint-every", "2"))
    until(process, lambda: run.checkpoints.joinpath("step-00000002").exists())
    first = run.read_heartbeat()["pid"]
    workers = [child.pid for child in psutil.Process(process.pid).children() if child.pid != first]
    os.kill(workers[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    beat = run.read_heartbeat()
    assert beat["status"] == "failed" and "One of the processes of this training ended" in beat["message"], (
        output
    )
    assert beat["message"] in (run.folder / "log.txt").read_text()
    assert not any(map(psutil.pid_exists, (first, *workers)))
    saved_step = run.load_latest()[2]["step"]
    assert 2 <= saved_step < 10

    process = start(registry, *LAUNCH, "train", "--resume", str(run.folder))
    until(
        process,
        lambda: run.read_heartbeat()["status"] == "running" and run.read_heartbeat()["step"] > saved_step,
    )
    os.kill(run.read_heartbeat()["pid"], signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert output.count("saved. Resume with: python -m seg train --resume") == 1
    assert run.read_heartbeat()["status"] == "stopped"
    assert saved_step < run.load_latest()[2]["step"] == run.read_heartbeat()["step"] < 10

    process = start(registry, *ALONE, "train", "--resume", str(run.folder))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and run.read_heartbeat()["status"] == "finished", output
    assert [line["step"] for line in run.metrics()] == [5, 10, 10]


def test_unsupported_settings_are_reported_by_one_process(pairs, registry, cache, tmp_path):
    process = start(registry, *LAUNCH, *options(pairs, tmp_path / "odd", "--batch-size", "3"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and not (tmp_path / "odd").exists()
    assert output.replace("\n", " ").count("A batch of 3 samples cannot be divided among 2 processes.") == 1
    process = start(registry, *LAUNCH, *options(pairs, tmp_path / "free", "--no-freeze-batchnorm"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and not (tmp_path / "free").exists()
    assert "share batch-norm statistics on GPUs only" in output.replace("\n", " ")


def test_several_processes_queue_and_can_be_stopped_there(pairs, registry, tmp_path):
    run = Run(tmp_path / "second")
    with wait_for_device("cpu", "another", lambda who: None):
        process = start(registry, *LAUNCH, *options(pairs, run.folder))
        until(process, lambda: "waiting for another" in run.read_heartbeat().get("message", ""))
        assert run.read_heartbeat()["status"] == "queued" and run.alive()
        os.kill(run.read_heartbeat()["pid"], signal.SIGTERM)
        process.communicate(timeout=60)
    assert run.read_heartbeat()["status"] == "stopped"


def test_a_single_process_needs_no_communication():
    team = DistributedContext()
    assert team.is_main_process and team.is_first_alive and team.any_rank(True) and not team.any_rank(False)
    assert team.run_on_main(lambda: 3) == 3
    assert torch.equal(team.shard(torch.arange(4)), torch.arange(4))
