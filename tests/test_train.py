"""Training through the command line: killed, resumed, stopped, and what goes wrong told in words."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from seg import train
from seg.checkpoint import Run, RunError
from seg.dataset import DatasetError
from seg.networks import ARCHITECTURES, build
from seg.recipe import TrainConfig, TrainError
from seg.weights import WeightsError

ROOT = Path(__file__).parent.parent
STEPS = 12


def command(pairs: Path, out: Path, *more: str) -> list[str]:
    """A ResNet-50 at small size with all that a real run has: bf16, clipping, channels_last, warm-up, a mixed-in set."""
    options = f"""--data {pairs} --out {out} --encoder-weights none --epochs 2 --batch-size 2 --height 32 --holdout 4
    --mix {pairs}:0.2 --warmup 3 --clip 1 --checkpoint-every 4 --precision bf16 --device cpu --class-weights 0.2 --lr 1e-3
    --ema 0.9"""
    return [sys.executable, "-m", "seg", "train", *options.split(), *more]


def start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_when(process: subprocess.Popen, ready: Callable[[], bool]) -> None:
    while not ready():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def beat(run: Path) -> dict:
    try:
        return json.loads((run / "heartbeat.json").read_text())
    except FileNotFoundError:
        return {"step": -1}


def finish(words: list[str]) -> str:
    process = start(words)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def unbroken(pairs, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    finish(command(pairs, run))
    return run


def test_a_run_killed_in_mid_write_and_in_mid_epoch_ends_with_the_same_parameters(pairs, unbroken, tmp_path):
    run = tmp_path / "broken"
    process = start(command(pairs, run))
    kill_when(process, lambda: any((run / "checkpoints").glob(".writing-*")))  # the first checkpoint: none is whole yet
    assert Run(run).latest() is None
    resume = [sys.executable, "-m", "seg", "train", "--resume", str(run)]
    process = start(resume)
    kill_when(process, lambda: beat(run)["step"] >= 5 and Run(run).checkpoints.joinpath("step-00000004").exists())
    assert beat(run)["step"] < STEPS
    finish(resume)
    one, other = load_file(unbroken / "model.safetensors"), load_file(run / "model.safetensors")
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    timeless = [{k: v for k, v in line.items() if k != "seconds"} for line in Run(unbroken).metrics()]
    assert timeless == [{k: v for k, v in line.items() if k != "seconds"} for line in Run(run).metrics()]
    assert not list((run / "checkpoints").glob(".writing-*"))


def test_a_run_holds_what_its_folder_promises(unbroken):
    assert beat(unbroken)["status"] == "finished" and beat(unbroken)["step"] == STEPS
    assert {p.name for p in unbroken.iterdir()} == {
        *("config.json", "metrics.jsonl", "heartbeat.json", "log.txt", "checkpoints", "model.safetensors", "strip")
    }
    config = json.loads((unbroken / "config.json").read_text())
    assert config["command"].startswith("python -m seg train --data ") and config["batch_size"] == 2
    held_out = [line for line in Run(unbroken).metrics() if "8s" in line]
    assert [line["epoch"] for line in held_out] == [0, 1]
    assert 0 <= held_out[1]["32s"]["mean_iou"] <= 1
    model = load_file(unbroken / "model.safetensors")
    assert float(model["score8.weight"].abs().sum()) > 0


def test_a_finished_run_is_not_resumed_and_a_used_folder_not_overwritten(unbroken, pairs):
    with pytest.raises(TrainError, match="is finished. Publish it"):
        train.resume(unbroken)
    with pytest.raises(RunError, match="is not empty; a run is never overwritten"):
        train.train(small(pairs, unbroken))


def test_a_run_at_work_is_not_resumed_by_another_process(pairs, tmp_path):
    run = tmp_path / "busy"
    process = start(command(pairs, run))
    while beat(run)["step"] < 1:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    with pytest.raises(TrainError, match="Another process is training"):
        train.resume(run)
    process.kill()
    process.communicate()
    assert not Run(run).alive()


def test_unreadable_checkpoints_and_changed_pairs_are_not_trained_over(pairs, tmp_path):
    mine = tmp_path / "pairs"
    shutil.copytree(pairs, mine)
    config = small(mine, tmp_path / "run", checkpoint_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "save_tensors", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(TrainError, match="disk is full"):
            train.train(config)
    changed, pair = mine / "train" / "1.jpg", (mine / "train" / "1.jpg").read_bytes()
    changed.write_bytes((mine / "train" / "2.jpg").read_bytes())
    with pytest.raises(TrainError, match="no longer those that this run began with"):
        train.resume(config.out)
    changed.unlink()
    with pytest.raises(TrainError, match="no longer those that this run began with"):
        train.resume(config.out)
    changed.write_bytes(pair)
    files = sorted(config.out.glob("checkpoints/*/model.safetensors"))
    kept = files[0].read_bytes()
    files[0].write_bytes(b"damaged")
    whole = bytearray(files[1].read_bytes())
    whole[len(whole) // 2] ^= 1  # a single bit, in the middle of the numbers
    files[1].write_bytes(whole)
    with pytest.raises(RunError, match="None of the checkpoints"):
        train.resume(config.out)
    files[0].write_bytes(kept)
    (config.out / "log.txt").write_text("")
    train.resume(config.out)
    newest, before = files[1].parent.name, int(files[0].parent.name.removeprefix("step-"))
    log = (config.out / "log.txt").read_text()
    assert f"warning: the checkpoint {newest} cannot be read" in log and f"training from step {before} of 6" in log
    assert beat(config.out)["status"] == "finished"


def test_ctrl_c_saves_and_ends_cleanly(pairs, tmp_path):
    run = tmp_path / "stopped"
    process = start(command(pairs, run, "--checkpoint-every", "1000"))
    while beat(run)["step"] < 2:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert f"Go on with: python -m seg train --resume {run}\n" in said
    assert beat(run)["status"] == "stopped"
    _, _, state = Run(run).latest()
    assert state["step"] == beat(run)["step"] < STEPS


def small(pairs: Path, out: Path, **more) -> TrainConfig:
    chosen = {"encoder_weights": "none", "epochs": 1, "batch_size": 2, "height": 32, "holdout": 2, "device": "cpu"} | more
    return TrainConfig(data=pairs, out=out, **chosen)


def test_a_loss_that_is_no_number_ends_the_run_in_words_and_keeps_the_last_checkpoint(pairs, tmp_path, monkeypatch):
    real, seen = train._loss, []

    def turning(*given):
        seen.append(1)
        return real(*given) * (float("nan") if len(seen) > 9 else 1)

    monkeypatch.setattr(train, "_loss", turning)
    run = tmp_path / "nan"
    with pytest.raises(TrainError, match="no longer (a )?number|no numbers any more"):
        train.train(small(pairs, run, checkpoint_every=2))
    model, _, state = Run(run).latest()
    assert state["step"] == 2 and all(bool(v.isfinite().all()) for v in model.values())
    assert beat(run)["status"] == "failed" and "number" in beat(run)["message"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OSError(28, "No space left on device"), "The disk is full"),
        (OSError(30, "Read-only file system", "runs/it/a"), "Nothing can be written in runs/it"),
        (BrokenPipeError(32, "Broken pipe"), "What read its output has ended"),
        (torch.OutOfMemoryError("CUDA out of memory"), "Out of memory: choose a smaller --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "Out of memory"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "The disk is full"),
    ],
)
def test_faults_are_told_and_the_last_checkpoint_kept(pairs, tmp_path, monkeypatch, fault, words):
    real, run = Run.save, tmp_path / "faulty"

    def failing(self, step, *rest):
        if step > 1:
            raise fault
        real(self, step, *rest)

    monkeypatch.setattr(Run, "save", failing)
    with pytest.raises(TrainError, match=f"{words}.*--resume"):
        train.train(small(pairs, run, checkpoint_every=1))
    assert Run(run).latest()[2]["step"] == 1
    assert words in beat(run)["message"]


def test_training_learns_what_it_sees(pairs, tmp_path):
    config = small(pairs, tmp_path / "run", holdout=0, epochs=6, height=64, color=0, scale=(1.0, 1.0), warmup=5, lr=1e-3)
    train.train(config)
    losses = [line["loss"] for line in Run(config.out).metrics()]
    assert losses[-1] < 3 * math.log(19) * 0.75  # a network that guesses stands at ln 19 a variant


def test_wrong_settings_are_refused_before_anything_is_made(pairs, tmp_path):
    for wrong, words in (
        ({"height": 40}, "--height must be a multiple of 32"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"variants": ("8s", "4s")}, "has no variant 4s"),
        ({"arch": "unet-resnet50", "variants": ("8s",)}, "U-Net on ResNet-50 has no variant 8s; it comes as unet"),
        ({"ema": 1.0}, "--ema"),
        ({"parent": "some"}, "--parent brings its encoder"),
        ({"scale": (2.0, 1.0)}, "--scale"),
        ({"lr": -1.0}, "must be above 0"),
    ):
        with pytest.raises(TrainError, match=words):
            small(pairs, tmp_path / "never", **wrong)
    with pytest.raises(TrainError, match="less than a batch"):
        train.train(small(pairs, tmp_path / "few", holdout=13))
    with pytest.raises(TrainError, match="--mix takes DIR:SHARE"):
        train.train(small(pairs, tmp_path / "mixed", mix=("nowhere",)))
    with pytest.raises(DatasetError, match="There is no folder nowhere"):
        train.train(small(pairs, tmp_path / "mixed", mix=("nowhere:0.1",)))
    assert not list(tmp_path.iterdir())


def loss(logits: torch.Tensor, label: torch.Tensor, kind: str, weight: torch.Tensor | None = None) -> torch.Tensor:
    return train._loss(logits, label, kind, weight, train._known(label, weight))


@pytest.mark.parametrize("kind", ["cross-entropy", "ohem", "dice"])
def test_a_batch_without_any_class_teaches_nothing(kind):
    logits = torch.randn(1, 19, 4, 4, requires_grad=True)
    loss(logits, torch.full((1, 4, 4), 255), kind).backward()
    assert float(logits.grad.abs().sum()) == 0


@pytest.mark.parametrize("kind", ["cross-entropy", "ohem", "dice"])
def test_losses_ignore_what_has_no_class_and_fall_when_right(kind):
    label = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    label[:, 0] = 255
    right = torch.nn.functional.one_hot(label.clamp(max=18), 19).permute(0, 3, 1, 2).float() * 9
    other = right.clone()
    other[:, :, 0] = 7.0 * torch.rand(2, 19, 8, generator=torch.Generator().manual_seed(1))
    assert loss(right, label, kind) < 0.1
    torch.testing.assert_close(loss(right, label, kind), loss(other, label, kind))
    assert loss(-right, label, kind) > 1


def test_the_weighted_loss_is_pytorchs():
    label = torch.randint(0, 19, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    label[:, 0] = 255
    logits = torch.randn(2, 19, 8, 8, generator=torch.Generator().manual_seed(1))
    for weight in (None, torch.linspace(0.1, 2, 19)):
        wanted = torch.nn.functional.cross_entropy(logits, label, weight, ignore_index=255)
        torch.testing.assert_close(loss(logits, label, "cross-entropy", weight), wanted)


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    for schedule in ("poly", "cosine"):
        config = TrainConfig(warmup=10, schedule=schedule)
        rates = [train._rate(step, 100, config) for step in range(100)]
        assert rates[0] < 0.11 and max(rates) == max(rates[8:13]) > 0.85 and rates[-1] < 0.02
        assert rates[12:] == sorted(rates[12:], reverse=True)


def test_config_survives_json(pairs):
    config = small(pairs, Path("runs/x"), mix=("a:0.1",), scale=(0.75, 2.0), parent="x", encoder_weights="imagenet")
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(TrainError, match="does not know: speed"):
        TrainConfig.from_json(config.to_json() | {"speed": 1})


def test_stages_hand_on_what_fits_and_say_so(pairs, tmp_path):
    coarse, fine = tmp_path / "32s", tmp_path / "16s"
    train.train(small(pairs, coarse, variants=("32s",)))
    train.train(small(pairs, fine, variants=("16s",), encoder_weights="imagenet", parent=str(coarse), lr=1e-9, encoder_lr=1e-9))
    told = (fine / "log.txt").read_text()
    assert "copied  encoder.resnet.conv1.weight (64, 3, 7, 7)\n" in told and "copied  score32.weight (19, 2048, 1, 1)\n" in told
    new, dropped = (
        {line.split()[3].split(".")[0] for line in told.splitlines() if f" {word} " in line} for word in ("new", "dropped")
    )
    assert (new, dropped) == ({"score16", "upscore16", "upscore2"}, {"upscore32"})
    assert f"{told.count(' copied ')} tensors copied, {told.count(' new ')} new, 1 dropped\n" in told
    one, other = load_file(coarse / "model.safetensors"), load_file(fine / "model.safetensors")
    torch.testing.assert_close(one["score32.weight"], other["score32.weight"], atol=1e-6, rtol=0)
    parent = Run(fine).config()["lineage"]
    assert parent["name"] == str(coarse) and parent["photos"] == 12 and parent["parent"] is None
    assert TrainConfig.from_json(Run(fine).config()).parent == str(coarse)
    with pytest.raises(TrainError, match="U-Net on ResNet-50 cannot go on from .*: that is FCN on ResNet-50"):
        train.train(small(pairs, tmp_path / "never", arch="unet-resnet50", encoder_weights="imagenet", parent=str(coarse)))
    with pytest.raises(TrainError, match="is not finished"):
        Run(tmp_path / "unfinished").create(Run(coarse).config())
        train.train(small(pairs, tmp_path / "never", encoder_weights="imagenet", parent=str(tmp_path / "unfinished")))
    assert not (tmp_path / "never").exists()
    with pytest.raises(WeightsError, match='no weights named "nothing"'):
        train.train(small(pairs, tmp_path / "never", encoder_weights="imagenet", parent="nothing"))


def test_a_run_that_goes_on_from_weights_does_so_after_a_kill_before_its_first_checkpoint(pairs, tmp_path):
    coarse, run = tmp_path / "coarse", tmp_path / "run"
    train.train(small(pairs, coarse))
    config = small(pairs, run, encoder_weights="imagenet", parent=str(coarse))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Session, "loop", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train.train(config)
    train.resume(run)
    assert (run / "log.txt").read_text().count(f"{coarse}: 329 tensors copied, 0 new, 0 dropped") == 2


def test_a_stage_waits_for_one_that_was_stopped(pairs, tmp_path):
    parent = Run(tmp_path / "parent")
    train.create(small(pairs, parent.folder, variants=("32s",)), "")
    parent.beat(0, "running", pid=os.getppid())  # somebody who is alive
    run = train.create(
        small(pairs, tmp_path / "next", variants=("16s",), parent=str(parent.folder), encoder_weights="imagenet"), ""
    )
    parent.beat(0, "stopped")
    process = start([sys.executable, "-m", "seg", "train", "--resume", str(run.folder)])
    while "ended too early" not in beat(run.folder).get("message", ""):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    assert beat(run.folder)["status"] == "queued"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert beat(run.folder)["status"] == "stopped"


def test_frozen_norm_keeps_its_statistics_and_the_average_lags_behind(pairs, tmp_path):
    plain, frozen = tmp_path / "plain", tmp_path / "frozen"
    train.train(small(pairs, plain, ema=0.99))
    train.train(small(pairs, frozen, frozen_norm=True))
    key = "encoder.resnet.bn1.running_mean"
    assert float(load_file(frozen / "model.safetensors")[key].abs().sum()) == 0
    last, _, _ = Run(plain).latest()
    averaged = load_file(plain / "model.safetensors")
    assert set(last) == {*averaged, *(f"average.module.{k}" for k in averaged), "average.n_averaged"}
    assert 0 < averaged[key].abs().sum() < 0.9 * last[key].abs().sum()


@pytest.mark.parametrize("arch", ["fcn-vgg16", "unet-resnet50", "dilated-resnet50"])
def test_rivals_train_through_the_same_command(pairs, tmp_path, arch):
    run = tmp_path / arch
    train.train(small(pairs, run, arch=arch, epochs=2))
    variants = ARCHITECTURES[arch].variants
    held_out = [line for line in Run(run).metrics() if variants[-1] in line]
    assert len(held_out) == 2 and set(variants) <= set(held_out[0])
    assert Run(run).config()["variants"] == list(variants)


def test_a_compiled_network_keeps_the_names_of_its_tensors(pairs, tmp_path, monkeypatch):
    # traced as ever, but not made into C++, which takes two minutes
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    run = tmp_path / "compiled"
    train.train(small(pairs, run, compile=True, variants=("32s",), batch_size=6))
    plain = build("fcn-resnet50", 19, ("32s",)).state_dict()
    assert load_file(run / "model.safetensors").keys() == plain.keys()
