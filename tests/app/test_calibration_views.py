"""What pages say about confidences: the note on unlike photos, the entropy layer, and temperature scaling."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from seg.data.datasets import load_split
from seg.evaluation import evaluate
from seg.inference.predictor import Predictor
from seg.models.model_card import to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import open_page, text
from tests.support.visitor import unpacked

NOTE = "This photo is unlike the training photos of"


def publish(registry: Path, folder: Path, **changes) -> None:
    """Copy the random weights with changes of their card."""
    shutil.copytree(registry / DEFAULT_WEIGHTS, folder / DEFAULT_WEIGHTS)
    card = dataclasses.replace(read_card(DEFAULT_WEIGHTS, registry), **changes)
    (folder / DEFAULT_WEIGHTS / CARD_FILE).write_bytes(to_json(card))


def calibration(limit: float) -> dict:
    variants = ("32s", "16s", "8s")
    return {
        "images": 200,
        "temperature": dict.fromkeys(variants, 1.5),
        "max_logit_limit": dict.fromkeys(variants, limit),
    }


@pytest.mark.parametrize(
    ("limit", "query", "expected"),
    [
        (1e4, {}, True),
        (-1e4, {}, False),
        (None, {}, False),
        (1e4, {"detail": "Fast"}, False),
    ],
)
def test_photos_below_the_limit_get_a_note(monkeypatch, registry, tmp_path, limit, query, expected):
    publish(registry, tmp_path, calibration=None if limit is None else calibration(limit))
    monkeypatch.setenv("SEG_WEIGHTS", str(tmp_path))
    at = open_page("app.py", **query)
    assert not at.exception
    notes = [caption.value for caption in at.caption if NOTE in caption.value]
    assert len(notes) == expected
    if expected:
        assert "FCN-8s" in notes[0] and "on 99 % of 200 held-out photos it is greater than 1" in notes[0]


def test_the_viewer_receives_the_entropy_of_each_mask(monkeypatch, registry):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    at = open_page("app.py")
    payload = unpacked(at.get("bidi_component")[0].proto.bytes)
    by_id = {pane["id"]: pane for pane in payload["panes"]}
    assert by_id["photo"]["entropy"] is by_id["truth"]["entropy"] is None
    entropy, confidence = by_id["8s"]["entropy"], by_id["8s"]["confidence"]
    assert len(entropy) == len(confidence) and np.corrcoef(entropy, confidence)[0, 1] < -0.5


@pytest.mark.parametrize("scaled", [False, True])
def test_reliability_names_temperature_scaling(monkeypatch, registry, tmp_path, pairs, scaled):
    split = load_split(pairs, "val")
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)
    counts = evaluate.accumulate(predictor, split, ["8s"], range(2))
    metrics = {
        "version": evaluate.EVALUATION_VERSION,
        "split": "val",
        "images": 2,
        "digest": split.digest,
        "variants": {"8s": evaluate.report(counts["8s"])},
    }
    if scaled:
        publish(
            registry,
            tmp_path / "weights",
            metrics=metrics | {"temperature": {"8s": 1.5}},
            calibration=calibration(0.5),
        )
    else:
        publish(registry, tmp_path / "weights", metrics=metrics)
    for variable in ("DATA", "WEIGHTS", "CACHE"):
        monkeypatch.setenv(f"SEG_{variable}", str(tmp_path / variable.lower()))
    at = open_page("pages/scores.py", scores_view="Calibration")
    assert not at.exception
    if scaled:
        assert "**after** temperature scaling" in text(at) and "FCN-8s 1.500" in text(at)
    else:
        assert "**before** temperature scaling" in text(at)
        assert f"weights calibrate {DEFAULT_WEIGHTS}" in text(at)
