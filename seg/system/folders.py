"""Contents of folders that users manage: files of operating systems, and links that lead nowhere."""

import os
from pathlib import Path

from seg.system.file_names import is_desktop_file, is_system_file


def broken_link(path: Path) -> str:
    """Return a sentence if a path is a link to a missing file or folder; otherwise an empty string."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"{path} is a link to {os.readlink(path)}, which does not exist."
    return ""


def broken_links(folder: Path) -> list[str]:
    """Return a sentence for each broken link in a folder; none if the folder cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if not is_system_file(path.name))
    except OSError:
        return []
    return [sentence for path in paths if (sentence := broken_link(path))]


def vacate(folder: Path) -> bool:
    """Delete what a file manager has left in a folder that contains nothing else.

    Args:
        folder: a folder to write to.

    Returns:
        Whether the folder is empty now, or missing.

    Raises:
        OSError: if the folder cannot be read or changed.
    """
    if not folder.exists():
        return True
    files = list(folder.iterdir())
    if not all(is_desktop_file(file.name) and file.is_file() for file in files):
        return False
    for file in files:
        file.unlink()
    return True
