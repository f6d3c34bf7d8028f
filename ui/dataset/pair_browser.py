"""The Browse view: a grid of pairs, filtered and sorted by class, and a pair in the viewer."""

from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from seg.data import label_decoder
from seg.data.cityscapes import NAMES, TRAIN_ID
from seg.data.label_check import find_faults, summarize
from seg.data.pairs import (
    PAIR_ASPECT,
    SIDE,
    SPLITS,
    DatasetError,
    exact_label,
    find_pairs,
    has_pairs,
    mtime_fingerprint,
    read_pair,
)
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.dataset import pair_cache
from ui.shared import charts
from ui.shared.permissions import allowed, show_disabled_reason
from ui.shared.picture_buttons import picture_grid
from ui.shared.pictures import pixels_jpeg
from ui.shared.text import plain
from ui.state.session import session

PAGE_SIZE = 24
ANY = "any class"
BY_NUMBER, BY_CLASS, BY_IGNORED = "number", "share of the class", "ignored share"
MINIMUM_SHARES = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Choices for the minimum share of a class; 0 stands for a single pixel."""

Listing = list[tuple[Path, str]]
"""Files of pairs, each with the text below its thumbnail."""

_UNUSABLE = pixels_jpeg(np.full((1, 1, 3), (127, 29, 29), np.uint8), (64, 32))


def draw(chosen: pair_cache.ChosenSplit) -> None:
    """Draw the grid, or the opened pair.

    Args:
        chosen: The split.
    """
    pairs = _listed(chosen)
    if pairs is None:
        return
    positions = {pair_cache.pair_name(file): position for position, (file, _) in enumerate(pairs)}
    position = positions.get(st.query_params.get("number", ""))
    if position is not None:
        _show_pair(chosen, pairs, position)
        return
    if number := st.query_params.get("number"):
        st.info(f"Pair {plain(number)} is not in this selection.", icon=":material/search_off:")
        _open(None)
    _show_grid(pairs)
    _check_section(chosen)


def _listed(chosen: pair_cache.ChosenSplit) -> Listing | None:
    """Draw filter and order; return the matching pairs, or None while the labels are not decoded."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        looks = pair_cache.LOOKS
        st.segmented_control("Show", looks, default=looks[0], required=True, key="look", bind="query-params")
        name = st.selectbox("Containing", [ANY, *NAMES], key="with", bind="query-params", width=180)
        minimum = 0.0
        orders = [BY_NUMBER, BY_IGNORED]
        if name != ANY:
            minimum = st.select_slider(
                "Minimum share",
                MINIMUM_SHARES,
                key="least",
                bind="query-params",
                width=180,
                format_func=lambda share: f"{100 * share:g} %" if share else "any",
            )
            orders = [BY_CLASS, BY_NUMBER, BY_IGNORED]
        if st.session_state.get("order") not in orders:
            st.session_state.pop("order", None)
        order = st.selectbox("Sort by", orders, key="order", bind="query-params", width=200)
    if name == ANY and order == BY_NUMBER:
        return [(file, pair_cache.pair_name(file)) for file in chosen.files]
    counts = pair_cache.pixel_counts(chosen)
    if counts is None:
        return None
    shares = counts / counts.sum(1, keepdims=True)
    shown = shares[:, -1] if order == BY_IGNORED else shares[:, TRAIN_ID.get(name, -1)]
    indices = np.arange(len(shares))
    if name != ANY:
        class_id = TRAIN_ID[name]
        indices = indices[(counts[:, class_id] > 0) & (shares[:, class_id] >= minimum)]
    if order != BY_NUMBER:
        indices = indices[np.argsort(-shown[indices], kind="stable")]
    return [(chosen.files[i], f"{pair_cache.pair_name(chosen.files[i])} · {shown[i]:.1%}") for i in indices]


