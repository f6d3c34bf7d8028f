"""Safe and unique file names for names that come from elsewhere."""

import re
import unicodedata

_DESKTOP_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".ds_store", ".localized")
_SYSTEM_FILES = (
    *_DESKTOP_FILES,
    *("__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found"),
)


def is_desktop_file(name: str) -> bool:
    """Return whether a file is one that a file manager writes into folders that it shows: icons and views."""
    return name.lower() in _DESKTOP_FILES or name.startswith("._")


def is_system_file(name: str) -> bool:
    """Return whether a file is hidden or was written by an operating system, such as ``._1.jpg`` or
    ``Thumbs.db``.

    Args:
        name: file name, or a path with folders separated by / or a backslash.
    """
    return any(
        part.lower() in _SYSTEM_FILES or (part.startswith(".") and bool(part.strip(".")))
        for part in path_parts(name)
    )


def path_parts(name: str) -> list[str]:
    """Split a path at every / and backslash."""
    return re.split(r"[/\\]", name)


def sanitize_name(name: str) -> str:
    """Convert the name of an uploaded file to a relative path that is safe on every system.

    Args:
        name: file name, with folders separated by / or a backslash.

    Returns:
        The path without suffix and with at most six folders. Folders have no dots, so none clashes with a
        file.
    """
    parts = path_parts(unicodedata.normalize("NFC", name))
    *folders, file = [part for part in parts if part.strip(" .")] or [name]
    stem = file.rsplit(".", 1)[0] if "." in file.lstrip(".") else file
    safe_folders = [_sanitize_part(part).replace(".", "_") for part in folders[-6:]]
    return "/".join([*safe_folders, _sanitize_part(stem)])


def _sanitize_part(part: str) -> str:
    """Replace characters that some systems forbid, and limit the length to leave room for suffixes."""
    safe = re.sub(r"[^\w .-]", "_", part).encode()[:120].decode(errors="ignore").strip(" .")
    is_reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", safe)  # on Windows
    return f"_{safe}" if is_reserved else safe or "photo"


def unique_name(stem: str, taken: set[str]) -> str:
    """Return a stem that is not in `taken`, ignoring case, and add it to `taken`."""
    candidate, number = stem, 2
    while candidate.casefold() in taken:
        candidate, number = f"{stem}-{number}", number + 1
    taken.add(candidate.casefold())
    return candidate
