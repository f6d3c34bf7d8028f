"""The choice of a split, and caches of its labels, class counts and thumbnails for all visitors.

Cache keys contain `mtime_fingerprint`, so that results of changed files are not used again.
"""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from seg.data import cityscapes
from seg.data.datasets import has_split, load_split, split_digest, split_files, split_fingerprint
from seg.data.decode_cache import DecodedSplit, decoding_progress, is_decoded
from seg.data.label_check import LabelHalfError, check_labels
from seg.data.pairs import (
    PAIR_ASPECT,
    SIDE,
    SPLITS,
    DatasetError,
    mtime_fingerprint,
    read_pair,
)
from seg.data.statistics import class_pixel_counts
from seg.errors import printable
from seg.system.durations import format_duration
from ui.dataset.import_data import run_command
from ui.shared.permissions import allowed, show_disabled_reason
from ui.shared.pictures import pixels_jpeg
from ui.shared.text import plain
from ui.state.session import session

MAX_UNASKED = 200
"""Splits of up to this many pairs are decoded without confirmation."""

RETRY_SECONDS = 60
"""Seconds until a failed decoding is tried again."""

DECODE_SECONDS = 0.2
"""Seconds that a core takes to decode a pair."""

LOOKS = ("Overlay", "Photo", "Label")
"""Kinds of thumbnails: the label's colors over the photo, or one of the two. The colors are those of the
file."""


@dataclass(frozen=True)
class ChosenSplit:
    """One split of a dataset."""

    data: Path
    split: str
    files: tuple[Path, ...]
    fingerprint: str

    @property
    def digest(self) -> str:
        """`DecodedSplit.digest`."""
        return _digest(self.fingerprint, self.data, self.split)


def choose_split(datasets: tuple[Path, ...], with_split: bool) -> ChosenSplit:
    """Draw the choice of a dataset and of a split.

    Args:
        datasets: Folders of datasets.
        with_split: Whether to offer the choice of a split; else the first one is used.

    Raises:
        DatasetError: The split contains no pairs.
        OSError: The folder cannot be read.
    """
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    names = [printable(folder.name) for folder in datasets]
    if (imported := session().pop("imported_dataset", None)) in names:
        st.session_state["set"] = imported
    if st.session_state.get("set") not in names:  # also if it was deleted meanwhile
        st.session_state.pop("set", None)
    name = left.selectbox("Dataset", names, key="set", bind="query-params")
    data = datasets[names.index(name)]
    splits = [split for split in SPLITS if has_split(data, split)] or [SPLITS[0]]
    if st.session_state.get("split") not in splits:
        linked = st.query_params.get("split")
        st.session_state["split"] = linked if linked in splits else splits[0]
    if not with_split:
        return read_split(data, splits[0])
    with right:
        split = st.segmented_control("Split", splits, required=True, key="split") or splits[0]
    st.query_params["split"] = split
    return read_split(data, split)


def read_split(data: Path, split: str) -> ChosenSplit:
    """List the files of a split.

    Raises:
        DatasetError: The split contains no pairs.
        OSError: The folder cannot be read.
    """
    files = split_files(data, split)
    return ChosenSplit(data, split, files, split_fingerprint(data, split))


def pair_name(file: Path) -> str:
    """Return the name of a pair for pages and links: its file's name without suffix."""
    return printable(file.stem)


def label_problem(chosen: ChosenSplit) -> str:
    """Return why none of the labels of a split can be used; usually an empty string."""
    return _label_problem(chosen.fingerprint, chosen.files)


@st.cache_data(max_entries=64, show_spinner=False)
def _label_problem(fingerprint: str, _files: tuple[Path, ...]) -> str:
    try:
        check_labels(_files)
    except LabelHalfError as error:
        return str(error)
    except DatasetError:  # a damaged pair, which the views report
        pass
    return ""


def decoded_split(chosen: ChosenSplit, ask: bool = True) -> DecodedSplit | None:
    """Return a split with its labels decoded, which takes minutes the first time for a large one.

    Args:
        chosen: The split.
        ask: Whether to ask the visitor before a large split is decoded.

    Returns:
        The split; None until the visitor confirms.

    Raises:
        DatasetError: A pair is corrupt.
    """
    if not is_decoded(chosen.digest) and not _decode(chosen, ask):
        return None
    return _load(chosen.fingerprint, chosen)


