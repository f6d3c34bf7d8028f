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
    return dataclasses.replace(
        read, metrics={"variants": told, "digest": "these", "split": "val", "images": 2}, photos=10, parent=parent
    )


def test_rows_are_read_off_the_cards_and_drawn(card, tmp_path):
    limits = {(height, stride): 0.9 for height in (96, 256) for stride in table.STRIDES}
    (tmp_path / card.name).mkdir()
    (tmp_path / card.name / weights.CARD).write_bytes(weights.to_json(card))
    published, controls = table.cards(tmp_path / "empty", tmp_path)
    assert (published, controls) == ([card], [])
    control = dataclasses.replace(card, name="a <control>")
    made = table.rows([card], [control], limits, "these", table.measure(table.kinds([card, control]), "cpu"))
    assert [(row.variant, row.photos, row.ceiling) for row in made] == 2 * [(v, 22, 0.9) for v in ("32s", "16s", "8s")]
    assert [row.control for row in made] == 3 * [False] + 3 * [True]
    assert all(row.seconds > 0 and row.report == card.metrics["variants"][row.variant] for row in made)
    table.write(made, limits, "on these", tmp_path / "drawn" / "table.html")
    page = (tmp_path / "drawn" / "table.html").read_text()
    for words in ("FCN-32s, ResNet-50", "63 pixels", "ceiling of stride 32", "on these", f"{made[0].report['mean_iou']:.4f}"):
        assert words in page
    assert "a &lt;control&gt;" in page and "a <control>" not in page


def test_a_ceiling_stands_only_beside_what_was_scored_on_its_pairs_at_one_size(card):
    limits = {(96, stride): 0.9 for stride in table.STRIDES}
    both = dataclasses.replace(card, metrics=card.metrics | {"best": card.metrics["variants"]})
    made = table.rows([both], [], limits, "these", {})
    assert [row.ceiling for row in made] == 3 * [0.9] + 3 * [None]
    assert [row.best for row in made] == 3 * [False] + 3 * [True]
    assert {row.ceiling for row in table.rows([card], [], limits, "others", {})} == {None}


def test_times_can_be_compared_at_one_height(card):
    both = [card, dataclasses.replace(card, name="taller", working_height=320)]
    seconds = {kind: float(number) for number, kind in enumerate(table.kinds(both))}
    assert {(variant, height) for *_, variant, _, height in seconds} == {(v, h) for v in card.variants for h in (96, 320)}
    made = table.rows(both, [], {}, "these", seconds)
    assert {row.common_height for row in made} == {320}
    for low, high in zip(made[:3], made[3:], strict=True):
        assert low.seconds < high.seconds == high.common_seconds == low.common_seconds
        assert low.seconds == seconds[low.architecture, "v1", low.variant, False, 96]
    network = (card.architecture, "v1", "8s", False)
    measured = table.measure([(*network, 96), (*network, 768)], "cpu")  # 21 times apart where nobody else computes
    assert measured[*network, 96] < measured[*network, 768]


def test_a_row_stands_without_a_time_too(card):
    made = table.rows([card], [], {}, "these", {})
    assert [(row.seconds, row.common_seconds) for row in made] == 3 * [(None, None)]
    assert table.cells(made[0])[-2:] == ["–", "–"]
    assert not table.accuracy_and_time(made, {}).data and len(table.by_class(card.name, made).data) == 3
