"""The requests of a visitor are limited, and an administrator can change the limits."""

import pytest

from ui.shared import rate_limit
from ui.shared.rate_limit import LimitError, RateLimiter


def test_an_invalid_limit_is_logged(monkeypatch, caplog):
    for text, expected in (("7", 7), ("abc", 40), ("0", 40), ("", 40)):
        monkeypatch.setenv("SEG_WAITING", text)
        assert rate_limit._positive_int("SEG_WAITING", 40) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"SEG_WAITING='{text}' is not a positive integer; the default 40 is used." for text in ("abc", "0")
    ]


def test_predictions_are_limited_per_minute(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(rate_limit, "PREDICTIONS_PER_MINUTE", 3)
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now)
    mine, theirs = RateLimiter(), RateLimiter()
    for _ in range(3):
        mine.count()
        now += 10
    with pytest.raises(LimitError, match=r"3 predictions per minute\). Try again in 30 seconds."):
        mine.count()
    theirs.count()
    now += 30.5
    mine.count()
    with pytest.raises(LimitError):
        mine.count()


@pytest.mark.parametrize(
    ("text", "limit"), [("7", 7), ("0", 120), ("-1", 120), ("many", 120), ("", 120), ("1.5", 120)]
)
def test_a_valid_environment_variable_changes_the_limit(text, limit, monkeypatch):
    monkeypatch.setenv("SEG_LOOKS_A_MINUTE", text)
    assert rate_limit._positive_int("SEG_LOOKS_A_MINUTE", 120) == limit
