"""The registry accepts valid weights and refuses others with a message."""

import dataclasses
import hashlib
import json
import pickle
import shlex
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load, save

from seg.cli import main
from seg.models.model_card import MAX_CARD_BYTES, WeightsError
from seg.models.registry import (
    CARD_FILE,
    DEFAULT_WEIGHTS,
    METHODS,
    WEIGHTS_FILE,
    list_weights,
    load_weights,
    read_card,
    verify_weights,
)
from seg.training.config import TrainConfig

SHIPPED = Path(__file__).parents[3] / "weights"


@pytest.fixture
def copied(registry: Path, tmp_path: Path) -> Path:
    shutil.copytree(registry, tmp_path / "registry")
    return tmp_path / "registry"


def edit(folder: Path, **changes) -> None:
    path = folder / DEFAULT_WEIGHTS / CARD_FILE
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in card.items() if v != "drop"}))


def test_published_weights_load_and_verify(registry):
    assert list_weights(registry) == [DEFAULT_WEIGHTS]
    model, card = load_weights(DEFAULT_WEIGHTS, registry)
    assert not model.training and next(model.parameters()).dtype.is_floating_point
    assert verify_weights(DEFAULT_WEIGHTS, registry) == card == read_card(DEFAULT_WEIGHTS, registry)


def test_a_calibration_must_fit_the_variants(copied):
    values = {"32s": 1.1, "16s": 1.2, "8s": 1.3}
    edit(copied, calibration={"images": 2, "temperature": values, "max_logit_limit": values})
    assert read_card(DEFAULT_WEIGHTS, copied).calibration["temperature"]["16s"] == 1.2
    for wrong in ({"8s": 1.0}, values | {"8s": 0.0}):
        edit(copied, calibration={"images": 2, "temperature": wrong, "max_logit_limit": values})
        with pytest.raises(WeightsError, match="calibration"):
            read_card(DEFAULT_WEIGHTS, copied)


@pytest.mark.parametrize("name", METHODS)
def test_shipped_weights_are_complete_and_state_their_origin(name):
    card = verify_weights(name, SHIPPED)
    assert card.bytes < 70e6 and "Cityscapes terms" in card.licence
    assert card.metrics["split"] == "val" and card.metrics["images"] == 500
    if card.architecture == "fcn-vgg16":
        assert card.encoder["name"] == "none"
    else:
        assert (
            "ImageNet, pruned 8-bit ResNet-50" in card.encoder["source"] and card.encoder["licence"] == "MIT"
        )
    if card.architecture != "unet-resnet50":
        scores = card.metrics["variants"]
        assert scores["8s"]["mean_iou"] > scores["16s"]["mean_iou"] > scores["32s"]["mean_iou"]


@pytest.mark.parametrize("name", METHODS)
def test_a_shipped_card_states_its_actual_training(name):
    card = read_card(name, SHIPPED)
    assert card.training is not None
    assert card.samples_seen == card.training["steps"] * card.config["batch_size"]
    assert card.hours == round(card.training["seconds"] / 3600, 2)
    program, arguments = card.command.split(" -m seg ")
    typed = main.parse(shlex.split(arguments))
    expected = TrainConfig(
        **{field.name: getattr(typed, field.name) for field in dataclasses.fields(TrainConfig)}
    )
    assert program == "python" and expected == TrainConfig.from_json(card.config)
    if card.training["ended"] == "time":
        assert (
            abs(60 * expected.minutes - card.training["seconds"]) < 0.5 and card.training["last_rate"] < 0.01
        )
    else:
        assert (
            card.training["steps"] < card.training["planned_steps"]
        )  # stopped by the user; the command is that of the full training


def test_shipped_weights_have_their_measured_scores():
    least = {"unet": 0.565} | dict(zip(("32s", "16s", "8s"), (0.597, 0.626, 0.636), strict=True))
    for name in (METHODS[0], DEFAULT_WEIGHTS):
        for variant, report in read_card(name, SHIPPED).metrics["variants"].items():
            assert report["mean_iou"] > least[variant]
    assert read_card(METHODS[1], SHIPPED).metrics["variants"]["8s"]["mean_iou"] > 0.40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": "drop", "licence": "drop"}, "it lacks licence, metrics"),
        ({"color": "red"}, "color is unknown"),
        ({"format": 1}, "has format 1; this version reads format 3. Publish the weights again"),
        ({"format": 4}, "has format 4; this version reads format 3. Update"),
        ({"variants": "8s"}, "the value of variants has the wrong type"),
        ({"working_height": "tall"}, "the value of working_height has the wrong type"),
        ({"variants": ["4s"]}, "its architecture has no such variants"),
        ({"classes": ["road"]}, "its classes are not"),
        ({"variants": [["8s"]]}, "the value of variants has the wrong type"),
        ({"metrics": {"variants": {"8s": {"mean_iou": "x"}}}}, "its metrics are not those of this version"),
        (
            {"metrics": {"split": "val", "images": 1, "digest": "", "variants": {"8s": []}}},
            "its metrics are not",
        ),
        ({"height_search": {"448": {"8s": "<b>"}}}, "the value of height_search has the wrong type"),
        ({"resize_mode": "width"}, "does not know its resize_mode"),
        ({"working_height": -5}, "its working height"),
        ({"mean": [0.5, 0.5, 0.5]}, "its preprocessing"),
        ({"architecture": "unet"}, "does not know its architecture"),
        ({"name": "other"}, "is that of other"),
        ({"sha256": "0" * 64}, "differs from the file that its card describes"),
        (
            {"encoder": {"name": "none", "strides": "v9", "source": "", "licence": ""}},
            "does not know its encoder",
        ),
        ({"encoder": {"strides": "v1"}}, "the value of encoder has the wrong type"),
        (
            {"encoder": {"name": "none", "strides": "v1", "source": ["<b>"], "licence": ""}},
            "the value of encoder has the wrong type",
        ),
    ],
)
def test_an_invalid_card_is_refused(copied, changes, message):
    edit(copied, **changes)
    with pytest.raises(WeightsError, match=message):
        load_weights(DEFAULT_WEIGHTS, copied)


