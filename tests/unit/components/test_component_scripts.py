"""The components' JavaScript as served, and both ends of the messages between Python and JavaScript."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.components.wire_example import FOLDER, diagram_nodes, message, write
from ui.components import base

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(
    script
    for script in (ROOT / "ui/components").glob("*/*.js")
    if script.name in ("main.js", f"{script.parent.name}.js")
)
SCRIPTS.remove(ROOT / "ui/components/viewer/viewer.js")  # the viewer's entry is main.js


@pytest.fixture
def node() -> str:
    """The path of Node. Without it these tests are skipped, or fail if CI=true."""
    path = shutil.which("node")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no node on this machine")
        pytest.skip("no node on this machine")
    return path


def test_every_component_has_a_script():
    assert len(SCRIPTS) == len(list((ROOT / "ui/components").glob("*/__init__.py"))) == 6


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_a_joined_script_is_one_module_without_imports(script, node, tmp_path):
    text = base.joined(script)
    lines = text.splitlines()
    assert not any(line.startswith("import ") for line in lines)
    assert [line for line in lines if line.startswith("export ")] == [
        line for line in lines if line.startswith("export default ")
    ]
    assert text.count("\nexport default ") == 1
    module = tmp_path / "joined.mjs"
    module.write_text(text)
    checked = subprocess.run([node, "--check", module], capture_output=True, text=True)
    assert checked.returncode == 0, (
        checked.stderr
    )  # two files with the same name at their top level are a syntax error


def test_imported_scripts_come_first_and_only_once(tmp_path):
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport {\n  c,\n} from "./c.js";\n\nexport default b + c;\n'
    )
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\n\nexport const b = c;\n')
    (tmp_path / "c.js").write_text("export const c = 1;\n")
    assert base.joined(tmp_path / "a.js").split() == "const c = 1; const b = c; export default b + c;".split()


def test_the_committed_example_matches_the_python_message():
    """Sections may differ in length with the version of zlib, but not in content."""
    from tests.support.visitor import unpacked

    packed, expected = message()
    now, committed = unpacked(packed), unpacked((FOLDER / "message.bin").read_bytes())
    for payload in (now, committed):
        payload.pop("digest")
        for pane in payload["panes"]:
            pane |= {
                name: pane[name] if pane[name] is None else pane[name].tolist()
                for name in ("ids", "confidence", "runner_up", "entropy")
            }
    assert now == committed
    assert json.loads(json.dumps(expected)) == json.loads((FOLDER / "message.json").read_text())
    kinds = json.loads((FOLDER / "nodes.json").read_text())
    assert {kind: entry["values"] for kind, entry in kinds.items()} == {
        kind: entry["values"] for kind, entry in diagram_nodes().items()
    }


def test_the_scripts_read_messages_from_python(node, tmp_path):
    write(tmp_path)
    test = Path(__file__).parent / "message.test.mjs"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NODE_")}
    ran = subprocess.run(
        [node, "--test", test], env=environment | {"FIXTURES": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
