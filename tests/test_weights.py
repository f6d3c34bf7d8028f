"""The registry: what it accepts, and what it refuses in a sentence."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load, save

from seg import weights
from seg.weights import DEFAULT, WeightsError

SHIPPED = Path(__file__).parent.parent / "weights"


@pytest.fixture
def copied(registry: Path, tmp_path: Path) -> Path:
    shutil.copytree(registry, tmp_path / "registry")
    return tmp_path / "registry"


def edit(folder: Path, **changes) -> None:
    path = folder / DEFAULT / weights.CARD
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in card.items() if v != "drop"}))


def test_published_weights_load_and_verify(registry):
    assert weights.names(registry) == [DEFAULT]
    model, card = weights.load(DEFAULT, registry)
    assert not model.training and next(model.parameters()).dtype.is_floating_point
    assert weights.verify(DEFAULT, registry) == card == weights.read_card(DEFAULT, registry)


def test_the_shipped_weights_are_whole_and_say_where_they_come_from():
    card = weights.verify(DEFAULT, SHIPPED)
    assert card.variants == ["32s", "16s", "8s"] and card.bytes < 50e6
    assert "ImageNet, pruned 8-bit ResNet-50" in card.encoder["source"] and card.encoder["licence"] == "MIT"
    assert "Cityscapes terms" in card.licence and card.command.startswith("python -m seg train ")
    scores = card.metrics["variants"]
    assert card.metrics["split"] == "val" and card.metrics["images"] == 500
    assert scores["8s"]["mean_iou"] > scores["16s"]["mean_iou"] > scores["32s"]["mean_iou"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": "drop", "licence": "drop"}, "it lacks licence, metrics"),
        ({"colour": "red"}, "colour is unknown"),
        ({"format": 1}, "has format 1; this version reads format 2. Publish the weights again"),
        ({"format": 3}, "has format 3; this version reads format 2. Update"),
        ({"variants": "8s"}, "the value of variants is of the wrong kind"),
        ({"working_height": "tall"}, "the value of working_height is of the wrong kind"),
        ({"variants": ["4s"]}, "its architecture or variants"),
        ({"classes": ["road"]}, "its classes are not"),
        ({"variants": [["8s"]]}, "the value of variants is of the wrong kind"),
        ({"metrics": {"variants": {"8s": {"mean_iou": "x"}}}}, "its scores are not as this version has them"),
        ({"metrics": {"split": "val", "images": 1, "digest": "", "variants": {"8s": []}}}, "its scores are not"),
        ({"heights_tried": {"448": {"8s": "<b>"}}}, "the value of heights_tried is of the wrong kind"),
        ({"working_rule": "width"}, "its working rule"),
        ({"working_height": -5}, "its working height"),
        ({"mean": [0.5, 0.5, 0.5]}, "its preprocessing"),
        ({"architecture": "unet"}, "its architecture or variants"),
        ({"name": "other"}, "is that of other"),
        ({"sha256": "0" * 64}, "the hash differs"),
        ({"encoder": {"name": "none", "strides": "v9", "source": "", "licence": ""}}, "its encoder"),
        ({"encoder": {"strides": "v1"}}, "its encoder"),
        ({"encoder": {"name": "none", "strides": "v1", "source": ["<b>"], "licence": ""}}, "its encoder"),
    ],
)
def test_a_card_that_is_not_right_is_refused(copied, changes, words):
    edit(copied, **changes)
    with pytest.raises(WeightsError, match=words):
        weights.load(DEFAULT, copied)


def test_a_changed_or_missing_file_is_refused(copied):
    path = copied / DEFAULT / weights.FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is not the file that its card describes"):
        weights.verify(DEFAULT, copied)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load(DEFAULT, copied)


def test_a_pickle_is_never_read(copied, tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    published(copied, pickle.dumps(Harm()))
    with pytest.raises(WeightsError, match="do not fit its card"):
        weights.load(DEFAULT, copied)
    assert not (tmp_path / "harmed").exists()


def published(folder: Path, content: bytes) -> None:
    """What somebody publishes who means harm: the card knows the file."""
    (folder / DEFAULT / weights.FILE).write_bytes(content)
    edit(folder, sha256=hashlib.sha256(content).hexdigest())


def test_files_that_lie_or_do_not_fit_are_refused_though_their_card_knows_them(copied):
    whole = (copied / DEFAULT / weights.FILE).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    first = "score32.weight"

    def told(**changes) -> bytes:
        said = json.dumps(header | {first: header[first] | changes}).encode()
        return len(said).to_bytes(8, "little") + said + whole[8 + length :]

    start, end = header[first]["data_offsets"]
    lies = [
        b"",
        whole[:7],
        whole[: len(whole) // 2],
        (2**63).to_bytes(8, "little") + whole[8:],
        (100).to_bytes(8, "little") + whole[8:],
        told(data_offsets=[start, end + 2**40]),
        told(data_offsets=[end, start]),
        told(shape=[2**31, 2**31]),
        told(dtype="F999"),
        told(shape=[1]),
    ]
    for content in lies:
        published(copied, content)
        with pytest.raises(WeightsError, match="do not fit its card"):
            weights.load(DEFAULT, copied)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_no_finite_numbers_are_refused(copied, value):
    state = load((copied / DEFAULT / weights.FILE).read_bytes())
    state["score32.weight"].view(-1)[3] = value
    published(copied, save(state))
    with pytest.raises(WeightsError, match="are of no use: score32.weight holds what is no finite number"):
        weights.load(DEFAULT, copied)


def test_a_publication_cut_off_is_not_listed(copied):
    shutil.copytree(copied / DEFAULT, copied / ".publishing-x")
    assert weights.names(copied) == [DEFAULT]


def test_damaged_cards_and_unknown_or_wicked_names_are_refused(copied):
    for name in ("../outside", "a/b", "", ".hidden", "x" * 200):
        with pytest.raises(WeightsError, match="is no name of weights"):
            weights.read_card(name, copied)
    with pytest.raises(WeightsError, match=f'no weights named "other". Published here: {DEFAULT}'):
        weights.read_card("other", copied)
    for text in ("{", "[]", "\x00", "[" * 100_000, " " * (weights.LARGEST_CARD + 1) + "{}"):
        (copied / DEFAULT / weights.CARD).write_text(text)
        with pytest.raises(WeightsError, match="is damaged"):
            weights.read_card(DEFAULT, copied)
