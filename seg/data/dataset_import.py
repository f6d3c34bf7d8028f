"""Unpacking of an uploaded zip as a data set: `import_zip`."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from seg.data import archives
from seg.data.datasets import check_split, has_split
from seg.data.image_set import find_image_set
from seg.data.layouts import IMAGE_SUFFIXES, LABEL_SUFFIXES, unknown_layout
from seg.data.pairs import SPLITS, DatasetError
from seg.system.atomic_io import new_folder
from seg.system.file_names import is_system_file

SUFFIXES = frozenset({*IMAGE_SUFFIXES, *LABEL_SUFFIXES, ".json", ".txt", ".csv"})
"""Types of the files that are unpacked."""

MAX_DEPTH = 8
"""Folders that a file may be in."""


def import_zip(
    file: BinaryIO, folder: Path, name: str, on_progress: Callable[[float], object] = lambda share: None
) -> Path:
    """Unpack a zip as a data set, under the limits of `archives`.

    Nothing remains of a zip that holds no recognized data set.

    Args:
        file: the zip.
        folder: the folder of the data sets.
        name: the name of the new data set.
        on_progress: called with the share of the files that are unpacked.

    Returns:
        The folder of the data set.

    Raises:
        DatasetError: if the name is unusable or taken, or the zip holds no recognized data set.
        ArchiveError: if the zip is damaged, or too large.
        OSError: if the files cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", name):
        raise DatasetError(
            f'"{name}" is no valid name of a data set: use the letters a to z, digits, dots, dashes and'
            " underscores only."
        )
    target = folder / name
    if target.exists():
        raise DatasetError(f"{target} exists already. Choose another name.")
    folder.mkdir(parents=True, exist_ok=True)
    with new_folder(target, prefix=".importing-") as place:
        for share, member in archives.members(file):
            path = _relative_path(member.name)
            if path is not None and not is_system_file(member.name):
                if member.error:
                    raise DatasetError(f"{member.name} in the zip: {member.error}")
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_bytes(member.data)
            on_progress(share)
        try:
            _check_recognized(place)
        except DatasetError as error:
            inside = str(error).replace(f"{place}{os.sep}", "").replace(os.fspath(place), "The zip")
            raise DatasetError(inside) from None
    return target


def _check_recognized(place: Path) -> None:
    """Raise a `DatasetError` if a folder is no data set that is recognized."""
    if find_image_set(place) is not None:
        return
    present = [split for split in SPLITS if has_split(place, split)]
    if not present:
        raise DatasetError(unknown_layout(place))
    check_split(place, present[0], slice(1))  # photos in a folder "train" need not be pairs


def _relative_path(name: str) -> PurePosixPath | None:
    """Return where a file of a zip is written; None for other types and for paths that lead elsewhere."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in SUFFIXES or path.is_absolute() or len(path.parts) > MAX_DEPTH:
        return None
    if any(part in ("", ".", "..") or re.search(r'[\x00-\x1f<>:"|?*\\]', part) for part in path.parts):
        return None
    return path
