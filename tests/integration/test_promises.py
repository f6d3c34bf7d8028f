"""The promises of docs/privacy-and-security.md: no uploaded content is executed, and the server settings are
safe."""

import ast
import re
import socket
import tempfile
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from streamlit import net_util
from websockets.exceptions import ConnectionClosed

from tests.support.visitor import Visitor, start_preloaded_server
from ui.shared import permissions
from ui.state import streamlit_patches

ROOT = Path(__file__).parents[2]
SOURCES = [
    ROOT / "app.py",
    *(file for folder in ("seg", "pages", "ui") for file in sorted((ROOT / folder).rglob("*.py"))),
]
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "code", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "os.system", "os.popen"}
OPTIONS = {"shell", "unsafe_allow_html", "allow_pickle", "unsafe_allow_javascript"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_file_can_execute_user_content(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert not MODULES & {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in MODULES
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in CALLS
            for option in node.keywords:
                assert option.arg not in OPTIONS or ast.unparse(option.value) == "False"


def test_the_server_is_local_and_hides_error_details():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    server = settings["server"]
    assert server["address"] == "localhost" and server["enableXsrfProtection"] and server["enableCORS"]
    assert server["maxUploadSize"] <= 64 and server["maxMessageSize"] <= 256
    largest = streamlit_patches.MAX_UPLOADER_BYTES + streamlit_patches.MAX_RERUN_BYTES
    assert largest <= 1_000_000 * server["maxWidgetStateSize"] <= 1.1 * largest
    assert settings["logger"]["enableRich"] is False
    assert (
        settings["browser"]["serverAddress"] == "localhost"
    )  # otherwise Streamlit asks another server for the public address
    assert (
        settings["client"]["showErrorDetails"] == "none" and settings["browser"]["gatherUsageStats"] is False
    )


def test_the_documented_tests_exist():
    docs = ROOT / "docs"
    promised = set(re.findall(r"`(test_\w+)`", (docs / "privacy-and-security.md").read_text()))
    mentioned = {name for page in docs.glob("*.md") for name in re.findall(r"`(test_\w+)`", page.read_text())}
    files = list((ROOT / "tests").rglob("test_*.py"))
    existing = {file.stem for file in files} | {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(promised) > 15 and not mentioned - existing


@pytest.mark.parametrize(
    ("headers", "permitted"),
    [
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, True),
        ({"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}, True),
        ({"Host": "street.example.org", "Origin": "http://localhost:8501"}, False),
        ({"Host": "localhost:8501", "Origin": "https://street.example.org"}, False),  # a silent proxy
        ({"Host": "localhost:8501", "Origin": "null"}, False),
        ({"Host": "localhost:8501", "Origin": "http://[x"}, False),
        ({"Host": "localhost:8501", "Origin": "http://localhost.example.org"}, False),
        ({"Host": "localhost:8501"}, False),
        ({"Origin": "http://localhost:8501"}, False),
        *(
            ({"Host": "localhost", "Origin": "http://localhost", header: "203.0.113.7"}, False)
            for header in ("X-Forwarded-For", "x-forwarded-port", "VIA", "CF-Connecting-IP", "True-Client-Ip")
        ),
    ],
)
def test_a_proxy_or_public_host_disables_actions(
    headers: dict, permitted: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(permissions.st, "get_option", lambda name: "localhost")
    monkeypatch.setattr(permissions.st, "context", SimpleNamespace(headers=headers))
    monkeypatch.delenv("SEG_TRAINING", raising=False)
    assert permissions.allowed() is permitted
    for setting in ("off", "0", "false", "no"):
        monkeypatch.setenv("SEG_TRAINING", setting)
        assert not permissions.allowed() and setting in permissions.why_not()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.address", "0.0.0.0"),
        ("server.address", None),
        ("browser.serverAddress", "street.example.org"),
        ("server.allowedHosts", []),
        ("server.allowedHosts", ["localhost", "street.example.org"]),
        ("server.allowedHosts", ["*"]),
        ("server.corsAllowedOrigins", ["https://street.example.org"]),
        ("server.enableCORS", False),
        ("server.enableXsrfProtection", False),
    ],
)
def test_only_the_settings_of_a_desktop_allow_actions(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    groups = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    settings = {f"{group}.{key}": item for group, keys in groups.items() for key, item in keys.items()}
    headers = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}
    monkeypatch.setattr(permissions.st, "get_option", settings.get)
    monkeypatch.setattr(permissions.st, "context", SimpleNamespace(headers=headers))
    monkeypatch.delenv("SEG_TRAINING", raising=False)
    assert permissions.allowed()
    settings[name] = value
    assert not permissions.allowed() and "other computers" in permissions.why_not()
    monkeypatch.setattr(permissions, "_announced", threading.Event())
    for _ in range(2):
        permissions.announce()
    assert capsys.readouterr().out.count("not allowed, since other computers can reach the server") == 1
    monkeypatch.setenv("SEG_TRAINING", "on")
    assert permissions.allowed()


def test_the_server_answers_to_local_names_only(registry: Path):
    server, url = start_preloaded_server({"SEG_WEIGHTS": str(registry)})
    try:
        port = url.rpartition(":")[2]
        for host, is_served in (("localhost", True), ("127.0.0.1", True), ("rebound.example.org", False)):
            request = (
                f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: streamlit\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            with socket.create_connection(("localhost", int(port)), 30) as connection:
                connection.sendall(request.encode())
                status = connection.recv(100).split(b" ", 2)[1]
            assert (status == b"101") is is_served, (host, status)
    finally:
        server.terminate()
        server.wait(30)


def test_streamlit_contacts_no_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(
        net_util, "_make_blocking_http_get", lambda *_, **__: pytest.fail("another server is asked")
    )
    streamlit_patches.harden()
    assert not net_util.get_external_ip()


def test_a_disabled_button_ignores_a_forged_press(registry: Path):
    with tempfile.TemporaryFile("w+") as server_log:
        server, url = start_preloaded_server(
            {"SEG_TRAINING": "off", "SEG_WEIGHTS": str(registry)}, stderr=server_log
        )
        try:
            for page, query, labels in (
                ("dataset", "data_view=Render+a+scene", {"Render"}),
                ("train", "view=New+training", {"Start training", "Run estimate", "Render", "Download"}),
            ):
                with Visitor(url) as visitor:
                    visitor.open(page, query)
                    off = [button.label for button in visitor.of("button") if button.disabled]
                    pressed = [label for label in off if label.startswith(tuple(labels))]
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
                visitor.chosen["no such\n2026-01-01 widget"] = {"trigger_value": True}
                visitor.open()
                assert visitor.of("exception")
            with Visitor(url) as visitor:
                visitor.socket.send("text")
                with pytest.raises(ConnectionClosed):
                    visitor.settle()
            with Visitor(url) as visitor:
                visitor.open()
        finally:
            server.terminate()
            server.wait(30)
        server_log.seek(0)
        log = server_log.read()
        assert "Traceback" not in log and "\n2026-01-01" not in log


def _commands(pid: int) -> list[str]:
    return [" ".join(child.cmdline()) for child in psutil.Process(pid).children(recursive=True)]