def _decode(chosen: ChosenSplit, ask: bool) -> bool:
    """Decode the split in a process that continues when the page is left; return whether it is decoded
    now."""
    message, until = _errors().get(chosen.fingerprint, ("", 0.0))
    if time.monotonic() < until:  # a rerun does not start the same again
        raise DatasetError(message)
    if decoding_progress(chosen.digest):
        return _wait_for_decoding(chosen.digest)
    place, count = st.empty(), len(chosen.files)
    if ask and count > MAX_UNASKED:
        with place.container():
            if not _confirm(chosen):
                return False
    with place.container():
        arguments = ("data", "check", str(chosen.data), "--split", chosen.split)
        error = run_command(
            arguments,
            lambda _: (decoding_progress(chosen.digest) or (0, 0))[0],
            count,
            "Decoding",
            lambda: not is_decoded(chosen.digest),
        )
    place.empty()
    if error:
        seconds: float = RETRY_SECONDS
        if "are unusable" in error:  # it stays so until the files change
            error += " Replace these files; “Check every file” in the Browse view lists them."
            seconds = math.inf
        _errors()[chosen.fingerprint] = (error, time.monotonic() + seconds)
        raise DatasetError(error)
    return True


def _wait_for_decoding(digest: str) -> bool:
    """Show the progress of a decoding that another visitor started; return whether it succeeded."""
    bar = st.empty()
    while progress := decoding_progress(digest):
        bar.progress(progress[0] / progress[1], f"Decoding: {progress[0]:,} of {progress[1]:,} pairs")
        time.sleep(0.3)
    bar.empty()
    return is_decoded(digest)


def _confirm(chosen: ChosenSplit) -> bool:
    count = len(chosen.files)
    seconds = max(1, count * DECODE_SECONDS / (os.cpu_count() or 1))
    st.info(
        f"The labels of {plain(chosen.data.name)} {chosen.split} are not decoded yet. Decoding takes about "
        f"{format_duration(seconds)} and is done only once.",
        icon=":material/hourglass_empty:",
    )
    label = f"Decode {count:,} pairs"
    if st.button(label, key="decode", type="primary", disabled=not allowed(), icon=":material/palette:"):
        return True
    show_disabled_reason()
    return False


@st.cache_resource(show_spinner=False)
def _errors() -> dict[str, tuple[str, float]]:
    """Return the error messages of splits by fingerprint, and until when they hold."""
    return {}


def pixel_counts(chosen: ChosenSplit) -> np.ndarray | None:
    """Count the pixels of each class in each pair.

    Args:
        chosen: The split.

    Returns:
        N x 20 counts, the ignored pixels last; None until the visitor confirms the decoding.

    Raises:
        DatasetError: A pair is corrupt.
    """
    split = decoded_split(chosen)
    return None if split is None else _counts(chosen.fingerprint, split)


def thumbnail(file: Path, look: str) -> bytes | str:
    """Return a thumbnail of a pair (JPEG), or the error message.

    Args:
        file: File of the pair.
        look: One of `LOOKS`.
    """
    try:
        return _thumbnail(mtime_fingerprint((file,)), look, file)
    except OSError:
        return printable(f"{file} no longer exists.")


def shares_of(label: np.ndarray) -> dict[str, float]:
    """Return the share (0 to 1) of each class that occurs in a label, the largest first."""
    shares = np.bincount(label.reshape(-1), minlength=256)[: len(cityscapes.CLASSES)] / label.size
    return {cityscapes.NAMES[k]: float(shares[k]) for k in np.argsort(-shares) if shares[k]}


@st.cache_data(max_entries=64, show_spinner="Reading the files …")
def _digest(fingerprint: str, _data: Path, _split: str) -> str:
    return split_digest(_data, _split)


@st.cache_resource(max_entries=6, show_spinner=False)
def _load(fingerprint: str, _chosen: ChosenSplit) -> DecodedSplit:
    return load_split(_chosen.data, _chosen.split)


@st.cache_data(max_entries=12, show_spinner="Counting pixels …")
def _counts(fingerprint: str, _split: DecodedSplit) -> np.ndarray:
    return class_pixel_counts(_split.labels)


@st.cache_data(max_entries=1000, show_spinner=False)
def _thumbnail(fingerprint: str, look: str, _file: Path) -> bytes | str:
    try:
        photo, picture = read_pair(_file)
    except DatasetError as error:
        return str(error)
    if look == "Overlay":
        labeled = picture.any(2, keepdims=True)  # black is void: show the photo alone
        photo = np.where(labeled, (0.45 * photo + 0.55 * picture).astype(np.uint8), photo)
    size = (SIDE * PAIR_ASPECT * 3 // 4, SIDE * 3 // 4)
    return pixels_jpeg(picture if look == "Label" else photo, size)
