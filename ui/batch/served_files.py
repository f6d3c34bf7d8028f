"""Results that the server offers as files of their own, and links to them."""

from pathlib import Path

from seg import paths

STATIC = paths.app() / "static"
"""Folder that Streamlit serves as app/static, without directory listings."""

MAX_SERVED_BYTES = 190 * 2**20
"""Maximum size of a file: Streamlit serves files of up to 200 MiB from disk."""


def file_links(files: dict[str, Path]) -> str:
    """Return HTML links to files in a folder of `STATIC`.

    Args:
        files: The files by the text of their link.
    """
    items = []
    for text, file in files.items():
        size = file.stat().st_size / 2**20
        address = f"app/static/{file.parent.name}/{file.name}"
        items.append(f'<a href="{address}" download="{file.name}">{text} · {max(0.1, size):.1f} MB</a>')
    return f'<div class="zip-links">{"".join(items)}</div>'
