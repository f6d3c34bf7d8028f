"""An ordinary visitor is served, with right masks, beside hostile ones; `make stress` runs every attack."""

import pytest

from benchmarks.attacks import ATTACKS, run

SAMPLE = ("list in place of a pixel",)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_ordinary_visitor_is_served_beside_hostile_ones(registry, stress, name):
    if not stress and name not in SAMPLE:
        pytest.skip("only with --stress")
    outcome = run(registry, name, 10 if stress else 3)
    assert outcome.attacks and outcome.answers and not outcome.wrong and not outcome.log_tracebacks
    assert outcome.slowest < 30 and outcome.peak_mb < 4000
