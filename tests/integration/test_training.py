"""Training through the command line: kills, resumes, stops, and messages about errors."""

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from seg.data.pairs import DatasetError
from seg.models.factory import ARCHITECTURES, create_model
from seg.models.model_card import WeightsError
from seg.training import lifecycle, snapshots, trainer
from seg.training.config import TrainConfig, TrainError
from seg.training.run import Run, RunError
from tests.support.preloaded import PreloadedProcess

STEPS = 12


def command(pairs: Path, out: Path, *more: str) -> list[str]:
    """A small ResNet-50 training with all features of a real run: bf16, clipping, channels_last, warm-up and
    mixed-in data."""
    options = f"""--data {pairs} --out {out} --encoder-weights none --epochs 2 --batch-size 2 --height 32
    --holdout 4 --extra-data {pairs}:0.2 --warmup 3 --grad-clip-norm 1 --checkpoint-every 4 --precision bf16
    --evaluate-every 1
    --device cpu --class-weights 0.2 --lr 1e-3
    --ema-decay 0.9"""
    return ["train", *options.split(), *more]


def start(arguments: list[str]) -> PreloadedProcess:
    return PreloadedProcess("seg", *arguments, merge=True)


def kill_when(process: PreloadedProcess, ready: Callable[[], bool]) -> None:
    while not ready():
        assert process.poll() is None, process.output
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def beat(run: Path) -> dict:
    try:
        return json.loads((run / "heartbeat.json").read_text())
    except FileNotFoundError:
        return {"step": -1}


