"""Reading of NumPy archives in the cache and beside the weights: a damaged one is refused, never a crash."""

import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file of `numpy.savez`.

    Raises:
        OSError: if it is missing.
        ValueError: if it is damaged.
    """
    try:
        # opened here, because numpy leaves a damaged file open
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return dict(arrays)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
