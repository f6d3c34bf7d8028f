"""A visitor's photos go with the visitor, from memory and from disk, though nobody else comes."""

import re
import signal
import time
from pathlib import Path

import pytest
from visitor import ROOT, Visitor, jpeg, start_server

WORD = "a word that only this photo has"


def test_photos_are_gone_when_the_session_ends(tmp_path: Path, registry: Path):
    data = jpeg(1, (640, 320))
    data = data[:2] + b"\xff\xfe" + (len(WORD) + 2).to_bytes(2) + WORD.encode() + data[2:]  # as a JPEG's comment
    temporary, told = tmp_path / "temporary", tmp_path / "told"
    temporary.mkdir()
    environment = {"SEG_WEIGHTS": str(registry), "TMPDIR": str(temporary), "WORD": WORD, "TOLD": str(told)}
    environment["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = "1"  # instead of two minutes
    server, url = start_server(environment, streamlit=[str(Path(__file__).parent / "watched.py")])

    def held() -> tuple[int, int]:
        """How many bytes objects of the server have the word, and how many answers it keeps."""
        told.unlink(missing_ok=True)
        server.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 30
        while not (told.exists() and told.read_text().endswith("\n")):
            assert time.monotonic() < end
            time.sleep(0.1)
        photos, answers = told.read_text().split()
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
            visitor.press("Make the files")
            visitor.open("inside")
            visitor.press("Forget the photos given before")
            assert held() == (0, samples)
            visitor.open()
            visitor.upload({"mine.jpg": data})
            visitor.settle()
            visitor.open("scores")
            visitor.open()
            assert held()[0] > 0  # from page to page it stays
            visitor.open("inside")
            visitor.upload({"other.jpg": data})
            visitor.settle()
            visitor.upload({})  # taken out of the uploader
            visitor.settle()
            visitor.press("Forget the photos given before")
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
        assert not [file for file in temporary.rglob("*") if file.is_file() and WORD.encode() in file.read_bytes()]
    finally:
        server.terminate()
        server.wait(30)


def test_what_a_visitor_leaves_behind_is_deleted(tmp_path: Path, registry: Path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"SEG_WEIGHTS": str(registry), "TMPDIR": str(temporary), "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1"}
    server, url = start_server(environment, streamlit=[str(Path(__file__).parent / "watched.py")])
    try:
        with Visitor(url) as visitor:
            visitor.open("batch")
            visitor.upload({"mine.jpg": jpeg(1, (640, 320))})
            visitor.settle()
            visitor.press("Look at 1 file")
            visitor.press("Make a zip of the masks")
            zips = {ROOT / "static" / name for html in visitor.of("html") for name in re.findall(r"static/([\w-]+)/", html.body)}
            folders = {*temporary.glob("street-fcn-*"), *zips}
            assert len(folders) == 2 and all(any(folder.rglob("*.*")) for folder in folders)
            time.sleep(3)
            assert all(folder.is_dir() for folder in folders)
        end = time.monotonic() + 30
        while left := [folder for folder in folders if folder.exists()]:
            assert time.monotonic() < end, left
            time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(30)
