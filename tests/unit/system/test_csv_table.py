"""No cell of a CSV file begins with a formula, whatever separator the reading program assumes."""

import csv
import io

import pytest

from seg.system.csv_table import csv_bytes

HARMFUL = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "﹦1",
    "a;=cmd|' /C calc'!A0",
    "a\t=1",
    "a|=1",
    'a";=1',
    'a";"=1',
    '"=1',
)


@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.parametrize("separator", ",;\t|")
def test_no_cell_begins_with_a_formula(name, separator):
    content = csv_bytes([("photo", "share"), (name, 0.5), (f"b{name}", -1)]).decode("utf-8-sig")
    for row in csv.reader(io.StringIO(content, newline=""), delimiter=separator):
        for cell in row:
            # what follows a closing quote belongs to the same cell
            assert not cell.lstrip().startswith(("=", "+", "@", "＝", "﹦")), row


def test_text_and_numbers_are_read_back():
    rows = [["ä;b.jpg", "0.5"], ['a "quoted", name', "-1"], ["two\nlines", "3"]]
    content = csv_bytes([[row[0], float(row[1])] for row in rows])
    assert content.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [[name, float(number)] for name, number in read] == [[row[0], float(row[1])] for row in rows]