def finish(arguments: list[str]) -> str:
    process = start(arguments)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def unbroken(pairs, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    finish(command(pairs, run))
    return run


def test_a_killed_and_resumed_run_gives_identical_parameters(pairs, unbroken, tmp_path):
    run = tmp_path / "broken"
    process = start(command(pairs, run))
    kill_when(
        process, lambda: any((run / "checkpoints").glob(".writing-*"))
    )  # during the first checkpoint: none is complete yet
    assert Run(run).load_latest() is None
    resume = ["train", "--resume", str(run)]
    process = start(resume)
    kill_when(
        process, lambda: beat(run)["step"] >= 5 and Run(run).checkpoints.joinpath("step-00000004").exists()
    )
    assert beat(run)["step"] < STEPS
    finish(resume)
    uninterrupted, resumed = load_file(unbroken / "model.safetensors"), load_file(run / "model.safetensors")
    assert uninterrupted.keys() == resumed.keys()
    assert [key for key in uninterrupted if not torch.equal(uninterrupted[key], resumed[key])] == []
    timeless = [{k: v for k, v in line.items() if k != "seconds"} for line in Run(unbroken).metrics()]
    assert timeless == [{k: v for k, v in line.items() if k != "seconds"} for line in Run(run).metrics()]
    assert not list((run / "checkpoints").glob(".writing-*"))


def test_a_run_folder_has_all_its_files(unbroken):
    assert beat(unbroken)["status"] == "finished" and beat(unbroken)["step"] == STEPS
    assert {p.name for p in unbroken.iterdir()} == {
        *(
            "config.json",
            "metrics.jsonl",
            "heartbeat.json",
            "log.txt",
            "checkpoints",
            "model.safetensors",
            "strip",
        )
    }
    config = json.loads((unbroken / "config.json").read_text())
    assert config["command"].startswith("python -m seg train --data ") and config["batch_size"] == 2
    held_out = [line for line in Run(unbroken).metrics() if "8s" in line]
    assert [line["epoch"] for line in held_out] == [0, 1]
    assert 0 <= held_out[1]["32s"]["mean_iou"] <= 1
    model = load_file(unbroken / "model.safetensors")
    assert float(model["score8.weight"].abs().sum()) > 0


def test_finished_runs_are_neither_resumed_nor_overwritten(unbroken, pairs):
    with pytest.raises(TrainError, match="is finished. Publish it"):
        lifecycle.resume(unbroken)
    with pytest.raises(RunError, match="is not empty; a run is never overwritten"):
        lifecycle.train(small(pairs, unbroken))


def test_a_running_training_cannot_be_resumed_elsewhere(pairs, tmp_path):
    run = tmp_path / "busy"
    process = start(command(pairs, run))
    while beat(run)["step"] < 1:
        assert process.poll() is None, process.output
        time.sleep(0.01)
    with pytest.raises(TrainError, match="Another process is training"):
        lifecycle.resume(run)
    process.kill()
    process.communicate()
    assert not Run(run).alive()


def test_corrupt_checkpoints_and_changed_pairs_are_detected(pairs, tmp_path):
    mine = tmp_path / "pairs"
    shutil.copytree(pairs, mine)
    config = small(mine, tmp_path / "run", checkpoint_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            trainer, "save_tensors", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(TrainError, match="disk is full"):
            lifecycle.train(config)
    changed, pair = mine / "train" / "1.jpg", (mine / "train" / "1.jpg").read_bytes()
    changed.write_bytes((mine / "train" / "2.jpg").read_bytes())
    with pytest.raises(TrainError, match="has changed since this run started"):
        lifecycle.resume(config.out)
    changed.unlink()
    with pytest.raises(TrainError, match="has changed since this run started"):
        lifecycle.resume(config.out)
    changed.write_bytes(pair)
    files = sorted(config.out.glob("checkpoints/*/model.safetensors"))
    intact = files[0].read_bytes()
    files[0].write_bytes(b"damaged")
    whole = bytearray(files[1].read_bytes())
    whole[len(whole) // 2] ^= 1  # a single bit in the middle of the numbers
    files[1].write_bytes(whole)
    with pytest.raises(RunError, match="None of the checkpoints"):
        lifecycle.resume(config.out)
    files[0].write_bytes(intact)
    (config.out / "log.txt").write_text("")
    lifecycle.resume(config.out)
    newest, before = files[1].parent.name, int(files[0].parent.name.removeprefix("step-"))
    log = (config.out / "log.txt").read_text()
    assert (
        f"warning: the checkpoint {newest} cannot be read" in log
        and f"training from step {before} of 6" in log
    )
    assert beat(config.out)["status"] == "finished"


def test_ctrl_c_saves_and_ends_cleanly(pairs, tmp_path):
    run = tmp_path / "stopped"
    process = start(command(pairs, run, "--checkpoint-every", "1000"))
    while beat(run)["step"] < 2:
        assert process.poll() is None, process.output
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert f"Resume with: python -m seg train --resume {run}\n" in output
    assert beat(run)["status"] == "stopped"
    _, _, state = Run(run).load_latest()
    assert state["step"] == beat(run)["step"] < STEPS


def small(pairs: Path, out: Path, **more) -> TrainConfig:
    chosen = {
        "encoder_weights": "none",
        "epochs": 1,
        "batch_size": 2,
        "height": 32,
        "holdout": 2,
        "device": "cpu",
    } | more
    return TrainConfig(data=pairs, out=out, **chosen)


def test_a_nan_loss_keeps_the_last_checkpoint(pairs, tmp_path, monkeypatch):
    real, calls = trainer.segmentation_loss, []

    def nan_after_nine(*arguments):
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 9 else 1)

    monkeypatch.setattr(trainer, "segmentation_loss", nan_after_nine)
    run = tmp_path / "nan"
    with pytest.raises(TrainError, match="no longer (a number|finite)"):
        lifecycle.train(small(pairs, run, checkpoint_every=2))
    model, _, state = Run(run).load_latest()
    assert state["step"] == 2 and all(bool(v.isfinite().all()) for v in model.values())
    assert beat(run)["status"] == "failed" and "no longer" in beat(run)["message"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OSError(28, "No space left on device"), "The disk is full"),
        (OSError(30, "Read-only file system", "runs/it/a"), "Nothing can be written in runs/it"),
        (BrokenPipeError(32, "Broken pipe"), "What read its output has ended"),
        (torch.OutOfMemoryError("CUDA out of memory"), "Out of memory: choose a smaller --batch-size"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "Out of memory",
        ),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "The disk is full",
        ),
    ],
)
def test_faults_are_reported_and_keep_the_last_checkpoint(pairs, tmp_path, monkeypatch, fault, message):
    real, run = Run.save, tmp_path / "faulty"

    def failing(self, step, *arguments):
        if step > 1:
            raise fault
        real(self, step, *arguments)

    monkeypatch.setattr(Run, "save", failing)
    with pytest.raises(TrainError, match=f"{message}.*--resume"):
        lifecycle.train(small(pairs, run, checkpoint_every=1))
    assert Run(run).load_latest()[2]["step"] == 1
    assert message in beat(run)["message"]


