"""A minute of what tests/soak.py does for thirty."""

from pathlib import Path

from playwright.sync_api import Browser
from soak import soak


def test_a_minute_of_three_browsers(browser: Browser, registry: Path):
    log = soak(browser, registry, minutes=1, kept=2)
    assert not log.wrong
    assert log.compared >= 10 and sum(log.done.values()) >= 12
    handles = [seen[2] for seen in log.seen]
    assert handles[-1] <= handles[0]  # then there were three windows
