"""Links from before version 1.0 open the same view."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ui.state.former_links import FORMER_VALUES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("page", "parameter", "former", "present"),
    [
        ("app.py", "detail", "Best", "TTA"),
        ("pages/inside.py", "inside_view", "Touch the skips", "Edit skip connections"),
        ("pages/inside.py", "inside_view", "Why this class", "Logit attribution"),
        ("pages/scores.py", "scores_view", "Worst photos", "Worst images"),
        ("pages/dataset.py", "data_view", "Class shares", "Class frequencies"),
    ],
)
def test_former_link_opens_same_view(monkeypatch, registry, pairs, page, parameter, former, present):
    monkeypatch.setenv("SEG_WEIGHTS", str(registry))
    monkeypatch.setenv("SEG_DATA", str(pairs.parent))
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).switch_page(page)
    at.query_params[parameter] = former
    at.run()
    assert not at.exception and at.session_state[parameter] == present
    another_value = next(
        value for value in at.button_group(key=parameter).options if value not in (former, present)
    )
    at.button_group(key=parameter).set_value(another_value).run()
    assert at.session_state[parameter] == another_value  # the former value in the link does not return


def test_former_values_are_no_present_values():
    for values in FORMER_VALUES.values():
        assert not values.keys() & set(values.values())
