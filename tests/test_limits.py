"""What one visitor may ask is bounded, and an administrator may change it."""

import pytest

from pages.parts import limits
from pages.parts.limits import LimitError, Looks


def test_a_limit_that_is_no_number_is_logged(monkeypatch, caplog):
    for said, is_ in (("7", 7), ("abc", 40), ("0", 40), ("", 40)):
        monkeypatch.setenv("SEG_WAITING", said)
        assert limits._whole("SEG_WAITING", 40) == is_
    assert [record.getMessage() for record in caplog.records] == [
        f"SEG_WAITING='{said}' is no whole number above 0; 40 holds." for said in ("abc", "0")
    ]


def test_looks_are_counted_by_the_minute(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(limits, "LOOKS", 3)
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    mine, anothers = Looks(), Looks()
    for _ in range(3):
        mine.count()
        now += 10
    with pytest.raises(LimitError, match="3 looks within a minute, and others wait too. Try again in 30 seconds."):
        mine.count()
    anothers.count()
    now += 30.5
    mine.count()
    with pytest.raises(LimitError):
        mine.count()


@pytest.mark.parametrize(("said", "found"), [("7", 7), ("0", 120), ("-1", 120), ("many", 120), ("", 120), ("1.5", 120)])
def test_the_environment_changes_a_limit_where_it_says_a_number(said, found, monkeypatch):
    monkeypatch.setenv("SEG_LOOKS_A_MINUTE", said)
    assert limits._whole("SEG_LOOKS_A_MINUTE", 120) == found