def test_a_changed_or_missing_file_is_refused(copied):
    path = copied / DEFAULT_WEIGHTS / WEIGHTS_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="differs from the file that its card describes"):
        verify_weights(DEFAULT_WEIGHTS, copied)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(DEFAULT_WEIGHTS, copied)


def test_a_pickle_is_never_read(copied, tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    published(copied, pickle.dumps(Harm()))
    with pytest.raises(WeightsError, match="do not fit its card"):
        load_weights(DEFAULT_WEIGHTS, copied)
    assert not (tmp_path / "harmed").exists()


def published(folder: Path, content: bytes) -> None:
    """Publishes malicious content: the card has the checksum of the file."""
    (folder / DEFAULT_WEIGHTS / WEIGHTS_FILE).write_bytes(content)
    edit(folder, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.slow
def test_inconsistent_files_are_refused_despite_a_matching_card(copied):
    whole = (copied / DEFAULT_WEIGHTS / WEIGHTS_FILE).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    first = "score32.weight"

    def changed_file(**changes) -> bytes:
        new_header = json.dumps(header | {first: header[first] | changes}).encode()
        return len(new_header).to_bytes(8, "little") + new_header + whole[8 + length :]

    start, end = header[first]["data_offsets"]
    contents = [
        b"",
        whole[:7],
        whole[: len(whole) // 2],
        (2**63).to_bytes(8, "little") + whole[8:],
        (100).to_bytes(8, "little") + whole[8:],
        changed_file(data_offsets=[start, end + 2**40]),
        changed_file(data_offsets=[end, start]),
        changed_file(shape=[2**31, 2**31]),
        changed_file(dtype="F999"),
        changed_file(shape=[1]),
    ]
    for content in contents:
        published(copied, content)
        with pytest.raises(WeightsError, match="do not fit its card"):
            load_weights(DEFAULT_WEIGHTS, copied)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_parameters_are_refused(copied, value):
    state = load((copied / DEFAULT_WEIGHTS / WEIGHTS_FILE).read_bytes())
    state["score32.weight"].view(-1)[3] = value
    published(copied, save(state))
    with pytest.raises(WeightsError, match="cannot be used: score32.weight is not finite"):
        load_weights(DEFAULT_WEIGHTS, copied)


def test_an_interrupted_publication_is_not_listed(copied):
    shutil.copytree(copied / DEFAULT_WEIGHTS, copied / ".publishing-x")
    assert list_weights(copied) == [DEFAULT_WEIGHTS]


def test_damaged_cards_and_invalid_names_are_refused(copied):
    for name in ("../outside", "a/b", "", ".hidden", "x" * 200):
        with pytest.raises(WeightsError, match="is not a valid name of weights"):
            read_card(name, copied)
    with pytest.raises(WeightsError, match=f'no weights named "other". Published here: {DEFAULT_WEIGHTS}'):
        read_card("other", copied)
    for text in ("{", "[]", "\x00", "[" * 100_000, " " * (MAX_CARD_BYTES + 1) + "{}"):
        (copied / DEFAULT_WEIGHTS / CARD_FILE).write_text(text)
        with pytest.raises(WeightsError, match="is damaged"):
            read_card(DEFAULT_WEIGHTS, copied)


def test_a_card_of_format_2_is_converted(copied):
    path = copied / DEFAULT_WEIGHTS / CARD_FILE
    former = json.loads(path.read_bytes())
    for key, old in (
        *(("resize_mode", "working_rule"), ("height_search", "heights_tried")),
        *(("init_from", "parent"), ("samples_seen", "photos")),
    ):
        former[old] = former.pop(key)
    former |= {"format": 2, "working_rule": "height", "photos": 12}
    path.write_text(json.dumps(former))
    card = read_card(DEFAULT_WEIGHTS, copied)
    assert (card.format, card.resize_mode, card.samples_seen, card.init_from) == (3, "fit_height", 12, None)


def test_missing_weights_of_the_repository_are_named_with_their_place(monkeypatch, tmp_path):
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path))
    for name in METHODS:
        with pytest.raises(
            WeightsError, match=rf"{name} are not here. Copy the folder weights/{name} .* to {tmp_path}\."
        ):
            read_card(name)
    with pytest.raises(WeightsError, match='no weights named "other"'):
        read_card("other")
