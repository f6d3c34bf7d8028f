"""Durations are formatted in a suitable unit."""

import pytest

from seg.system.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_format_duration_unit_follows_length(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