def _show_grid(pairs: Listing) -> None:
    if not pairs:
        st.info("No pair of this split matches. Lower the minimum share.", icon=":material/search_off:")
        return
    pages = -(-len(pairs) // PAGE_SIZE)
    page = 1
    left, right = st.columns([1, 2], vertical_alignment="center")
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    if pages > 1:
        with right.container(horizontal=True, horizontal_alignment="right"):
            page = st.pagination(pages, key="page", bind="query-params")
    first = (page - 1) * PAGE_SIZE
    on_page = pairs[first : first + PAGE_SIZE]
    left.caption(f"{first + 1:,} to {first + len(on_page):,} of {len(pairs):,} pairs. Choose one to open it.")
    cells = []
    thumbnails = [pair_cache.thumbnail(file, st.session_state["look"]) for file, _ in on_page]
    for (file, text), thumbnail in zip(on_page, thumbnails, strict=True):
        if isinstance(thumbnail, str):
            st.warning(plain(thumbnail), icon=":material/broken_image:")
            text, thumbnail = f"{pair_cache.pair_name(file)} is unusable", _UNUSABLE
        cells.append((pair_cache.pair_name(file), text, thumbnail))
    picture_grid("pairs", cells, None, _open)


def _open(number: str | None) -> None:
    """Open a pair by its number, or return to the grid."""
    if number is None:
        st.query_params.pop("number", None)
    else:
        st.query_params["number"] = number


def _close(position: int) -> None:
    """Return to the page of the grid that contains the pair."""
    _open(None)
    st.session_state["page"] = position // PAGE_SIZE + 1


def _show_pair(chosen: pair_cache.ChosenSplit, pairs: Listing, position: int) -> None:
    file = pairs[position][0]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All pairs", icon=":material/grid_view:", on_click=_close, args=(position,))
        neighbor_buttons(pairs, position)
        st.markdown(
            f"**{plain(chosen.split)}/{plain(file.name)}** · {position + 1:,} of {len(pairs):,}",
            width="content",
        )
    payload, shares = pair_payload(file)
    viewer(payload, key="pair_viewer")
    st.subheader("Classes", anchor=False)
    st.html(charts.legend(shares))


def neighbor_buttons(pairs: Listing, position: int) -> None:
    """Draw buttons that open the previous and the next pair."""
    for label, icon, target in (
        ("Previous", ":material/chevron_left:", position - 1),
        ("Next", ":material/chevron_right:", position + 1),
    ):
        exists = 0 <= target < len(pairs)
        number = pair_cache.pair_name(pairs[target][0]) if exists else None
        st.button(label, icon=icon, disabled=not exists, on_click=_open, args=(number,))


def pair_payload(file: Path) -> tuple[bytes, dict[str, dict[str, float]]]:
    """Return the viewer's message for a pair, and the class shares by label.

    Raises:
        DatasetError: The file is not a pair.
        OSError: The file cannot be read.
    """
    return _pair_payload(mtime_fingerprint((file,)), file)


@st.cache_data(max_entries=24, show_spinner="Decoding the label …")
def _pair_payload(fingerprint: str, _file: Path) -> tuple[bytes, dict[str, dict[str, float]]]:
    photo, picture = read_pair(_file)
    decoded, exact = label_decoder.decode(picture), exact_label(_file)
    size = (SIDE * PAIR_ASPECT, SIDE) if exact is None else exact.shape[::-1]
    enlarged = deflate(decoded.repeat(size[1] // SIDE, 0).repeat(size[0] // SIDE, 1))
    panes = [
        Pane("photo", "Photo", "photo", "aspect ratio restored to 2:1"),
        Pane("label", "Label", "mask", "decoded", ids=enlarged),
    ]
    shares = {"Label": pair_cache.shares_of(decoded)}
    if exact is not None:
        panes.append(Pane("exact", "Exact label", "truth", shown=False, ids=deflate(exact)))
        shares = {"Label, decoded": shares["Label"], "Exact label": pair_cache.shares_of(exact)}
    return pack(pixels_jpeg(photo, size), size, size, panes, present(shares.values()), own=False), shares


def _check_section(chosen: pair_cache.ChosenSplit) -> None:
    """Draw the check of all files of the dataset, and its result."""
    session().setdefault("checked", {})
    with st.expander("Check the files", icon=":material/fact_check:"):
        show_disabled_reason()
        if st.button(f"Check every file of {plain(chosen.data.name)}", key="check", disabled=not allowed()):
            bar, errors, count = st.progress(0.0, "Reading …"), list[DatasetError](), 0
            for split in SPLITS:
                files = find_pairs(chosen.data, split) if has_pairs(chosen.data, split) else ()
                count += len(files)
                errors += find_faults(files, partial(_show_progress, bar, split))
            bar.empty()
            session()["checked"] = {str(chosen.data): (count, [str(e) for e in errors], summarize(errors))}
        count, messages, summary = session()["checked"].get(str(chosen.data), (0, [], ""))
        for message in messages[:20]:
            st.warning(plain(message), icon=":material/broken_image:")
        if len(messages) > 20:
            st.warning(f"And {len(messages) - 20:,} more.", icon=":material/broken_image:")
        if messages:
            text = f"{len(messages):,} of {count:,} files are unusable: {summary}."
            st.error(text, icon=":material/fact_check:")
        elif count:
            st.success(f"All {count:,} files are intact.", icon=":material/fact_check:")


def _show_progress(bar: DeltaGenerator, split: str, done: int, total: int) -> None:
    bar.progress(done / total, f"{split}: {done:,} of {total:,} files")
