"""The payload of the viewer and its color-blind safe palette."""

import numpy as np
import pytest

from seg.data.cityscapes import CLASSES
from tests.support.visitor import unpacked
from ui.components.viewer import SAFE, Pane, deflate, pack

RNG = np.random.default_rng(0)


def test_a_packed_payload_is_unpacked_unchanged():
    ids, confidence, runner_up = (
        RNG.integers(0, 19, shape, np.uint8) for shape in ((20, 30), (5, 8), (5, 8))
    )
    mask = Pane(
        "8s",
        "FCN-8s",
        "mask",
        ids=deflate(ids),
        confidence=deflate(confidence),
        runner_up=deflate(runner_up),
        working_size=(8, 5),
        stride=8,
    )
    truth = Pane("truth", "Truth", "truth", "exact", shown=False, ids=deflate(ids))
    blob = pack(
        b"jpeg", (30, 20), (300, 200), [Pane("photo", "Photo", "photo"), mask, truth], {7: 0.5}, own=True
    )
    payload = unpacked(blob)
    assert (
        payload["photo"] == b"jpeg"
        and payload["photo_size"] == [300, 200]
        and (payload["width"], payload["height"]) == (30, 20)
    )
    assert payload["present"] == [{"id": 7, "share": 0.5}] and payload["own"] is True
    assert [pane["id"] for pane in payload["panes"]] == ["photo", "8s", "truth"]
    assert payload["panes"][0]["ids"] is None and payload["panes"][1]["working_size"] == [8, 5]
    np.testing.assert_array_equal(payload["panes"][1]["ids"], ids.ravel())
    np.testing.assert_array_equal(payload["panes"][1]["confidence"], confidence.ravel())
    np.testing.assert_array_equal(payload["panes"][1]["runner_up"], runner_up.ravel())
    np.testing.assert_array_equal(payload["panes"][2]["ids"], ids.ravel())


def test_any_change_changes_the_digest():
    pane = Pane("8s", "FCN-8s", "mask", ids=deflate(np.zeros((2, 2), np.uint8)))
    first = unpacked(pack(b"jpeg", (2, 2), (2, 2), [pane], {}, own=False))["digest"]
    changed_pane = Pane("8s", "FCN-8s", "mask", ids=deflate(np.eye(2, dtype=np.uint8)))
    changed = [
        pack(b"gepj", (2, 2), (2, 2), [pane], {}, own=False),
        pack(b"jpeg", (2, 2), (2, 2), [changed_pane], {}, own=False),
        pack(b"jpeg", (2, 2), (2, 2), [pane], {1: 1}, own=False),
    ]
    assert first not in {unpacked(blob)["digest"] for blob in changed}
    assert first == unpacked(pack(b"jpeg", (2, 2), (2, 2), [pane], {}, own=False))["digest"]


# Simulated linear RGB of protanopes and deuteranopes (Viénot, Brettel, Mollon 1999)
BLIND = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "normal": np.eye(3).tolist(),
}


@pytest.mark.parametrize("eyes", BLIND)
def test_safe_colors_are_distinguishable(eyes):
    rgb = np.array([tuple(bytes.fromhex(color[1:])) for color in SAFE]) / 255
    assert len(rgb) == len(CLASSES)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    simulated = np.clip(linear @ np.array(BLIND[eyes]).T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = simulated @ to_xyz.T / (0.9505, 1, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack((116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])), 1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 999 * np.eye(len(lab))
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    assert distances.min() > 20, f"{CLASSES[i].name} and {CLASSES[j].name} are {distances.min():.1f} apart"
