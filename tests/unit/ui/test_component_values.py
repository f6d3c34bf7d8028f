"""A visitor can send any JSON in place of a component's value: only one of the right kind is used."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from ui.components import browser_tab, confusion_matrix, linked_images, network_diagram, viewer
from ui.components.base import valid_integers, valid_point

WRONG = (None, 0, 1.5, "text", True, [], {}, [1], [1, 2, 3], [[0] * 100, 0], ["1", "2"], [None, 1], [{}, {}])


@pytest.mark.parametrize("value", [*WRONG, [1.0, 2.0], [-1, 0], [19, 0], [True, 1], (1, 2)])
def test_other_values_than_integers_within_bounds_are_refused(value):
    assert valid_integers(value, (19, 19)) is None


@pytest.mark.parametrize("value", [*WRONG, [math.nan, 0], [math.inf, 0], [-0.1, 0], [0, 1.1], [True, 0]])
def test_other_values_than_points_are_refused(value):
    assert valid_point(value) is None


def test_right_values_are_returned():
    assert valid_integers([18, 0], (19, 19)) == (18, 0)
    assert valid_point([0, 0.5]) == (0.0, 0.5)


@pytest.mark.parametrize("value", [*WRONG, {"x": [0] * 50, "y": 1}, {"x": 1}, {"x": -1, "y": 2}, {"x": 1e9}])
def test_every_component_refuses_wrong_values(monkeypatch, value):
    reported = SimpleNamespace(point=value, cell=value, former=value, lacksCookie=value)
    for module in (browser_tab, confusion_matrix, linked_images, network_diagram, viewer):
        monkeypatch.setattr(module, "_component", lambda **_: reported)
    assert viewer.viewer(b"", "key") is None
    assert confusion_matrix.confusion_matrix(np.zeros((19, 19)), [], None, "key") is None
    assert linked_images.linked_images([], (0.5, 0.5), "key") is None
    report = browser_tab.browser_tab("token", False)
    assert report.former is None and report.lacks_upload_cookie is (value is True)


def test_a_pinned_pixel_is_returned(monkeypatch):
    monkeypatch.setattr(viewer, "_component", lambda **_: SimpleNamespace(point={"x": 3, "y": 4}))
    assert viewer.viewer(b"", "key") == (3, 4)
