"""What visitors start on a server by looking at its pages."""

import shutil
import threading
from pathlib import Path

import psutil
import pytest

from seg.data import pairs as pair_files
from seg.data.pairs import cached_content_hash, find_pairs
from tests.support.visitor import Visitor, start_preloaded_server


def test_reruns_of_the_dataset_page_start_one_decoding(pairs: Path, registry: Path, tmp_path: Path):
    data = tmp_path / "data" / "streets" / "train"
    data.mkdir(parents=True)
    files = find_pairs(pairs, "train")
    for number in range(56):
        shutil.copy(files[number % len(files)], data / f"{number}.jpg")
    environment = {"SEG_DATA": str(tmp_path / "data"), "SEG_CACHE": str(tmp_path / "cache")}
    environment |= {"SEG_TRAINING": "off", "SEG_WEIGHTS": str(registry)}
    server, url = start_preloaded_server(environment)
    try:
        with Visitor(url) as first:
            first.open("dataset")  # its view Browse needs no decoded labels
        with Visitor(url) as visitor, Visitor(url) as other:
            for each in (visitor, other):
                each.page, each.query = "dataset", "data_view=Class+frequencies"
                each.rerun()
            started: set[int] = set()
            for _ in range(8):
                visitor.rerun()
                started |= _decodings(server.pid)
                threading.Event().wait(0.5)
                started |= _decodings(server.pid)
            visitor.settle(), other.settle()
            started |= _decodings(server.pid)
        assert len(started) == 1, started
        assert list((tmp_path / "cache").glob("decoded-*"))
    finally:
        server.terminate()
        server.wait(30)


def _decodings(server: int) -> set[int]:
    found = set()
    for child in psutil.Process(server).children(recursive=True):
        try:
            if {"data", "check"} <= set(child.cmdline()):
                found.add(child.pid)
        except psutil.Error:
            continue
    return found


def test_a_form_that_many_look_at_reads_the_pairs_once(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(pairs / "val", tmp_path / "val")
    files, computed = find_pairs(tmp_path, "val"), []
    compute = pair_files.content_hash
    monkeypatch.setattr(pair_files, "content_hash", lambda found: (computed.append(found), compute(found))[1])
    barrier, hashes = threading.Barrier(8), []

    def look() -> None:
        barrier.wait(30)
        hashes.append(cached_content_hash(files))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) == 1 and set(hashes) == {compute(files)}
    shutil.copy(pairs / "train" / "3.jpg", files[0])
    assert cached_content_hash(files) == compute(files) != hashes[0] and len(computed) == 2
