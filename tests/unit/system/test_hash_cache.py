"""Hashes of files are computed once and recorded for later processes."""

import json
import os
import shutil
import time

import pytest

from seg.data import pairs as pair_files
from seg.data.datasets import load_split
from seg.data.pairs import cached_content_hash, content_hash, find_pairs
from seg.system import hash_cache


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("SEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hash_cache, "_hashes", type(hash_cache._hashes)())
    return tmp_path / "cache" / hash_cache.RECORD


def forget() -> None:
    """Behave as a new process does."""
    hash_cache._hashes.clear()


def never() -> str:
    raise AssertionError("computed again")


def test_a_later_process_reads_the_recorded_hash(record):
    assert hash_cache.cached_hash("key", 0.0, lambda: "hash") == "hash"
    forget()
    assert hash_cache.cached_hash("key", 0.0, never) == "hash"


def test_files_that_have_just_changed_are_not_recorded(record):
    hash_cache.cached_hash("key", time.time(), lambda: "hash")
    assert not record.exists()
    assert hash_cache.cached_hash("key", time.time(), never) == "hash"


@pytest.mark.parametrize("content", ["{", "[]", '{"key": 1}'])
def test_a_damaged_record_is_replaced(record, content):
    record.parent.mkdir()
    record.write_text(content)
    assert hash_cache.cached_hash("key", 0.0, lambda: "hash") == "hash"
    assert json.loads(record.read_text())["key"] == "hash"


def test_the_record_keeps_the_newest_hashes(record, monkeypatch):
    monkeypatch.setattr(hash_cache, "MAX_HASHES", 2)
    for name in "abc":
        hash_cache.cached_hash(name, 0.0, lambda name=name: name.upper())
    assert json.loads(record.read_text()) == {"b": "B", "c": "C"}


def test_an_unwritable_cache_folder_is_tolerated(record):
    record.parent.write_text("a file in place of the folder")
    assert hash_cache.cached_hash("key", 0.0, lambda: "hash") == "hash"


def test_a_dataset_is_hashed_once_until_it_changes(pairs, tmp_path, record, monkeypatch):
    data, calls = tmp_path / "data", []
    shutil.copytree(pairs / "val", data / "val")
    for file in (data / "val").iterdir():
        os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(
        pair_files, "content_hash", lambda files: (calls.append(files), content_hash(files))[1]
    )
    for _ in range(2):
        forget()
        assert load_split(data, "val").digest == cached_content_hash(find_pairs(data, "val"))
    assert len(calls) == 1
    shutil.copyfile(pairs / "train" / "1.jpg", data / "val" / "1.jpg")
    assert cached_content_hash(find_pairs(data, "val")) == content_hash(find_pairs(data, "val"))
    assert len(calls) == 2