def test_training_reduces_the_loss(pairs, tmp_path):
    config = small(
        pairs,
        tmp_path / "run",
        holdout=0,
        epochs=6,
        height=64,
        color_jitter=0,
        scale=(1.0, 1.0),
        warmup=5,
        lr=1e-3,
    )
    lifecycle.train(config)
    losses = [line["loss"] for line in Run(config.out).metrics()]
    assert losses[-1] < 3 * math.log(19) * 0.75  # random guessing gives ln 19 per variant


def test_invalid_settings_are_refused_before_anything_is_created(pairs, tmp_path):
    for wrong, message in (
        ({"height": 40}, "--height must be a multiple of 32"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"variants": ("8s", "4s")}, "has no variant 4s"),
        (
            {"arch": "unet-resnet50", "variants": ("8s",)},
            "U-Net on ResNet-50 has no variant 8s; it comes as unet",
        ),
        ({"ema_decay": 1.0}, "--ema-decay"),
        ({"init_from": "some"}, "--init-from brings its encoder"),
        ({"scale": (2.0, 1.0)}, "--scale"),
        ({"lr": -1.0}, "must be above 0"),
    ):
        with pytest.raises(TrainError, match=message):
            small(pairs, tmp_path / "never", **wrong)
    with pytest.raises(TrainError, match="less than a batch"):
        lifecycle.train(small(pairs, tmp_path / "few", holdout=13))
    with pytest.raises(TrainError, match="--extra-data takes DIR:SHARE"):
        lifecycle.train(small(pairs, tmp_path / "mixed", extra_data=("nowhere",)))
    with pytest.raises(DatasetError, match="There is no folder nowhere"):
        lifecycle.train(small(pairs, tmp_path / "mixed", extra_data=("nowhere:0.1",)))
    assert not list(tmp_path.iterdir())


def test_a_start_checks_the_pairs_once(pairs, tmp_path, monkeypatch):
    check, calls = lifecycle.check_pairs, []
    monkeypatch.setattr(lifecycle, "check_pairs", lambda config: (calls.append(config), check(config))[1])
    monkeypatch.setattr(lifecycle.Session, "work", lambda session: None)
    lifecycle.train(small(pairs, tmp_path / "run"))
    assert len(calls) == 1


