"""Data sets without labels or without val, and with names that are not UTF-8, in all commands."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from seg import jobs
from seg.data.datasets import load_split
from seg.data.decode_cache import HELD_OUT
from seg.data.label_check import LabelHalfError, check_labels
from seg.data.pairs import SIDE, content_hash, find_pairs
from seg.evaluation import evaluate, store
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from seg.publishing import publish
from seg.training import lifecycle
from seg.training.config import TrainConfig, TrainError
from seg.training.run import Run
from tests.support.command import run_command

TRAIN = ("--epochs", 1, "--batch-size", 2, "--height", 32, "--encoder-weights", "none", "--device", "cpu")


@pytest.fixture(autouse=True)
def folders(registry, monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setenv("SEG_RUNS", str(tmp_path / "runs"))


def black_and_white(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    mask = Image.new("RGB", right.size)
    ImageDraw.Draw(mask).ellipse((50, 80, 200, 200), fill="white")
    return left, mask


def swapped(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return right, left


def black(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return left, Image.new("RGB", right.size)


def class_ids(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return left, Image.fromarray((np.asarray(right) % 19).astype(np.uint8))


def two_photos(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return left, left.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def blue_and_red(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return left, Image.merge("RGB", right.split()[::-1])


def two_labels(left: Image.Image, right: Image.Image) -> tuple[Image.Image, Image.Image]:
    return right.transpose(Image.Transpose.FLIP_LEFT_RIGHT), right


def change(file: Path, halves: Callable) -> None:
    with Image.open(file) as picture:
        pair = picture.convert("RGB")
    left, right = halves(pair.crop((0, 0, SIDE, SIDE)), pair.crop((SIDE, 0, 2 * SIDE, SIDE)))
    pair.paste(left, (0, 0))
    pair.paste(right, (SIDE, 0))
    pair.save(file, "JPEG", quality=95)


def changed(pairs: Path, to: Path, halves: Callable) -> Path:
    for split in ("train", "val"):
        shutil.copytree(pairs / split, to / split)
        for file in (to / split).iterdir():
            change(file, halves)
    return to


def output_of(capsys: pytest.CaptureFixture) -> str:
    return " ".join(" ".join(capsys.readouterr()).split())


@pytest.mark.parametrize(
    "halves", [black_and_white, swapped, black, class_ids, two_photos, blue_and_red, two_labels]
)
def test_a_set_without_labels_is_refused_with_one_sentence(pairs, tmp_path, capsys, halves):
    data = changed(pairs, tmp_path / "data", halves)
    problem = {
        swapped: "the halves are swapped",
        blue_and_red: "red and blue are exchanged",
        two_labels: "has a usable photo: both halves show labels",
    }.get(halves, "does not show the classes of Cityscapes")
    sentences = {}
    for split in ("train", "val"):
        with pytest.raises(LabelHalfError) as caught:
            check_labels(find_pairs(data, split))
        sentences[split] = str(caught.value)
        assert problem in sentences[split] and "1.jpg, 2.jpg, 3.jpg" in sentences[split]
    for arguments, split in (
        (("data", "check", data), "train"),
        (("train", "--data", data, "--holdout", 2, *TRAIN), "train"),
        (("cost", "--data", data, "--holdout", 2, *TRAIN), "train"),
        (("evaluate", DEFAULT_WEIGHTS, "--data", data), "val"),
        (("resolution", DEFAULT_WEIGHTS, "--data", data), "val"),
        (("leaderboard", "--data", data), "val"),
    ):
        assert run_command(*arguments) == 1, arguments
        output = output_of(capsys)
        assert sentences[split] in output and "Traceback" not in output and "nan" not in output
    assert not (tmp_path / "runs").exists()
    with pytest.raises(LabelHalfError, match=re.escape(sentences["val"])):
        evaluate.evaluate(DEFAULT_WEIGHTS, data)
    with pytest.raises(LabelHalfError, match=re.escape(sentences["val"])):
        jobs.evaluate(DEFAULT_WEIGHTS, data, tmp_path / "scores", 3)


def test_some_void_labels_are_named_and_do_not_stop_training(pairs, tmp_path, capsys):
    data = changed(pairs, tmp_path / "data", lambda left, right: (left, right))
    change(data / "train" / "2.jpg", black_and_white)
    change(data / "train" / "5.jpg", swapped)
    change(data / "train" / "6.jpg", two_labels)
    change(data / "val" / "1.jpg", black)
    assert run_command("data", "check", data) == 1
    output = output_of(capsys)
    assert "3 of the 14 pairs in" in output and "2 without a usable label, 1 without a photo" in output
    assert "1 of the 3 pairs in" in output and "traffic light" in output
    assert "train/6.jpg has no usable photo: both halves show labels" in output
    assert "train/2.jpg has no usable label: the right half" in output
    assert "train/5.jpg has no usable label: the halves are swapped" in output
    assert "val/1.jpg has no usable label" in output and "nan" not in output
    assert run_command("train", "--data", data, "--holdout", 2, *TRAIN) == 0
    assert "nan" not in output_of(capsys)
    assert run_command("evaluate", DEFAULT_WEIGHTS, "--data", data) == 0
    assert "nan" not in output_of(capsys)
    assert run_command("evaluate", DEFAULT_WEIGHTS, "--data", data, "--limit", 1) == 1
    assert "val/1.jpg has no usable label" in output_of(capsys)


@pytest.mark.parametrize("bad", [range(1, 13), range(13, 15)])
def test_train_and_the_held_out_slice_each_need_a_label(pairs, tmp_path, bad):
    data = changed(pairs, tmp_path / "data", lambda left, right: (left, right))
    for number in bad:
        change(data / "train" / f"{number}.jpg", black_and_white)
    config = TrainConfig(data=data, holdout=2, batch_size=2, encoder_weights="none", device="cpu")
    with pytest.raises(LabelHalfError, match=f"None of the {len(bad)} pairs in .*train .{bad[0]}.jpg"):
        lifecycle.create(config, "")
    assert not config.out.exists()


def test_a_damaged_pair_does_not_hide_the_reason_of_a_failed_evaluation(pairs, tmp_path, capsys):
    shutil.copytree(pairs / "val", tmp_path / "val")
    (tmp_path / "val" / "3.jpg").write_bytes(b"x")
    assert run_command("evaluate", DEFAULT_WEIGHTS, "--data", tmp_path, "--keep") == 1
    assert "3.jpg cannot be read" in output_of(capsys)
    digest = content_hash(find_pairs(tmp_path, "val"))
    folder = store.store_dir(read_card(DEFAULT_WEIGHTS).sha256, digest)
    assert "3.jpg cannot be read" in json.loads((folder / "scoring.json").read_text())["message"]


@pytest.fixture
def without_val(pairs, tmp_path) -> Path:
    shutil.copytree(pairs / "train", tmp_path / "data" / "train")
    return tmp_path / "data"


def test_without_val_and_held_out_pairs_training_is_refused(without_val, capsys):
    assert run_command("train", "--data", without_val, "--holdout", 0, *TRAIN) == 1
    output = output_of(capsys)
    assert "has no val, and no samples of train are held out" in output and "--holdout" in output
    with pytest.raises(TrainError, match="has no val"):
        lifecycle.check_pairs(TrainConfig(data=without_val, holdout=0, batch_size=2))
    assert run_command("data", "check", without_val) == 0 and "has no val" in output_of(capsys)


def test_other_names_of_val_are_named_with_the_remedy(pairs, without_val, capsys):
    named = shutil.copytree(pairs / "val", without_val / "validation")
    sentence = f"There are pairs in {named}: rename this folder to val."
    assert run_command("train", "--data", without_val, "--holdout", 0, *TRAIN) == 1
    assert sentence in output_of(capsys)
    assert sentence in lifecycle.check_pairs(TrainConfig(data=without_val, holdout=2, batch_size=2))
    assert run_command("data", "check", without_val) == 0 and sentence in output_of(capsys)
    named.rename(without_val / "Val")
    shutil.rmtree(without_val / "train")
    assert run_command("data", "check", without_val) == 0
    assert "has no train: it can be used for evaluations only." in output_of(capsys)
    assert run_command("train", "--data", without_val, "--holdout", 0, *TRAIN) == 1
    assert f"There are pairs in {without_val / 'Val'} only: add" in output_of(capsys)


def test_without_val_the_held_out_slice_is_evaluated_and_named(
    without_val, pairs, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    assert run_command("train", "--data", without_val, "--holdout", 2, "--out", out, *TRAIN) == 0
    assert "has no val: publish will evaluate the network on the 2 held-out samples" in output_of(capsys)
    assert "warning: " in (out / "log.txt").read_text()
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path / "weights"))
    assert run_command("publish", out, "--name", "mine") == 0
    output = output_of(capsys)
    assert f"mine on {HELD_OUT}, 2 samples" in output and "chosen on the same samples" in output
    card = read_card("mine")
    held_out = load_split(without_val, "train").held_out(2)
    assert (card.metrics["split"], card.metrics["images"]) == (HELD_OUT, 2)
    assert card.metrics["digest"] == held_out.digest == content_hash(held_out.files)
    assert [file.name for file in held_out.files] == ["13.jpg", "14.jpg"]
    assert run_command("weights", "list") == 0
    assert f"{HELD_OUT}, 2 samples" in output_of(capsys)

    for file in (without_val / "train").glob("1*.jpg"):
        file.unlink()
    with pytest.raises(publish.PublishError, match="has no val.*--data DIR"):
        publish.publish(out, "other", 32)
    assert publish.publish(out, "other", 32, pairs).metrics["split"] == "val"


@pytest.mark.slow
def test_names_that_are_not_utf8_pass_through_all_commands(pairs, tmp_path, capsys, monkeypatch):
    data = Path(shutil.copytree(pairs, tmp_path / "data\udcff"))
    os.rename(data / "train" / "1.jpg", data / "train" / "1\udcff.jpg")
    os.rename(data / "val" / "1.jpg", data / "val" / "1\udcff.jpg")
    (tmp_path / "link\udcfe").symlink_to(data)
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path / "weights"))
    out, results = tmp_path / "runs" / "run\udcff", tmp_path / "results.json"
    for arguments in (
        ("data", "check", tmp_path / "link\udcfe"),
        ("train", "--data", data, "--holdout", 2, "--out", out, *TRAIN),
        ("runs", tmp_path / "runs"),
        ("publish", out, "--name", "odd", "--height", 32),
        ("evaluate", "odd", "--data", data, "--json", results),
        (
            "train",
            "--data",
            data,
            "--holdout",
            2,
            "--init-from",
            out,
            "--out",
            f"{out}2",
            *TRAIN[:-4],
            "--device",
            "cpu",
        ),
        ("weights", "list"),
    ):
        assert run_command(*arguments) == 0, ascii(arguments)
        output_of(capsys).encode()  # fails if a byte that is not UTF-8 was printed
    assert run_command("data", "check", tmp_path / "none\udcff") == 1
    assert r"There is no folder" in output_of(capsys)
    assert json.loads(results.read_text())["data"].endswith(r"data\xff")
    assert read_card("odd").config["data"].endswith(r"data\xff")
    assert Run(out).load_latest() is not None
    (out / "log.txt").read_text("utf-8")
    assert Path(Run(out).config()["data"]) == data  # so that it can be resumed


def test_a_damaged_model_of_a_run_is_reported(pairs, tmp_path, capsys):
    out = tmp_path / "run"
    assert run_command("train", "--data", pairs, "--holdout", 2, "--out", out, *TRAIN) == 0
    (out / "model.safetensors").write_bytes(b"damaged")
    assert run_command("publish", out, "--name", "mine") == 1
    assert "model.safetensors is damaged" in output_of(capsys)
