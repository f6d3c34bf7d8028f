"""Faults around the program end in a message that says what to do; see benchmarks/fault_injection.py.

With --stress all scenarios run, otherwise only the quick ones.
"""

from pathlib import Path

import pytest

from benchmarks.fault_injection import SCENARIOS, Row, survey

RECORDED = Path(__file__).parents[2] / "docs" / "verification.md"


SAMPLE = ("port", "pipe")


@pytest.fixture(scope="module")
def results(stress: bool) -> dict[str, list[Row]]:
    return survey(tuple(SCENARIOS) if stress else SAMPLE)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_fault_ends_in_a_clear_message(results, name, stress):
    if not stress and name not in SAMPLE:
        pytest.skip("only with --stress")
    assert [problem for row in results[name] for problem in row.wrong] == []
    if not results[name][-1].action:
        pytest.skip(results[name][-1].output)


def test_the_table_lists_every_fault(results):
    printed = [
        line.split(" | ")
        for line in RECORDED.read_text().partition("## Fault injection")[2].splitlines()
        if line.startswith("| ")
    ]
    listed = {(cells[0].removeprefix("| "), cells[1]) for cells in printed}
    missing = {(row.fault, row.action) for rows in results.values() for row in rows if row.action} - listed
    assert not missing, "print it again: python -m benchmarks.fault_injection"


def test_a_traceback_or_a_missing_text_is_reported():
    assert Row("a fault", "something", "exit 1: Traceback", ("exit 1",)).wrong == [
        "something: Traceback was seen"
    ]
    assert Row("a fault", "something", "exit 0: done.", ("exit 1",)).wrong == [
        "something: exit 1 was not seen"
    ]