class StepClock:
    """A clock that advances by half a second whenever it is read, however busy the machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now


def test_a_timed_training_ends_in_time_and_is_evaluated(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "time", StepClock())
    config = small(pairs, tmp_path / "run", minutes=0.5, epochs=1, batch_size=4, holdout=2, warmup=1)
    lifecycle.train(config)
    run = Run(config.out)
    lines, heartbeat = run.metrics(), run.read_heartbeat()
    trained, scored = [line for line in lines if "loss" in line], [line for line in lines if "8s" in line]
    assert heartbeat["status"] == "finished" and 3 < trained[-1]["seconds"] <= 60 * config.minutes
    assert heartbeat["steps"] == heartbeat["step"] == trained[-1]["step"] == scored[-1]["step"]
    assert trained[-1]["epoch"] > 0  # --epochs has no effect
    rates = [line["lr"] for line in trained]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.25 * rates[0]
    assert "of 0.5 minutes" in (config.out / "log.txt").read_text()


def test_a_resumed_timed_training_uses_the_time_that_is_left(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "time", StepClock())
    config = small(pairs, tmp_path / "run", minutes=0.5, batch_size=4, warmup=1, checkpoint_every=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "_update_closing", stop_after(7))
        with pytest.raises(KeyboardInterrupt):
            lifecycle.train(config)
    run = Run(config.out)
    before = run.state()
    assert before["step"] == 6 and 0 < before["seconds"] < 30
    lifecycle.resume(config.out)
    after = run.state()
    assert before["seconds"] < after["seconds"] <= 30 - after["closing_seconds"] + 3


def stop_after(step: int) -> Callable[[trainer.Trainer], None]:
    def stop(training: trainer.Trainer) -> None:
        if training.step >= step:
            raise KeyboardInterrupt

    return stop


def test_an_evaluation_that_was_killed_is_repeated(pairs, tmp_path, monkeypatch):
    """The checkpoint before the last evaluation has all steps; none is trained again."""
    config = small(pairs, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "save_snapshot", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lifecycle.train(config)
    run = Run(config.out)
    assert run.state()["step"] == 6 and not [line for line in run.metrics() if "8s" in line]
    monkeypatch.setattr(trainer.Trainer, "train_step", None)
    lifecycle.resume(config.out)
    assert [line["epoch"] for line in run.metrics() if "8s" in line] == [0]
    assert beat(config.out)["status"] == "finished"


def test_an_interrupt_waits_for_no_evaluation(pairs, tmp_path, monkeypatch):
    config = small(pairs, tmp_path / "run", epochs=2, evaluate_every=1)
    real = trainer.Trainer._agree
    monkeypatch.setattr(
        trainer.Trainer, "_agree", lambda self, _, seconds: real(self, self.step == 6, seconds)
    )
    lifecycle.train(config)
    assert beat(config.out)["status"] == "stopped" and Run(config.out).state()["step"] == 6
    assert not [line for line in Run(config.out).metrics() if "8s" in line]
    monkeypatch.undo()
    lifecycle.resume(config.out)
    assert [line["epoch"] for line in Run(config.out).metrics() if "8s" in line] == [0, 1]


def test_config_survives_json(pairs):
    config = small(
        pairs,
        Path("runs/x"),
        extra_data=("a:0.1",),
        scale=(0.75, 2.0),
        init_from="x",
        encoder_weights="imagenet",
    )
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(TrainError, match="does not know: speed"):
        TrainConfig.from_json(config.to_json() | {"speed": 1})


def test_a_stage_copies_matching_tensors_and_logs_them(pairs, tmp_path):
    coarse, fine = tmp_path / "32s", tmp_path / "16s"
    lifecycle.train(small(pairs, coarse, variants=("32s",)))
    lifecycle.train(
        small(
            pairs,
            fine,
            variants=("16s",),
            encoder_weights="imagenet",
            init_from=str(coarse),
            lr=1e-9,
            encoder_lr=1e-9,
        )
    )
    log = (fine / "log.txt").read_text()
    assert (
        "copied  encoder.resnet.conv1.weight (64, 3, 7, 7)\n" in log
        and "copied  score32.weight (19, 2048, 1, 1)\n" in log
    )
    new, dropped = (
        {line.split()[3].split(".")[0] for line in log.splitlines() if f" {word} " in line}
        for word in ("new", "dropped")
    )
    assert (new, dropped) == ({"score16", "upscore16", "upscore2"}, {"upscore32"})
    assert f"{log.count(' copied ')} tensors copied, {log.count(' new ')} new, 1 dropped\n" in log
    coarse_state, fine_state = load_file(coarse / "model.safetensors"), load_file(fine / "model.safetensors")
    torch.testing.assert_close(
        coarse_state["score32.weight"], fine_state["score32.weight"], atol=1e-6, rtol=0
    )
    parent = Run(fine).config()["lineage"]
    assert parent["name"] == str(coarse) and parent["photos"] == 12 and parent["parent"] is None
    assert TrainConfig.from_json(Run(fine).config()).init_from == str(coarse)
    with pytest.raises(TrainError, match="U-Net on ResNet-50 cannot start from .*: that is FCN on ResNet-50"):
        lifecycle.train(
            small(
                pairs,
                tmp_path / "never",
                arch="unet-resnet50",
                encoder_weights="imagenet",
                init_from=str(coarse),
            )
        )
    with pytest.raises(TrainError, match="is not finished"):
        Run(tmp_path / "unfinished").create(Run(coarse).config())
        lifecycle.train(
            small(
                pairs, tmp_path / "never", encoder_weights="imagenet", init_from=str(tmp_path / "unfinished")
            )
        )
    assert not (tmp_path / "never").exists()
    with pytest.raises(WeightsError, match='no weights named "nothing"'):
        lifecycle.train(small(pairs, tmp_path / "never", encoder_weights="imagenet", init_from="nothing"))


def test_a_run_from_weights_restarts_before_its_first_checkpoint(pairs, tmp_path):
    coarse, run = tmp_path / "coarse", tmp_path / "run"
    lifecycle.train(small(pairs, coarse))
    config = small(pairs, run, encoder_weights="imagenet", init_from=str(coarse))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lifecycle.train(config)
    lifecycle.resume(run)
    assert (run / "log.txt").read_text().count(f"{coarse}: 329 tensors copied, 0 new, 0 dropped") == 2


def test_a_stage_waits_for_its_stopped_parent(pairs, tmp_path):
    parent = Run(tmp_path / "parent")
    lifecycle.create(small(pairs, parent.folder, variants=("32s",)), "")
    parent.write_heartbeat(0, "running", pid=os.getppid())  # a process that is alive
    run = lifecycle.create(
        small(
            pairs,
            tmp_path / "next",
            variants=("16s",),
            init_from=str(parent.folder),
            encoder_weights="imagenet",
        ),
        "",
    )
    parent.write_heartbeat(0, "stopped")
    process = start(["train", "--resume", str(run.folder)])
    while "ended early" not in beat(run.folder).get("message", ""):
        assert process.poll() is None, process.output
        time.sleep(0.05)
    assert beat(run.folder)["status"] == "queued"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert beat(run.folder)["status"] == "stopped"


def test_frozen_batchnorm_keeps_statistics_and_averaged_weights_lag(pairs, tmp_path):
    plain, frozen = tmp_path / "plain", tmp_path / "frozen"
    lifecycle.train(small(pairs, plain, ema_decay=0.99))
    lifecycle.train(small(pairs, frozen, freeze_batchnorm=True))
    key = "encoder.resnet.bn1.running_mean"
    assert float(load_file(frozen / "model.safetensors")[key].abs().sum()) == 0
    last, _, _ = Run(plain).load_latest()
    averaged = load_file(plain / "model.safetensors")
    assert set(last) == {*averaged, *(f"average.module.{k}" for k in averaged), "average.n_averaged"}
    assert 0 < averaged[key].abs().sum() < 0.9 * last[key].abs().sum()


@pytest.mark.parametrize("arch", ["fcn-vgg16", "unet-resnet50", "dilated-resnet50"])
def test_rivals_train_through_the_same_command(pairs, tmp_path, arch):
    run = tmp_path / arch
    lifecycle.train(small(pairs, run, arch=arch, epochs=2, evaluate_every=1))
    variants = ARCHITECTURES[arch].variants
    held_out = [line for line in Run(run).metrics() if variants[-1] in line]
    assert len(held_out) == 2 and set(variants) <= set(held_out[0])
    assert Run(run).config()["variants"] == list(variants)


def test_a_compiled_network_keeps_its_tensor_names(pairs, tmp_path, monkeypatch):
    # traced as usual, but not compiled to C++, which takes two minutes
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    run = tmp_path / "compiled"
    lifecycle.train(small(pairs, run, compile=True, variants=("32s",), batch_size=6))
    plain = create_model("fcn-resnet50", 19, ("32s",)).state_dict()
    assert load_file(run / "model.safetensors").keys() == plain.keys()
