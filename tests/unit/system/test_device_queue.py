"""A device runs one training at a time, in the order of the requests, even if processes die."""

import subprocess
import sys
import time

import pytest

from seg.system.device_queue import wait_for_device

ASK = """
import sys, time
from seg.system.device_queue import wait_for_device
with wait_for_device("cpu", sys.argv[1], lambda who: print(f"{sys.argv[1]} waits for {who}", flush=True)):
    print(f"{sys.argv[1]} begins", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def ask(name: str, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", ASK, name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEG_CACHE", str(tmp_path))
    return tmp_path


def test_turns_are_ordered_and_dead_processes_are_skipped(own_cache):
    with ask("first", 60) as first:
        assert first.stdout.readline() == "first begins\n"
        with ask("second", 60) as second:
            assert second.stdout.readline() == "second waits for first\n"
            third = ask("third", 0)
            assert third.stdout.readline() == "third waits for second\n"
            second.kill()  # while it waits
        with third:
            while (line := third.stdout.readline()) != "third waits for first\n":
                assert line == "third waits for second\n"
            first.kill()  # while it has the device
            while (line := third.stdout.readline()) != "third begins\n":
                assert line == "third waits for first\n"
    assert third.returncode == 0
    assert [p.name for p in (own_cache / "turns" / "cpu").iterdir()] in ([], ["gate"])


def test_devices_have_separate_queues_and_turns_end(own_cache):
    def never(who: str) -> None:
        raise AssertionError(f"waited for {who}")

    began = time.monotonic()
    with wait_for_device("cpu", "one", never), wait_for_device("cuda", "two", never):
        pass
    with wait_for_device("cpu", "three", never):
        pass
    assert time.monotonic() - began < 5
