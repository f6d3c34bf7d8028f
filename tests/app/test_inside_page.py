"""The Inside page of each architecture: every view is drawn, or says why not."""

import pytest

from seg.models.registry import DEFAULT_WEIGHTS, read_card
from tests.support.app_pages import open_page, text
from tests.support.random_weights import write_weights
from ui.inside.views import VIEWS


@pytest.fixture(scope="module", params=["fcn-resnet50", "fcn-vgg16", "unet-resnet50", "dilated-resnet50"])
def architecture(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def weights(architecture, registry, tmp_path_factory):
    """A registry with random weights of the architecture."""
    folder = tmp_path_factory.mktemp("inside")
    write_weights(folder, "inspected", architecture, read_card(DEFAULT_WEIGHTS, registry))
    return folder


@pytest.mark.slow
def test_every_view_is_drawn_or_says_why_not(weights, architecture, monkeypatch):
    monkeypatch.setenv("SEG_WEIGHTS", str(weights))
    shown = {}
    for view in VIEWS:
        at = open_page("pages/inside.py", photo="8", inside_view=view)
        assert not at.exception and not at.error
        components = len(at.get("bidi_component")) - 1  # one is not seen
        shown[view] = components, text(at)
    if architecture == "dilated-resnet50":
        assert all("has no skip connections" in words for _, words in shown.values())
    elif architecture == "unet-resnet50":
        assert [components for components, _ in shown.values()] == [1, 1, 1, 1, 0]
        assert "no transposed convolution" in shown["Transposed convolution"][1]
        assert "no exact attribution" in shown["Logit attribution"][1]
        assert "left out are replaced by zeros" in " ".join(shown["Edit skip connections"][1].split())
    else:
        assert [components for components, _ in shown.values()] == [1] * 5


@pytest.mark.slow
def test_the_point_moves_to_the_largest_skip_effect(weights, architecture, monkeypatch):
    if architecture == "dilated-resnet50":
        pytest.skip("it has no skip connections")
    monkeypatch.setenv("SEG_WEIGHTS", str(weights))
    at = open_page("pages/inside.py", photo="8", inside_view="Receptive field")
    button = next(button for button in at.button if button.label == "Jump to largest skip effect")
    button.click().run()
    assert not at.exception
    assert at.session_state["point"] != (0.5, 0.5)
