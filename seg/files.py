"""Files written whole or not at all, and why not, in words. Knows nothing of what is in them."""

import errno
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash, sees all of it or what was there before."""
    handle, holding = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(holding, 0o644)
        os.replace(holding, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(holding)
        raise


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of JSON."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())


def why(error: BaseException) -> str:
    """What an error says to a person: of an OSError what was wrong and how to mend it; others bring a sentence of their own."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else None
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "The disk is full: free some space."
        case errno.EROFS if where:
            return f"Nothing can be written in {where.parent}: it is read-only. Choose another folder, or make it writable."
        case errno.EACCES | errno.EPERM if where:
            return f"You may not use {where}. Choose another place, or change the permissions there."
        case _:
            return f"{where or 'A file'} cannot be read or written ({error.strerror or error}). Mend that, or name another."
