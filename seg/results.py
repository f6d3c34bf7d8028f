"""The files of one photo: the photo read, and what is written of it, ``STEM.VARIANT.png`` and, at the very end, ``STEM.json``.

Without PyTorch, so that a process that does no more than this is small and begins at once.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg import masks
from seg.files import write_atomic, write_json
from seg.photo import read_photo


def stamp(source: str) -> dict[str, int]:
    """Size in bytes and time of change in nanoseconds: those of a file that was changed differ. Raises OSError."""
    found = os.stat(source)
    return {"bytes": found.st_size, "modified": found.st_mtime_ns}


def read(source: str) -> tuple[Image.Image, dict[str, int], float]:
    """A picture file -> photo, `stamp`, and the seconds that it took. Raises `photo.PhotoError`."""
    began = time.perf_counter()
    try:
        seen = stamp(source)  # before it is read: a file that is changed meanwhile is done again
    except OSError:
        seen = {}  # read_photo says it in a sentence
    photo = read_photo(Path(source))
    return photo, seen, time.perf_counter() - began


def write(target: str, found: Mapping[str, np.ndarray], facts: Mapping[str, Any], others: Iterable[str] = ()) -> float:
    """Masks, and facts with every class's share added -> files whose paths begin with `target`; the seconds that it took.

    The JSON is there if, and only if, the masks beside it are those that it describes: masks of the variants `others`, which an
    earlier time may have left, go. Raises OSError.
    """
    began = time.perf_counter()
    described = Path(f"{target}.json")
    described.parent.mkdir(parents=True, exist_ok=True)
    described.unlink(missing_ok=True)
    for variant in others:
        Path(f"{target}.{variant}.png").unlink(missing_ok=True)
    for variant, mask in found.items():
        write_atomic(Path(f"{target}.{variant}.png"), masks.png(mask))
    write_json(described, {**facts, "shares": {variant: masks.shares(mask) for variant, mask in found.items()}})
    return time.perf_counter() - began
