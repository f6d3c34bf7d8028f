"""What docs/trust.md promises of the whole program: nothing that is given is executed, and the server's settings are safe."""

import ast
import re
import tempfile
import tomllib
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from streamlit import net_util
from streamlit.runtime.app_session import AppSession
from visitor import Visitor, start_server
from websockets.exceptions import ConnectionClosed

from pages.parts import hardening, wishes

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
    assert settings["browser"]["serverAddress"] == "localhost"  # else another server is asked for this one's address at the start
    assert settings["client"]["showErrorDetails"] == "none" and settings["browser"]["gatherUsageStats"] is False


def test_the_tests_that_hold_the_promises_are_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "trust.md").read_text()))
    files = list((ROOT / "tests").glob("test_*.py"))
    there = {file.stem for file in files} | {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(named) > 15 and not named - there


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({"Host": "localhost:8501"}, True),
        ({"Host": "[::1]:8501"}, True),
        ({"Host": "street.example.org"}, False),
        ({"Host": "localhost:8501", "X-Forwarded-For": "203.0.113.7"}, False),
    ],
)
def test_a_proxy_makes_it_a_wider_address(headers: dict, may: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wishes.st, "get_option", lambda name: "localhost")
    monkeypatch.setattr(wishes.st, "context", SimpleNamespace(headers=headers))
    monkeypatch.delenv("SEG_TRAINING", raising=False)
    assert wishes.allowed() is may
    for said in ("off", "0", "false", "no"):
        monkeypatch.setenv("SEG_TRAINING", said)
        assert not wishes.allowed() and said in wishes.why_not()


def test_streamlit_empties_no_caches_for_strangers_and_asks_no_other_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(AppSession, "_handle_clear_cache_request", AppSession._handle_clear_cache_request)
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda *_, **__: pytest.fail("another server is asked"))
    emptied = []
    monkeypatch.setattr("streamlit.runtime.caching.cache_data.clear", lambda: emptied.append("data"))
    hardening.harden()
    AppSession._handle_clear_cache_request(None)
    assert not emptied and not net_util.get_external_ip()


def test_what_is_off_cannot_be_had_by_sending_its_press_all_the_same(registry: Path):
    with tempfile.TemporaryFile("w+") as said:
        server, url = start_server({"SEG_TRAINING": "off", "SEG_WEIGHTS": str(registry)}, stderr=said)
        try:
            for page, query, wanted in (
                ("dataset", "data_view=Render+a+scene", {"Render"}),
                ("train", "view=New+training", {"Start training", "Measure what", "Render", "Fetch"}),
            ):
                with Visitor(url) as visitor:
                    visitor.open(page, query)
                    off = [button.label for button in visitor.of("button") if button.disabled]
                    pressed = [label for label in off if label.startswith(tuple(wanted))]
                    assert pressed, (page, off)
                    for label in pressed:
                        if any(button.label == label for button in visitor.of("button")):
                            visitor.press(label)
                    assert not [command for command in _commands(server.pid) if "-m seg" in command]
            with Visitor(url) as visitor:
                visitor.open()
                visitor.socket.send(b"\xff no message \x00")
                with pytest.raises(ConnectionClosed):
                    visitor.settle()
            with Visitor(url) as visitor:
                visitor.socket.send("text")
                with pytest.raises(ConnectionClosed):
                    visitor.settle()
            with Visitor(url) as visitor:
                visitor.open()
        finally:
            server.terminate()
            server.wait(30)
        said.seek(0)
        assert "Traceback" not in said.read()


def _commands(pid: int) -> list[str]:
    return [" ".join(child.cmdline()) for child in psutil.Process(pid).children(recursive=True)]
