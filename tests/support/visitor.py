"""The app in a separate server, and visitors without a browser: many of them fit on one machine.

They use the protocol of Streamlit's own page, which Streamlit defines in its folders `proto` and `frontend`.
"""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from google.protobuf.message import Message
from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from seg.data import scenes
from tests.support.preloaded import PreloadedProcess

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
"""Seconds."""


def start_server(
    environment: Mapping[str, str], stderr: IO | None = None, streamlit: Sequence[str] = ("-m", "streamlit")
) -> tuple[subprocess.Popen, str]:
    """Starts the app as its users do, with further environment variables -> the process, and the address
    once it answers.

    `streamlit` is what Python runs.
    """
    port = free_port()
    command = [sys.executable, *streamlit, "run", "app.py", "--server.port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=stderr
    )
    return process, await_server(process, port)


def start_preloaded_server(
    environment: Mapping[str, str], stderr: IO | None = None, module: str = "streamlit", port: int = 0
) -> tuple[PreloadedProcess, str]:
    """Starts the app as `start_server`, but without the seconds of its imports.

    `module` is the module of Streamlit's command line. Without a `port` a free one is chosen.
    """
    port = port or free_port()
    arguments = ("run", "app.py", "--server.port", str(port))
    process = PreloadedProcess(module, *arguments, environment=os.environ | environment, stderr=stderr or 2)
    path = environment.get("STREAMLIT_SERVER_BASE_URL_PATH", "")
    return process, await_server(process, port, path)


def free_port() -> int:
    """A port of this machine on which no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def await_server(process: subprocess.Popen | PreloadedProcess, port: int, path: str = "") -> str:
    """Waits until the app answers on a port, perhaps under a path -> its address."""
    address, end = f"http://localhost:{port}/{path}".rstrip("/"), time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended at once; its message is above"
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
                if answer.status == 200:
                    return address
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError("the server did not start within a minute")


def jpeg(seed: int, size: tuple[int, int]) -> bytes:
    """The JPEG file of a rendered street; `size` is width and height."""
    out = io.BytesIO()
    Image.fromarray(scenes.render_scene(seed, 320, 160).photo).resize(size).save(out, "JPEG", quality=90)
    return out.getvalue()


class Visitor:
    """One session. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.page, self.query = "", ""
        self.session = ""
        self.chosen: dict[str, dict] = {}  # widget's id -> fields of its WidgetState
        self.elements: dict[tuple[int, ...], Element] = {}  # by position on the page

    def __enter__(self) -> "Visitor":
        with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=PATIENCE) as answer:
            cookie = answer.headers["Set-Cookie"].split(";")[0]
        self.headers = {"Cookie": cookie, "X-Xsrftoken": cookie.partition("=")[2]}
        address = f"ws://{urlsplit(self.url).netloc}/_stcore/stream"
        sent = {"Cookie": cookie}
        self._connection = connect(
            address,
            subprotocols=["streamlit"],
            additional_headers=sent,
            origin=self.url,
            max_size=None,
            open_timeout=PATIENCE,
        )
        self.socket = self._connection.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._connection.__exit__(*error)

    def open(self, page: str = "", query: str = "") -> None:
        """Opens a page and waits until it has run to its end."""
        self.page, self.query, self.elements = page, query, {}
        self.rerun()
        self.settle()

    def rerun(self) -> None:
        """Runs the page with the values chosen so far."""
        message = BackMsg()
        state = message.rerun_script
        state.page_name, state.query_string = self.page, self.query
        for id, chosen in self.chosen.items():
            widget = state.widget_states.widgets.add(id=id)
            for field, value in chosen.items():
                if isinstance(value, Message):
                    getattr(widget, field).CopyFrom(value)
                else:
                    setattr(widget, field, value)
        self.socket.send(message.SerializeToString())

    def messages(self) -> Iterator[ForwardMsg]:
        """The server's messages as they arrive. The page's elements are stored by their position. Raises
        TimeoutError."""
        end = time.monotonic() + PATIENCE
        while True:
            message = ForwardMsg.FromString(self.socket.recv(max(0.0, end - time.monotonic())))
            if message.HasField("new_session"):
                self.session = message.new_session.initialize.session_id
            if message.HasField("delta") and message.delta.HasField("new_element"):
                self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
            yield message

    def settle(self) -> None:
        """Waits until the page has run to its end."""
        for message in self.messages():
            if (
                message.HasField("script_finished")
                and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
            ):
                return

    def of(self, kind: str) -> list:
        """All elements of a kind on the page. The kind is a field name of Streamlit's Element."""
        return [
            getattr(element, kind) for element in self.elements.values() if element.WhichOneof("type") == kind
        ]

    def press(self, label: str) -> None:
        """Presses a button and waits until the page has run to its end."""
        id = next(button.id for button in self.of("button") if button.label == label)
        for box in self.of("checkbox"):
            self.chosen.setdefault(box.id, {"bool_value": box.default})  # pages expect a value for each
        self.elements, self.chosen[id] = {}, {"trigger_value": True}
        self.rerun()
        self.settle()
        del self.chosen[id]

    def send(self, message: BackMsg) -> None:
        """Sends any message, also one that no page would send."""
        self.socket.send(message.SerializeToString())

    def upload(self, files: Mapping[str, bytes], uploader: int = 0) -> None:
        """Sets the files of an uploader of the page, by default of the first."""
        message = BackMsg()
        request = message.file_urls_request
        request.request_id, request.session_id = uuid.uuid4().hex, self.session
        request.file_names.extend(files)
        self.send(message)
        urls = next(
            m.file_urls_response.file_urls for m in self.messages() if m.HasField("file_urls_response")
        )
        uploader_state = FileUploaderState()
        for location, (name, data) in zip(urls, files.items(), strict=True):
            self._put(location.upload_url, name, data)
            file_info = uploader_state.uploaded_file_info.add(
                file_id=location.file_id, name=name, size=len(data)
            )
            file_info.file_urls.CopyFrom(location)
        self.chosen[self.of("file_uploader")[uploader].id] = {"file_uploader_state_value": uploader_state}
        self.rerun()

    def _put(self, path: str, name: str, data: bytes) -> None:
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
        headers = self.headers | {"Content-Type": f"multipart/form-data; boundary={mark}"}
        request = urllib.request.Request(self.url + path, body, headers, method="PUT")
        urllib.request.urlopen(request, timeout=PATIENCE).close()

    def masks(self, name: str) -> dict[str, np.ndarray]:
        """Waits until the viewer has the masks of the photo with this name -> H x W uint8 as displayed, by
        id."""
        for message in self.messages():
            component = message.delta.new_element.bidi_component
            if message.HasField("delta") and component.component_name.endswith("street_viewer"):
                payload = unpacked(message.delta.new_element.bidi_component.bytes)
                if payload["panes"][0]["note"] == name and len(payload["panes"]) > 1:
                    shape = payload["height"], payload["width"]
                    return {
                        pane["id"]: pane["ids"].reshape(shape)
                        for pane in payload["panes"]
                        if pane["kind"] == "mask"
                    }


