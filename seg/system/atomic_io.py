"""Atomic writes of files and folders: a reader sees the complete new one or the old one, never a part."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file atomically and sync it to disk.

    Args:
        path: the file; its folder must exist. An existing file is replaced.
        content: the new content.

    Raises:
        OSError: if the file cannot be written; the previous file is then unchanged.
    """
    with new_file(path) as temp_path:
        temp_path.write_bytes(content)


@contextmanager
def new_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Let the caller write a temporary file beside `path`; sync it and move it there when the block ends.

    Args:
        path: the file; its folder must exist. An existing file is replaced.
        suffix: the end of the temporary file's name.

    Yields:
        The temporary file, empty. It is deleted if the block raises.

    Raises:
        OSError: if the file cannot be written; the previous file is then unchanged.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(descriptor)
    temp_path = Path(name)
    try:
        yield temp_path
        with temp_path.open("rb") as file:
            os.fsync(file.fileno())
        temp_path.chmod(0o644)
        os.replace(temp_path, path)
    finally:
        temp_path.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, prefix: str = ".writing-", replace: bool = False) -> Iterator[Path]:
    """Let the caller fill a temporary folder beside `path`; rename it to `path` when the block ends.

    Args:
        path: the folder; its parent must exist.
        prefix: the beginning of the temporary folder's name.
        replace: delete an existing folder first; otherwise it must be missing or empty.

    Yields:
        The temporary folder. It is deleted if the block raises.

    Raises:
        OSError: if the folder cannot be written or `path` is not empty.
    """
    temp_dir = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
    try:
        yield temp_dir
        temp_dir.chmod(0o755)
        if replace:
            shutil.rmtree(path, ignore_errors=True)
        temp_dir.rename(path)
    finally:
        shutil.rmtree(temp_dir, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with `write_atomic`."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())
