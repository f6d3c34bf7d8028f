"""Whatever goes wrong around the program, it says what and how to mend it, and goes on or ends: see faults.py."""

from pathlib import Path

import pytest
from faults import SCENARIOS, Row, survey

TRUST = Path(__file__).parent.parent / "docs" / "trust.md"


@pytest.fixture(scope="module")
def found() -> dict[str, list[Row]]:
    return survey()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_fault_is_told_in_words_and_goes_on_or_ends(found, name):
    assert [words for row in found[name] for words in row.wrong] == []
    if not found[name][-1].done:
        pytest.skip(found[name][-1].seen)


def test_the_table_lists_every_fault(found):
    printed = [line.split(" | ") for line in TRUST.read_text().partition("## Faults")[2].splitlines() if line.startswith("| ")]
    listed = {(cells[0].removeprefix("| "), cells[1]) for cells in printed}
    missing = {(row.fault, row.done) for rows in found.values() for row in rows if row.done} - listed
    assert not missing, "print it again: python tests/faults.py"


def test_a_traceback_or_another_sentence_is_found_wrong():
    assert Row("a fault", "something", "exit 1: Traceback", ("exit 1",)).wrong == ["something: Traceback was seen"]
    assert Row("a fault", "something", "exit 0: done.", ("exit 1",)).wrong == ["something: exit 1 was not seen"]