def unpacked(blob: bytes) -> dict:
    """The inverse of `viewer.pack`: the header with its sections filled in, arrays as flat uint8."""
    start = 4 + int.from_bytes(blob[:4], "little")
    header = json.loads(blob[4:start])

    def section(place: list[int]) -> bytes:
        return blob[start + place[0] : start + sum(place)]

    header["photo"] = section(header["photo"])
    for pane in header["panes"]:
        for name in ("ids", "confidence", "runner_up", "entropy"):
            if pane[name]:
                pane[name] = np.frombuffer(zlib.decompress(section(pane[name])), np.uint8)
    return header


@dataclass(frozen=True)
class Served:
    """An uploaded photo: the start of the upload, the seconds until its masks arrived, and the masks."""

    visitor: int
    name: str
    began: float
    seconds: float
    masks: dict[str, np.ndarray]


def crowd(url: str, uploads: Sequence[Mapping[str, bytes]]) -> list[Served]:
    """Runs one visitor for each element of `uploads` at the same time. Each uploads its photos one after
    another."""
    all_here = threading.Barrier(len(uploads))

    def visit(number: int) -> list[Served]:
        answers = []
        with Visitor(url) as visitor:
            visitor.open()
            all_here.wait(PATIENCE)
            for name, data in uploads[number].items():
                began = time.monotonic()
                visitor.upload({name: data})
                masks = visitor.masks(name)
                answers.append(Served(number, name, began, time.monotonic() - began, masks))
                visitor.settle()
        return answers

    with ThreadPoolExecutor(len(uploads)) as pool:
        return [served for visits in pool.map(visit, range(len(uploads))) for served in visits]
