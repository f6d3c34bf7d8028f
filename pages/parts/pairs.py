"""The data sets that are looked at: which one is chosen, and what the server keeps of it, all visitors together.

Everything is known by `dataset.stamp`, so that what was kept of files that have changed is not shown again.
"""

import io
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts.frame import plain
from pages.parts.get_data import run
from pages.parts.wishes import allowed, excuse, lasting
from seg import dataset, labels, preprocess
from seg.dataset import SIDE, DatasetError

AT_ONCE = 200
"""Splits of up to so many pairs are decoded without being asked for."""

DECODING = 0.2
"""Seconds that a core takes to decode a pair."""

LOOKS = ("Overlay", "Photo", "Label")
"""What the small pictures show: the photo with the label's colours over it, or one of the two. The colours are the file's own."""


@dataclass(frozen=True)
class Chosen:
    """One split of a data set."""

    data: Path
    split: str
    files: tuple[Path, ...]
    stamp: str

    @property
    def digest(self) -> str:
        """`dataset.digest` of its files."""
        return _digest(self.stamp, self.files)


def choose(found: tuple[Path, ...], splits_too: bool) -> Chosen:
    """The set that the visitor chose, and, where that is asked for, the split; else the first.

    Raises `DatasetError` and OSError where they are gone.
    """
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    names = [one.name for one in found]
    if st.session_state.get("set") not in names:  # also a set that was deleted meanwhile
        st.session_state.pop("set", None)
    name = left.selectbox("Data set", names, key="set", bind="query-params")
    data = found[names.index(name)]
    splits = [split for split in dataset.SPLITS if any((data / split).glob("*.jpg"))] or [dataset.SPLITS[0]]
    if st.session_state.get("split") not in splits:
        st.session_state["split"] = asked if (asked := st.query_params.get("split")) in splits else splits[0]
    if not splits_too:
        return of(data, splits[0])
    with right:
        split = st.segmented_control("Split", splits, required=True, key="split")
    st.query_params["split"] = split
    return of(data, split)


def of(data: Path, split: str) -> Chosen:
    """A split as it lies on the disk now. Raises `DatasetError` and OSError where it is gone."""
    files = dataset.find(data, split)
    return Chosen(data, split, files, dataset.stamp(files))


def decoded(chosen: Chosen, ask: bool = True) -> dataset.Split | None:
    """The split with its labels decoded, which takes minutes the first time where it is large.

    Then the visitor is asked first, and it is None until it is wanted, unless `ask` is False: it was asked for.

    Raises `DatasetError` for a damaged pair.
    """
    if not dataset.is_decoded(chosen.digest) and not _decode(chosen, ask):
        return None
    return _opened(chosen.stamp, chosen)


def _decode(chosen: Chosen, ask: bool) -> bool:
    """Has the split decoded by a process of its own, which goes on when the page is left; whether it is decoded now."""
    if chosen.stamp in _failed():
        raise DatasetError(_failed()[chosen.stamp])
    count, found = len(chosen.files), chosen.digest
    under_way = dataset.decoding(found)
    if under_way:
        bar = st.empty()
        while under_way:
            bar.progress(under_way[0] / under_way[1], f"Decoding: {under_way[0]:,} of {under_way[1]:,} pairs")
            time.sleep(0.3)
            under_way = dataset.decoding(found)
        bar.empty()
        return dataset.is_decoded(found)
    place = st.empty()
    if ask and count > AT_ONCE:
        with place.container():
            st.info(
                f"The labels of {plain(chosen.data.name)} {chosen.split} have not been decoded on this computer yet. That is "
                f"done once, takes about {lasting(max(1, count * DECODING / (os.cpu_count() or 1)))}, and is kept.",
                icon=":material/hourglass_empty:",
            )
            words = f"Decode {count:,} pairs"
            if not st.button(words, key="decode", type="primary", disabled=not allowed(), icon=":material/palette:"):
                excuse()
                return False
    with place.container():
        words = ("data", "check", str(chosen.data), "--split", chosen.split)
        why = run(words, lambda _: (dataset.decoding(found) or (0, 0))[0], count, "Decoding")
    place.empty()
    if "damaged" in why:  # that will not change before the files do
        why += " They cannot be counted until those are replaced: “Check every file” under Browse names them."
        _failed()[chosen.stamp] = why
    if why:
        raise DatasetError(why)
    return True


@st.cache_resource(show_spinner=False)
def _failed() -> dict[str, str]:
    """{stamp: why the split was not decoded}"""
    return {}


def counts(chosen: Chosen) -> np.ndarray | None:
    """n x 20: pixels by class in each pair, the ignored ones last; None where the split must be decoded first.

    Raises as `decoded` does.
    """
    split = decoded(chosen)
    return None if split is None else _counts(chosen.stamp, split)


def thumbnail(file: Path, look: str) -> bytes | str:
    """A small JPEG of a pair, or the sentence that says what is wrong with its file."""
    try:
        return _thumbnail(dataset.stamp((file,)), look, file)
    except OSError:
        return f"{file} is gone."


@st.cache_data(max_entries=64, show_spinner="Reading the files …")
def _digest(stamp: str, _files: tuple[Path, ...]) -> str:
    return dataset.digest(_files)


@st.cache_resource(max_entries=6, show_spinner=False)
def _opened(stamp: str, _chosen: Chosen) -> dataset.Split:
    return dataset.load(_chosen.data, _chosen.split)


@st.cache_data(max_entries=12, show_spinner="Counting pixels …")
def _counts(stamp: str, _split: dataset.Split) -> np.ndarray:
    return dataset.counts(_split.labels)


@st.cache_data(max_entries=1000, show_spinner=False)
def _thumbnail(stamp: str, look: str, _file: Path) -> bytes | str:
    try:
        photo, picture = dataset.read_pair(_file)
    except DatasetError as error:
        return str(error)
    if look == "Overlay":
        drawn = picture.any(2, keepdims=True)  # black is void: there the photo is alone
        photo = np.where(drawn, (0.45 * photo + 0.55 * picture).astype(np.uint8), photo)
    return jpeg(picture if look == "Label" else photo, (SIDE * preprocess.PAIR_ASPECT * 3 // 4, SIDE * 3 // 4))


def jpeg(pixels: np.ndarray, size: tuple[int, int]) -> bytes:
    """HxWx3 uint8 -> a JPEG of `size` (width, height)."""
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(out, "JPEG", quality=88)
    return out.getvalue()


def shares_of(label: np.ndarray) -> dict[str, float]:
    """The share of a label's pixels that each class present has, the largest first."""
    found = np.bincount(label.reshape(-1), minlength=256)[: len(labels.CLASSES)] / label.size
    return {labels.NAMES[k]: float(found[k]) for k in np.argsort(-found) if found[k]}
