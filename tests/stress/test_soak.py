"""A short soak test: some seconds of benchmarks/soak.py, or a minute with --stress."""

from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.soak import soak


def test_soak_with_three_browsers_finds_nothing_wrong(browser: Browser, registry: Path, stress: bool):
    log = soak(browser, registry, minutes=1 if stress else 0.3, session_seconds=2)
    assert not log.wrong
    assert log.compared >= (10 if stress else 1) and sum(log.actions.values()) >= (12 if stress else 3)
    handles = [measurement[2] for measurement in log.measurements]
    assert handles[-1] <= handles[0]  # measured with three open windows
