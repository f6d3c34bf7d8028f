"""Folders of data sets of pairs, and a description of where the pairs are if they are in other folders."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePath

from PIL import Image

from seg.data import photo_files
from seg.system.file_names import is_system_file
from seg.system.folders import broken_link

SPLITS = ("train", "val")

SUFFIXES = (".jpg", ".jpeg", ".png")
"""Suffixes of pairs, in lower case."""

SIDE = 256
"""Height and width in pixels of both halves of a pair."""

MAX_SEARCHED_LEVELS = 4
"""Levels below a folder in which misplaced pairs are searched: three for a data set, one for its splits."""

MAX_SEARCHED_ENTRIES = 5000
"""Files and folders in which such a search looks for folders."""

_MAX_NAMED = 3
"""Folders that a message names."""

_MAX_LISTED, _MAX_OPENED = 100, 3
"""Entries of a folder that are listed in search of pictures, and pictures that are opened."""

_OTHER_NAMES = {"training": "train", "validation": "val", "valid": "val", "test": "val"}
"""Names that other data sets give to the splits."""


def split_folder(root: Path, split: str) -> Path:
    """Return the folder of a split; its name may be written in capitals.

    Args:
        root: the folder that contains the splits.
        split: ``train`` or ``val``.
    """
    exact = root / split
    if os.path.lexists(exact):
        return exact
    return next((folder for folder in subfolders(root) if folder.name.lower() == split.lower()), exact)


def roots(data: Path) -> list[Path]:
    """Return the folders that contain the splits: `data` itself, or subfolders if it was unpacked one level
    too deep."""
    for folders in ([data], subfolders(data)):
        with_splits = [folder for folder in folders if any(split_folder(folder, s).is_dir() for s in SPLITS)]
        if with_splits:
            return with_splits
    return []


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, and links to folders, sorted; none if it cannot be read."""
    try:
        return sorted(
            path for path in folder.iterdir() if not is_system_file(path.name) and os.path.isdir(path)
        )
    except OSError:
        return []


def pair_files(folder: Path) -> list[Path]:
    """Return the files in a folder that can be pairs by their suffixes; none if there is no such folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if _can_be_pair(name)]


def explain_missing(data: Path, split: str) -> str:
    """Return why a split contains no pairs, where there are some, and what to do.

    Args:
        data: the folder that was given as data set.
        split: ``train`` or ``val``.
    """
    root = _root(data)
    folder, other = split_folder(root, split), split_folder(root, "val" if split == "train" else "train")
    present = ""
    if folder.is_dir():
        files = [path for path in folder.iterdir() if not is_system_file(path.name) and not path.is_dir()]
        counts = Counter(path.suffix for path in files).most_common(5)
        types = photo_files.describe_counts(dict(counts)) or "no files"
        present = f"It contains {types}; pairs are .jpg or .png files."
    advice = find_misplaced(data, split)
    if not advice and pair_files(other):
        advice = f"There are pairs in {other} only: add {folder}, or use the data set for {other.name} only."
    elif not advice:
        advice = (
            "Place the data set there (python -m seg data fetch), or render one: python -m seg data render"
            " --to DIR."
        )
    return " ".join(filter(None, (f"No pairs in {folder}.", broken_link(folder), present, advice)))


def find_misplaced(data: Path, split: str) -> str:
    """Return where there are pairs that may be those of a split, and what to do; empty if nowhere.

    At most `MAX_SEARCHED_LEVELS` levels and about `MAX_SEARCHED_ENTRIES` entries are searched.

    Args:
        data: the folder that was given as data set.
        split: ``train`` or ``val``, which contains no pairs.
    """
    folders = [folder for folder in _searched_folders(data) if contains_pairs(folder)]
    if data in folders:
        if _split_of(data.absolute()):
            return f"{data} is itself a split: choose the folder that contains it, {data.absolute().parent}."
        return f"{data} itself contains pairs: move them to {data / split}."
    sets = list(dict.fromkeys(folder.parent for folder in folders if folder.name.lower() in SPLITS))
    if sets and not roots(data):
        choice = "choose this folder" if len(sets) == 1 else "choose one of these folders"
        return f"There are pairs in {_listed(sets)}: {choice}, or move its contents to {data}."
    usable = [folder for folder in folders if _split_of(folder) in ("", split)]
    if not usable:
        return ""
    root = _root(data)
    if _split_of(usable[0]) and usable[0].parent == root:
        return f"There are pairs in {usable[0]}: rename this folder to {split}."
    return f"There are pairs in {_listed(usable)}: move those of {split} to {root / split}."


def _root(data: Path) -> Path:
    return (roots(data) or [data])[0]


def _split_of(folder: Path) -> str:
    """Return of which split a folder is by its name; empty for any other name."""
    name = folder.name.lower()
    return name if name in SPLITS else _OTHER_NAMES.get(name, "")


def _listed(folders: list[Path]) -> str:
    return ", ".join(map(str, folders[:_MAX_NAMED])) + ", …" * (len(folders) > _MAX_NAMED)


def _searched_folders(data: Path) -> Iterator[Path]:
    """Yield a folder and those below it, upper levels first."""
    waiting, entries = deque([(data, 0)]), 0
    visited = set()
    while waiting:
        folder, level = waiting.popleft()
        if (real := os.path.realpath(folder)) in visited:  # links may lead upwards
            continue
        visited.add(real)
        yield folder
        names = [] if level == MAX_SEARCHED_LEVELS else _first_names(folder, MAX_SEARCHED_ENTRIES - entries)
        entries += len(names)
        visible = sorted(name for name in names if not is_system_file(name))
        waiting.extend((folder / name, level + 1) for name in visible if os.path.isdir(folder / name))


def contains_pairs(folder: Path) -> bool:
    """Return whether one of the first pictures that a folder lists has the size of a pair."""
    pictures = [name for name in _first_names(folder, _MAX_LISTED) if _can_be_pair(name)]
    return any(_has_pair_size(folder / name) for name in pictures[:_MAX_OPENED])


def _first_names(folder: Path, count: int) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, count)]
    except OSError:
        return []


def _has_pair_size(file: Path) -> bool:
    try:
        with Image.open(file, formats=["JPEG", "PNG"]) as picture:
            return picture.size == (2 * SIDE, SIDE)
    except Exception:  # Pillow raises many types for damaged files
        return False


def _can_be_pair(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES and not is_system_file(name)
