"""The comparison table: rows from model cards, and their plots."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from seg.data import cityscapes
from seg.data.datasets import load_split
from seg.evaluation import evaluate, leaderboard
from seg.evaluation.grid_reference import GridReference
from seg.evaluation.leaderboard_html import (
    accuracy_operations_figure,
    accuracy_time_figure,
    class_iou_figure,
    write_html,
)
from seg.evaluation.photo_counts import COUNTS_FILE, published_counts
from seg.inference.predictor import Predictor
from seg.models.model_card import ModelCard, to_json
from seg.models.registry import CARD_FILE, DEFAULT_WEIGHTS, read_card

REFERENCE = GridReference(0.9)


@pytest.fixture(scope="module")
def card(registry, pairs) -> ModelCard:
    published = read_card(DEFAULT_WEIGHTS, registry)
    tallies = evaluate.accumulate(
        Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry),
        load_split(pairs, "val"),
        published.variants,
        range(2),
    )
    reports = {variant: evaluate.report(tally) for variant, tally in tallies.items()}
    parent = {"photos": 5, "parent": {"photos": 7, "parent": None}}
    return dataclasses.replace(
        published,
        metrics={
            "version": evaluate.EVALUATION_VERSION,
            "variants": reports,
            "digest": "these",
            "split": "val",
            "images": 2,
        },
        samples_seen=10,
        init_from=parent,
    )


def test_rows_come_from_cards_and_are_drawn(card, tmp_path):
    limits = {(height, stride): REFERENCE for height in (96, 256) for stride in leaderboard.STRIDES}
    (tmp_path / card.name).mkdir()
    (tmp_path / card.name / CARD_FILE).write_bytes(to_json(card))
    published, controls = leaderboard.cards(tmp_path / "empty", tmp_path)
    assert (published, controls) == ([card], [])
    control = dataclasses.replace(card, name="a <control>")
    rows = leaderboard.rows(
        [card],
        [control],
        limits,
        "these",
        leaderboard.measure(leaderboard.timing_cases([card, control]), "cpu"),
    )
    assert [(row.variant, row.samples_seen, row.grid_reference) for row in rows] == 2 * [
        (v, 22, REFERENCE) for v in ("32s", "16s", "8s")
    ]
    assert [row.is_baseline for row in rows] == 3 * [False] + 3 * [True]
    assert all(row.seconds > 0 and row.report == card.metrics["variants"][row.variant] for row in rows)
    write_html(rows, limits, "on these", tmp_path / "drawn" / "table.html")
    page = (tmp_path / "drawn" / "table.html").read_text()
    for text in (
        "FCN-32s on ResNet-50",
        "63 pixels",
        "cell-share reference of stride 32",
        "on these",
        f"{rows[0].report['mean_iou']:.4f}",
    ):
        assert text in page
    assert "a &lt;control&gt;" in page and "a <control>" not in page


def test_grid_references_require_matching_pairs_and_a_single_size(card):
    limits = {(96, stride): REFERENCE for stride in leaderboard.STRIDES}
    both = dataclasses.replace(card, metrics=card.metrics | {"tta": card.metrics["variants"]})
    rows = leaderboard.rows([both], [], limits, "these", {})
    assert [row.grid_reference for row in rows] == 3 * [REFERENCE] + 3 * [None]
    assert [row.tta for row in rows] == 3 * [False] + 3 * [True]
    assert {row.grid_reference for row in leaderboard.rows([card], [], limits, "others", {})} == {None}


@pytest.mark.slow
def test_times_can_be_compared_at_one_height(card):
    both = [card, dataclasses.replace(card, name="taller", working_height=320)]
    seconds = {kind: float(number) for number, kind in enumerate(leaderboard.timing_cases(both))}
    assert {(variant, height) for *_, variant, _, height in seconds} == {
        (v, h) for v in card.variants for h in (96, 320)
    }
    rows = leaderboard.rows(both, [], {}, "these", seconds)
    assert {row.common_height for row in rows} == {320}
    for low, high in zip(rows[:3], rows[3:], strict=True):
        assert low.seconds < high.seconds == high.common_seconds == low.common_seconds
        assert low.seconds == seconds[low.architecture, "v1", low.variant, False, 96]
    network = (card.architecture, "v1", "8s", False)
    measured = leaderboard.measure(
        [(*network, 96), (*network, 384)], "cpu"
    )  # a factor of 7 on an idle machine
    assert measured[*network, 96] < measured[*network, 384]


def test_a_row_may_lack_a_time(card):
    rows = leaderboard.rows([card], [], {}, "these", {})
    assert [(row.seconds, row.common_seconds) for row in rows] == 3 * [(None, None)]
    assert leaderboard.format_row(rows[0])[-2:] == ["–", "–"]
    assert not accuracy_time_figure(rows, {}).data and len(class_iou_figure(card.name, rows).data) == 3


def test_operations_replace_times_that_are_not_measured(card):
    both = dataclasses.replace(card, metrics=card.metrics | {"tta": card.metrics["variants"]})
    rows = leaderboard.rows([both], [], {}, "these", {})
    operations = leaderboard.count_operations([row.common_case for row in rows])
    coarse, _, fine, _, _, with_tta = (operations[row.common_case] for row in rows)
    assert coarse < fine and 5 * fine < with_tta < 8 * fine
    # the encoder of ResNet-50: 4.1 billion multiplications for 224 x 224 pixels (He et al. 2015, table 1)
    assert coarse == pytest.approx(2 * 4.1e9 * 96 * 192 / 224**2, rel=0.15)
    figure = accuracy_operations_figure(rows, {(96, 8): REFERENCE}, operations)
    assert [trace.x[0] for trace in figure.data] == [operations[row.common_case] / 1e9 for row in rows]
    assert "stride 8" in figure.layout.annotations[0].text
    low, high = figure.layout.xaxis.range
    assert any(low < math.log10(tick) < high for tick in figure.layout.xaxis.tickvals)


def test_weights_of_one_architecture_can_be_told_apart(card):
    both = [card, dataclasses.replace(card, name="second")]
    rows = leaderboard.rows(both, [], {}, "these", {})
    bars = class_iou_figure("the finest mask of each", leaderboard.finest(rows)).data
    assert [bar.name for bar in bars] == [f"FCN-8s on ResNet-50 ({name})" for name in (card.name, "second")]
    assert len({(bar.marker.color, bar.marker.pattern.shape) for bar in bars}) == 2
    operations = leaderboard.count_operations([row.common_case for row in rows])
    points = accuracy_operations_figure(rows, {}, operations).data
    assert len({(point.marker.color, point.marker.symbol) for point in points}) == len(rows) == 6


def published(folder: Path, name: str, confusions: dict[str, np.ndarray], card: ModelCard) -> ModelCard:
    """Write counts beside the place of a card, and return the card with their sums."""
    reports = {}
    for variant, counts in confusions.items():
        confusion = {"confusion": counts.sum(0).tolist()}
        reports[variant] = card.metrics["variants"]["8s"] | confusion
    metrics = card.metrics | {"variants": reports}
    (folder / name).mkdir()
    arrays = {
        key: counts for variant, counts in confusions.items() for key in (variant, f"{variant}.all_labelled")
    }
    np.savez_compressed(folder / name / COUNTS_FILE, **arrays)
    return dataclasses.replace(card, name=name, variants=list(confusions), metrics=metrics)


def test_networks_are_compared_on_the_same_photos(card, tmp_path):
    classes = len(cityscapes.CLASSES)
    rng = np.random.default_rng(0)
    good = np.zeros((120, classes, classes), np.int32)
    good[:, 0, 0], good[:, 1, 1] = rng.integers(50, 100, (2, 120))
    good[:, 1, 0] = 5
    bad = good.copy()
    bad[:, 1, 0] += 10
    first = published(tmp_path, "first", {"32s": bad, "8s": good}, card)
    second = published(tmp_path, "second", {"8s": bad}, card)
    rows = leaderboard.comparisons([second, first], tmp_path)
    assert [(row.first, row.second) for row in rows] == [
        (("first", "8s"), ("first", "32s")),
        (("first", "8s"), ("second", "8s")),
    ]
    for row in rows:
        assert 0 < row.unambiguous.low < row.unambiguous.mean_iou < row.unambiguous.high
        assert row.all_labelled == row.unambiguous


def test_counts_that_differ_from_the_card_are_not_used(card, tmp_path):
    counts = np.zeros((1, len(cityscapes.CLASSES), len(cityscapes.CLASSES)), np.int32)
    counts[:, 0, 0] = 1
    right = published(tmp_path, "right", {"8s": counts}, card)
    assert published_counts(right, tmp_path).keys() == {"8s", "8s.all_labelled"}
    np.savez_compressed(tmp_path / "right" / COUNTS_FILE, **{"8s": counts + 1})
    assert published_counts(right, tmp_path) == {}
    (tmp_path / "right" / COUNTS_FILE).unlink()
    assert published_counts(right, tmp_path) == {}


def test_cards_of_an_earlier_evaluation_are_marked(card):
    former = dataclasses.replace(
        card, name="former", metrics={key: v for key, v in card.metrics.items() if key != "version"}
    )
    row = leaderboard.rows([former], [], {}, "these", {})[0]
    assert row.report["boundary_iou"] is None and row.report["intervals"] == {}
    assert leaderboard.format_row(row)[9:13] == ["–", row_score(row, "all_labelled"), "–", "–"]
    assert leaderboard.comparisons([former]) == []
    [note] = leaderboard.notes([card, former], "these")
    assert note.endswith(": former")


def row_score(row: leaderboard.LeaderboardRow, label_set: str) -> str:
    return evaluate.format_score(row.report[label_set]["mean_iou"])
