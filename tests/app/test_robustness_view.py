"""The view Robustness of the Evaluation page."""

import pytest

from seg.data.pairs import cached_content_hash, find_pairs
from seg.evaluation import robustness
from seg.evaluation.corruptions import CORRUPTIONS
from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import open_page, text
from tests.unit.evaluation.test_robustness import results


@pytest.fixture
def place(monkeypatch, tmp_path, pairs, registry):
    """A dataset and weights, without stored results."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets").symlink_to(pairs)
    for variable, folder in (
        ("DATA", tmp_path / "data"),
        ("WEIGHTS", registry),
        ("CACHE", tmp_path / "cache"),
    ):
        monkeypatch.setenv(f"SEG_{variable}", str(folder))


def view(**query):
    at = open_page("pages/scores.py", scores_view="Robustness", **query)
    assert not at.exception
    return at


def pictures(at) -> set[str]:
    return {address for image in at.image for address in image.value}


def test_the_view_names_the_command_without_results(place, tmp_path):
    at = view()
    assert f"robustness {DEFAULT_WEIGHTS} --data {tmp_path / 'data' / 'streets'}" in text(at)
    assert not at.dataframe
    assert [caption for image in at.image for caption in image.captions] == list(CORRUPTIONS)
    before = pictures(at)
    at.segmented_control(key="corruption_strength").set_value(3).run()
    assert not at.exception and not before & pictures(at)
    assert view(corruption_strength="3").segmented_control(key="corruption_strength").value == 3


def test_stored_results_are_plotted_and_listed(place, pairs):
    digest = cached_content_hash(find_pairs(pairs, "val"))
    robustness.save(results(sha256=read_card(DEFAULT_WEIGHTS).sha256, digest=digest))
    at = view(scored_variant="8s")
    table = at.dataframe[0].value
    assert table["corruption"].tolist() == list(CORRUPTIONS)
    assert table["strength 3"].tolist() == [0.35] * len(CORRUPTIONS)
    assert len(at.get("plotly_chart")) == 1
    assert "strengths: 0.4000, 20.0% below the 0.5000 of the clean photos. 3 images of" in text(at)
