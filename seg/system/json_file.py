"""Reading of JSON files that other programs may have written: a damaged one is refused, never a crash."""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 16 << 20
"""The largest JSON file that is read; a run's files are a few kilobytes."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is too large, not UTF-8 or not JSON, or nested too deeply.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MB")
    return parse_json(content)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is damaged or contains something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def parse_json(text: str | bytes) -> Any:
    """Decode JSON text. Raises ValueError if it is damaged or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
