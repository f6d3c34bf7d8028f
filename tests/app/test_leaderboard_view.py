"""The view All weights of the Evaluation page on a machine that has measured nothing."""

import dataclasses

import pytest

from seg.data.datasets import load_split
from seg.evaluation import evaluate
from seg.inference.predictor import Predictor
from seg.models.model_card import to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import open_page, text


@pytest.fixture
def place(monkeypatch, tmp_path, pairs, registry):
    """Evaluated weights with test-time augmentation, and folders without data and results."""
    card = read_card(DEFAULT_WEIGHTS, registry)
    split = load_split(pairs, "val")
    counts = evaluate.accumulate(
        Predictor.from_pretrained(card.name, "cpu", registry), split, card.variants, range(2)
    )
    reports = {variant: evaluate.report(of_variant) for variant, of_variant in counts.items()}
    metrics = {
        "version": evaluate.EVALUATION_VERSION,
        "split": "val",
        "images": 2,
        "digest": split.digest,
        "variants": reports,
        "tta": {"8s": reports["8s"]},
    }
    (tmp_path / "weights" / card.name).mkdir(parents=True)
    (tmp_path / "weights" / card.name / CARD_FILE).write_bytes(
        to_json(dataclasses.replace(card, metrics=metrics))
    )
    for variable in ("DATA", "WEIGHTS", "CACHE"):
        monkeypatch.setenv(f"SEG_{variable}", str(tmp_path / variable.lower()))


def test_nothing_measured_is_stated_and_operations_are_plotted(place):
    at = open_page("pages/scores.py", controls="true")
    assert not at.exception
    assert "Not measured here yet: times." in text(at)
    table = at.dataframe[0]
    assert table.proto.placeholder == "–"
    assert not {"ms", "cell shares"} & set(table.value.columns)
    own = table.value[table.value["weights"] == DEFAULT_WEIGHTS]
    assert len(own) == 4 and own["operations"].between(0.1, 100).all()
    assert len(at.get("plotly_chart")) == 1
