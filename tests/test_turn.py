"""One training at a time on a device, in the order in which they asked, whatever becomes of those before."""

import subprocess
import sys
import time

import pytest

from seg.turn import turn

ASK = """
import sys, time
from seg.turn import turn
with turn("cpu", sys.argv[1], lambda who: print(f"{sys.argv[1]} waits for {who}", flush=True)):
    print(f"{sys.argv[1]} begins", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def ask(name: str, seconds: float) -> subprocess.Popen:
    words = [sys.executable, "-c", ASK, name, str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("seg.dataset.CACHE", tmp_path)
    monkeypatch.setenv("SEG_CACHE", str(tmp_path))
    return tmp_path


def test_turns_come_in_order_and_the_dead_do_not_hold_up_the_line(own_cache):
    with ask("first", 60) as first:
        assert first.stdout.readline() == "first begins\n"
        with ask("second", 60) as second:
            assert second.stdout.readline() == "second waits for first\n"
            third = ask("third", 0)
            assert third.stdout.readline() == "third waits for second\n"
            second.kill()  # while it waits
        with third:
            while (said := third.stdout.readline()) != "third waits for first\n":
                assert said == "third waits for second\n"
            first.kill()  # while it has the device
            while (said := third.stdout.readline()) != "third begins\n":
                assert said == "third waits for first\n"
    assert third.returncode == 0
    assert [p.name for p in (own_cache / "turns" / "cpu").iterdir()] in ([], ["gate"])


def test_another_device_is_not_waited_for_and_a_turn_ends_with_its_block(own_cache):
    def never(who: str) -> None:
        raise AssertionError(f"waited for {who}")

    began = time.monotonic()
    with turn("cpu", "one", never), turn("cuda", "two", never):
        pass
    with turn("cpu", "three", never):
        pass
    assert time.monotonic() - began < 5
