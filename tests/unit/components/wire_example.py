"""Messages from Python to the components with their expected content, for the JavaScript tests.

`python -m tests.unit.components.wire_example` rewrites the committed files.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "fixtures"
SIZE, WORK = (30, 20), (8, 5)  # width and height
SCORES = np.linspace(-3, 5, 12).reshape(3, 4)


def message() -> tuple[bytes, dict]:
    """A message to the viewer and its expected content."""
    from ui.components.viewer import Pane, deflate, pack

    rng = np.random.default_rng(0)
    ids, coarse_ids = (rng.integers(0, 19, SIZE[::-1], np.uint8) for _ in range(2))
    at_work = {
        name: rng.integers(0, 256, WORK[::-1], np.uint8) for name in ("confidence", "runner_up", "entropy")
    }
    arrays = {name: deflate(values) for name, values in (at_work | {"ids": ids}).items()}
    panes = [
        Pane("photo", "Photo", "photo", "straße.jpg"),
        Pane("8s", "FCN-8s", "mask", **arrays, working_size=WORK, stride=8),
        Pane("32s", "FCN-32s", "mask", ids=deflate(coarse_ids), working_size=WORK, stride=32),
        Pane("truth", "Ground truth", "truth", "exact", shown=False, ids=deflate(ids)),
        Pane("disagreement", "Disagreement", "disagreement", compared=("8s", "32s")),
    ]
    facts = {"size": SIZE, "photo_size": (300, 200)}
    packed = pack(b"the photo", **facts, panes=panes, shares={7: 0.5, 0: 0.25}, own=True, waiting=True)
    expected = {
        **facts,
        "photo": list(b"the photo"),
        "present": [{"id": 7, "share": 0.5}, {"id": 0, "share": 0.25}],
        "panes": [
            {
                **{
                    name: getattr(pane, name)
                    for name in ("id", "title", "kind", "note", "shown", "working_size", "stride", "compared")
                },
                "ids": {"8s": ids, "32s": coarse_ids, "truth": ids}.get(pane.id, np.zeros(0)).ravel().tolist()
                or None,
                **{
                    {"runner_up": "runnerUp"}.get(name, name): values.ravel().tolist()
                    if pane.id == "8s"
                    else None
                    for name, values in at_work.items()
                },
            }
            for pane in panes
        ],
    }
    return packed, expected


def diagram_nodes() -> dict:
    """Nodes of the network diagram and the values that they show."""
    from ui.components.network_diagram import ids_node, score_node, strength_node

    facts = {"id": "n", "title": "N", "shape": "3 × 4", "column": 1, "row": 1, "text": ""}
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    nodes = {
        "ids": ids_node(ids, **facts),
        "score": score_node(SCORES, **facts),
        "strength": strength_node(SCORES + 3, **facts),
    }
    values = {"ids": ids, "score": SCORES, "strength": SCORES + 3}
    return {
        kind: {"node": asdict(node), "values": values[kind].ravel().tolist()} for kind, node in nodes.items()
    }


def write(folder: Path) -> None:
    """Writes all files of the example."""
    folder.mkdir(exist_ok=True)
    packed, expected = message()
    (folder / "message.bin").write_bytes(packed)
    (folder / "message.json").write_text(json.dumps(expected) + "\n")
    (folder / "nodes.json").write_text(json.dumps(diagram_nodes()) + "\n")


if __name__ == "__main__":
    write(FOLDER)
