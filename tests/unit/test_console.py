"""The console prints names that are not UTF-8, and no control characters, in text and in tables."""

import io

from rich.table import Column, Table

from seg.cli.console import SafeConsole


def test_names_are_made_printable_wherever_they_appear():
    file = io.StringIO()
    console = SafeConsole(file=file, width=100)
    table = Table("a", Column("head\udcff", no_wrap=True), title="title \x1b[2J\udcfe")
    table.add_row("cell\udcfd", "\x07bell")
    console.print(table)
    console.print("text\udcfc [bold]bold[/]", "\x1b]0;name\x07")
    console.print("plain\udcfb", markup=False)
    output = file.getvalue()
    output.encode()
    for expected in (r"head\xff", r"\xfe", r"cell\xfd", r"text\xfc bold", r"plain\xfb"):
        assert expected in output
    assert not {"\x1b", "\x07"} & set(output)
