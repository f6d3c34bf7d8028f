"""A visitor's photos are deleted from memory and disk after the session, on an idle server too."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.visitor import ROOT, Visitor, jpeg, start_preloaded_server

WORD = "a word that only this photo has"


def marked_jpeg() -> bytes:
    """A JPEG whose comment is `WORD`."""
    data = jpeg(1, (640, 320))
    return data[:2] + b"\xff\xfe" + (len(WORD) + 2).to_bytes(2) + WORD.encode() + data[2:]


def test_photos_are_deleted_when_the_session_ends(tmp_path: Path, registry: Path):
    data = marked_jpeg()
    temporary, report = tmp_path / "temporary", tmp_path / "report"
    temporary.mkdir()
    environment = {"SEG_WEIGHTS": str(registry), "TMPDIR": str(temporary), "WORD": WORD}
    # one second instead of two minutes
    environment |= {"REPORT": str(report), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1"}
    server, url = start_preloaded_server(environment, module="tests.support.watched_server")

    def held() -> tuple[int, int]:
        """The number of the server's bytes objects that contain the word, and of its cached predictions."""
        report.unlink(missing_ok=True)
        server.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 30
        while not (report.exists() and report.read_text().endswith("\n")):
            assert time.monotonic() < end
            time.sleep(0.1)
        photos, answers = report.read_text().split()
        return int(photos), int(answers)

    try:
        with Visitor(url) as visitor:
            visitor.open()
            _, samples = held()
            visitor.upload({"mine.jpg": data})
            assert visitor.masks("mine.jpg")
            visitor.settle()
            photos, answers = held()
            assert photos > 0 and answers == samples + 1
            visitor.press("Export full-resolution masks")
            visitor.open("inside")
            visitor.press("Delete earlier uploads")
            assert held() == (0, samples)
            visitor.open()
            visitor.upload({"mine.jpg": data})
            visitor.settle()
            visitor.open("scores")
            visitor.open()
            assert held()[0] > 0  # it stays from page to page
            visitor.open("inside")
            visitor.upload({"other.jpg": data})
            visitor.settle()
            visitor.upload({})  # removed from the uploader
            visitor.settle()
            visitor.press("Delete earlier uploads")
            assert held() == (0, samples)
            visitor.open()
            visitor.upload({"mine.jpg": data})
            visitor.settle()
            assert held()[0] > 0
        end = time.monotonic() + 30
        while held() != (0, samples):
            if time.monotonic() > end:
                pytest.fail(f"still held: {held()}, where samples alone are {samples}")
            time.sleep(0.5)
        remaining = [file.read_bytes() for file in temporary.rglob("*") if file.is_file()]
        assert not any(WORD.encode() in content for content in remaining)
    finally:
        server.terminate()
        server.wait(30)


def test_batch_files_are_deleted_after_the_session(tmp_path: Path, registry: Path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {
        "SEG_WEIGHTS": str(registry),
        "TMPDIR": str(temporary),
        "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1",
    }
    server, url = start_preloaded_server(environment, module="tests.support.watched_server")
    try:
        with Visitor(url) as visitor:
            visitor.open("batch")
            visitor.upload({"mine.jpg": jpeg(1, (640, 320))})
            visitor.settle()
            visitor.press("Segment 1 file")
            visitor.press("Create a zip of the masks")
            zips = {
                ROOT / "static" / name
                for html in visitor.of("html")
                for name in re.findall(r"static/([\w-]+)/", html.body)
            }
            folders = {*temporary.glob("street-fcn-*"), *zips}
            assert len(folders) == 2 and all(any(folder.rglob("*.*")) for folder in folders)
            time.sleep(3)
            assert all(folder.is_dir() for folder in folders)
        end = time.monotonic() + 30
        while remaining := [folder for folder in folders if folder.exists()]:
            assert time.monotonic() < end, remaining
            time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(30)
