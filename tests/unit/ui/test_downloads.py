"""Downloads are encoded one at a time, and equal ones once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seg.data.cityscapes import CITYSCAPES
from seg.inference import mask_io
from seg.system.request_queue import QueueFullError
from tests.app.test_compare_page import picture_file
from ui.compare import downloads


def test_downloads_are_encoded_one_at_a_time():
    running, most, lock = [0], [0], threading.Lock()

    def encode() -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return b"file"

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(downloads.encode_in_turn, (number,), encode) for number in range(6)]
    assert [future.result() for future in futures] == [b"file"] * 6 and most == [1]


def test_equal_downloads_are_encoded_once():
    calls, release = [], threading.Event()

    def encode() -> bytes:
        calls.append(1)
        release.wait(30)
        return b"file"

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(downloads.encode_in_turn, ("same",), encode) for _ in range(6)]
        while not calls:
            time.sleep(0.01)
        time.sleep(0.1)  # the others arrive meanwhile
        release.set()
    assert [future.result() for future in futures] == [b"file"] * 6 and len(calls) == 1


def test_too_many_waiting_downloads_are_refused(monkeypatch):
    monkeypatch.setattr(downloads._ENCODING, "_most", 0)
    with downloads._ENCODING.acquire(), pytest.raises(QueueFullError):
        downloads.encode_in_turn(("another",), lambda: b"file")


def test_equal_zips_have_equal_bytes(monkeypatch):
    mask = mask_io.png(np.zeros((80, 120), np.uint8))
    confidence = mask_io.confidence_png(np.ones((80, 120), np.float32))
    arguments = (
        "street.png",
        picture_file(),
        {"8s": (mask, confidence)},
        {"8s": CITYSCAPES},
        {"8s": {"road": 1.0}},
        {},
    )
    first = downloads.bundle(*arguments)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    assert downloads.bundle(*arguments) == first
