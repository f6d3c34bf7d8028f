"""The comparison: rows from cards, the drawing."""

import dataclasses

import pytest

from seg import evaluate, table, weights
from seg.dataset import load
from seg.predict import Predictor


@pytest.fixture(scope="module")
def card(registry, pairs) -> weights.Card:
    read = weights.read_card(weights.DEFAULT, registry)
    found = evaluate.tally(Predictor.of(weights.DEFAULT, "cpu", registry), load(pairs, "val"), read.variants, range(2))
    told = {variant: evaluate.report(tally) for variant, tally in found.items()}
    parent = {"photos": 5, "parent": {"photos": 7, "parent": None}}
    return dataclasses.replace(read, metrics={"variants": told}, photos=10, parent=parent)


def test_rows_are_read_off_the_cards_and_drawn(card, tmp_path):
    limits = {(height, stride): 0.9 for height in (96, 256) for stride in table.STRIDES}
    (tmp_path / card.name).mkdir()
    (tmp_path / card.name / weights.CARD).write_bytes(weights.to_json(card))
    cards = table.cards(tmp_path, tmp_path / "empty")
    assert cards == [card]
    made = table.rows(cards, limits, "cpu")
    assert [(row.variant, row.photos, row.ceiling) for row in made] == [(v, 22, 0.9) for v in ("32s", "16s", "8s")]
    assert all(row.seconds > 0 and row.report == card.metrics["variants"][row.variant] for row in made)
    assert all(row.common_seconds == row.seconds and row.common_height == card.working_height for row in made)
    table.write(made, limits, tmp_path / "drawn" / "table.html")
    page = (tmp_path / "drawn" / "table.html").read_text()
    assert "FCN-32s, ResNet-50" in page and "63 pixels" in page and "ceiling, stride 32" in page


def test_times_can_be_compared_at_one_height(card):
    made = table.rows([card, dataclasses.replace(card, name="taller", working_height=320)], {}, "cpu")
    assert {row.common_height for row in made} == {320}
    for low, high in zip(made[:3], made[3:], strict=True):
        assert low.seconds < high.seconds == high.common_seconds == low.common_seconds
