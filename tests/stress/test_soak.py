"""A short soak test: a minute of benchmarks/soak.py; only with --stress."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.soak import soak


def test_soak_with_three_browsers_finds_nothing_wrong(browser: Browser, registry: Path, stress: bool):
    if not stress:
        pytest.skip("only with --stress: it takes longer than any other test")
    log = soak(browser, registry, minutes=1, session_seconds=2)
    assert not log.wrong
    assert log.compared >= 10 and sum(log.actions.values()) >= 12
    handles = [measurement[2] for measurement in log.measurements]
    assert handles[-1] <= handles[0]  # measured with three open windows
