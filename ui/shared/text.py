"""Safe and short texts for pages."""

import re

from seg.errors import printable


def unique_name(name: str, taken: list[str]) -> str:
    """Return the name, with a number appended if it is taken."""
    stem, number = name.rstrip("0123456789").rstrip("-") or name, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def plain(text: str) -> str:
    """Escape text so that Streamlit's Markdown shows it literally.

    Addresses, icons and arrows are recognized after backslashes are removed: an invisible word joiner
    separates their characters.
    """
    joined = r"(?i)(?<=www)(?=\.)|(?<=:)(?=[/\w])|(?=@)|(?<=[-<>=~])(?=[-<>=~])"
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])", r"\\\1", re.sub(joined, "\u2060", printable(text)))


def unquoted(name: str) -> str:
    """Restore a file name.

    Browsers send quotes and line ends in it as %22, %0D and %0A (HTML standard, form submission).
    """
    return name.replace("%22", '"').replace("%0D", " ").replace("%0A", " ")


def short(name: str, most: int = 40) -> str:
    """Shorten a name to at most `most` characters by omitting its middle."""
    return name if len(name) <= most else f"{name[: most - 9]}…{name[-8:]}"


def tail(name: str, most: int = 36) -> str:
    """Shorten a path to at most `most` characters by omitting its beginning."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, for example "1 file" or "1,200 files"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
