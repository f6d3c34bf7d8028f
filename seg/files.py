"""Files written whole or not at all. Knows nothing of what is in them."""

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
