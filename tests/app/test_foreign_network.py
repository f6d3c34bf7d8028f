"""Networks of others as a pane of the Compare page."""

import pytest

from seg.data.cityscapes import NAMES
from tests.app.test_compare_page import page, panes
from tests.support.app_pages import text
from tests.support.onnx_files import write_channel_network


@pytest.fixture
def networks(monkeypatch, tmp_path):
    folder = tmp_path / "networks"
    monkeypatch.setenv("SEG_NETWORKS", str(folder))
    return folder


def test_without_networks_of_others_there_is_no_choice(networks, monkeypatch, registry):
    at = page(monkeypatch, registry)
    assert "network" not in [box.key for box in at.selectbox]


@pytest.mark.slow
def test_a_network_of_others_becomes_a_pane(networks, monkeypatch, registry):
    write_channel_network(networks, (NAMES[10], "zebra", NAMES[0]), name="DeepLab of others")
    at = page(monkeypatch, registry)
    assert "foreign" not in panes(at)
    at = page(monkeypatch, registry, network="other")
    assert not at.exception and not at.warning and not at.error
    pane = panes(at)["foreign"]
    assert pane["title"] == "DeepLab of others" and pane["kind"] == "mask"
    assert list(panes(at)).index("foreign") > list(panes(at)).index("8s")


@pytest.mark.slow
def test_an_unusable_network_of_others_leaves_the_masks(networks, monkeypatch, registry):
    file = write_channel_network(networks, NAMES[:3])
    file.write_bytes(b"no network")
    at = page(monkeypatch, registry, network="other")
    assert "is no ONNX file that can be used" in text(at).replace("\\", "")
    assert "8s" in panes(at) and "foreign" not in panes(at)
    file.with_suffix(".json").write_text("{")
    at = page(monkeypatch, registry, network="other")
    assert "is no description of an ONNX file" in text(at).replace("\\", "")
    assert "8s" in panes(at)
