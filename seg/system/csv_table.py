"""CSV files that spreadsheet programs read correctly."""

import csv
import io
from collections.abc import Iterable, Sequence

from seg.errors import printable

_FORMULA_STARTS = tuple("=+-@|%＝＋－＠﹦﹢﹣﹫")  # also in full width and small


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as the content of a CSV file.

    It is UTF-8 with a byte-order mark, without which Excel assumes an 8-bit encoding. Text that
    a spreadsheet would evaluate as a formula gets an apostrophe in front (OWASP, "CSV Injection"). All fields
    are quoted: otherwise a program that separates by semicolons would begin a cell within a name.

    Args:
        rows: the rows; text and numbers.
    """
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
