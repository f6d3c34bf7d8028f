"""What docs/trust.md promises of the whole program: nothing that is given is executed, and the server's settings are safe."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "app.py", *sorted((ROOT / "seg").glob("*.py")), *sorted((ROOT / "pages").rglob("*.py"))]
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "code", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "os.system", "os.popen"}
OPTIONS = {"shell", "unsafe_allow_html", "allow_pickle", "unsafe_allow_javascript"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_is_given_can_be_executed(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert not MODULES & {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in MODULES
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in CALLS
            for option in node.keywords:
                assert option.arg not in OPTIONS or ast.unparse(option.value) == "False"


def test_the_server_is_for_this_computer_and_tells_nobody_more_than_it_must():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    server = settings["server"]
    assert server["address"] == "localhost" and server["enableXsrfProtection"] and server["enableCORS"]
    assert server["maxUploadSize"] <= 64 and server["maxMessageSize"] <= 256
    assert settings["client"]["showErrorDetails"] == "none" and settings["browser"]["gatherUsageStats"] is False


def test_the_tests_that_hold_the_promises_are_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "trust.md").read_text()))
    files = list((ROOT / "tests").glob("test_*.py"))
    there = {file.stem for file in files} | {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(named) > 15 and not named - there
