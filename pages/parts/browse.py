"""The pairs of a split as a grid of small pictures, filtered and sorted; and one of them in the viewer."""

from pathlib import Path

import numpy as np
import streamlit as st

from pages.parts import charts, pairs
from pages.parts.frame import plain
from pages.parts.photos import picture_grid
from pages.parts.viewer import Pane, deflate, pack, present, viewer
from pages.parts.wishes import allowed, excuse
from seg import dataset, labels, preprocess
from seg.dataset import SIDE
from seg.labels import NAMES, TRAIN_ID

A_PAGE = 24
ANY = "any class"
BY_NUMBER, BY_CLASS, BY_IGNORED = "number", "share of the class", "ignored share"
LEAST = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of a photo's pixels that a class can be asked to have: 0 is a single pixel."""

_BAD = pairs.jpeg(np.full((1, 1, 3), (127, 29, 29), np.uint8), (64, 32))


def draw(chosen: pairs.Chosen) -> None:
    """The grid, or the pair that is opened."""
    found = _listed(chosen)
    if found is None:
        return
    opened = {file.stem: number for number, (file, _) in enumerate(found)}.get(st.query_params.get("number"))
    if opened is not None:
        _open(chosen, found, opened)
        return
    if number := st.query_params.get("number"):
        st.info(f"Pair {plain(number)} is not among these.", icon=":material/search_off:")
        _pick(None)
    _grid(found)
    _check(chosen)


def _listed(chosen: pairs.Chosen) -> list[tuple[Path, str]] | None:
    """The pairs that are wanted in the order that is wanted, with what is said of each; None while they cannot be known."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control("Show", pairs.LOOKS, default=pairs.LOOKS[0], required=True, key="look", bind="query-params")
        name = st.selectbox("With", [ANY, *NAMES], key="with", bind="query-params", width=180)
        least = 0.0
        orders = [BY_NUMBER, BY_IGNORED]
        if name != ANY:
            least = st.select_slider(
                "Least share", LEAST, key="least", bind="query-params", width=180,
                format_func=lambda share: f"{100 * share:g} %" if share else "any",
            )  # fmt: skip
            orders = [BY_CLASS, BY_NUMBER, BY_IGNORED]
        if st.session_state.get("order") not in orders:
            st.session_state.pop("order", None)
        order = st.selectbox("Sorted by", orders, key="order", bind="query-params", width=200)
    if name == ANY and order == BY_NUMBER:
        return [(file, file.stem) for file in chosen.files]
    counted = pairs.counts(chosen)
    if counted is None:
        return None
    shares = counted / counted.sum(1, keepdims=True)
    said = shares[:, TRAIN_ID.get(name, -1)] if order != BY_IGNORED else shares[:, -1]
    wanted = np.arange(len(shares))
    if name != ANY:
        wanted = wanted[(counted[:, TRAIN_ID[name]] > 0) & (shares[:, TRAIN_ID[name]] >= least)]
    if order != BY_NUMBER:
        wanted = wanted[np.argsort(-said[wanted], kind="stable")]
    return [(chosen.files[i], f"{chosen.files[i].stem} · {said[i]:.1%}") for i in wanted]


def _grid(found: list[tuple[Path, str]]) -> None:
    if not found:
        st.info("No pair of this split has so much of it. Choose a smaller least share.", icon=":material/search_off:")
        return
    pages = -(-len(found) // A_PAGE)
    page = 1
    left, right = st.columns([1, 2], vertical_alignment="center")
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    if pages > 1:
        with right.container(horizontal=True, horizontal_alignment="right"):
            page = st.pagination(pages, key="page", bind="query-params")
    first = (page - 1) * A_PAGE
    here = found[first : first + A_PAGE]
    left.caption(f"{first + 1:,} to {first + len(here):,} of {len(found):,} pairs. Choose one to open it.")
    pictures = [pairs.thumbnail(file, st.session_state["look"]) for file, _ in here]
    cells = []
    for (file, words), picture in zip(here, pictures, strict=True):
        if isinstance(picture, str):
            st.warning(plain(picture), icon=":material/broken_image:")
            words, picture = f"{file.stem} is no pair", _BAD
        cells.append((file.stem, words, picture))
    picture_grid("pairs", cells, None, _pick)


def _pick(number: str | None) -> None:
    if number is None:
        st.query_params.pop("number", None)
    else:
        st.query_params["number"] = number


def _close(at: int) -> None:
    """Back to the page of the grid that has the pair."""
    _pick(None)
    st.session_state["page"] = at // A_PAGE + 1


def _open(chosen: pairs.Chosen, found: list[tuple[Path, str]], at: int) -> None:
    """One pair in the viewer, and the ways to the grid and to its neighbours."""
    file = found[at][0]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All pairs", icon=":material/grid_view:", on_click=_close, args=(at,))
        step(found, at)
        st.markdown(f"**{plain(chosen.split)}/{plain(file.name)}** · {at + 1:,} of {len(found):,}", width="content")
    packed, shares = shown(file)
    viewer(packed, key="pair_viewer")
    st.subheader("Classes", anchor=False)
    st.html(charts.legend(shares))


def step(found: list[tuple[Path, str]], at: int) -> None:
    """Buttons to the pairs before and after."""
    for words, icon, to in (("Previous", ":material/chevron_left:", at - 1), ("Next", ":material/chevron_right:", at + 1)):
        inside = 0 <= to < len(found)
        st.button(words, icon=icon, disabled=not inside, on_click=_pick, args=(found[to][0].stem if inside else None,))


def shown(file: Path) -> tuple[bytes, dict[str, dict[str, float]]]:
    """What the viewer is sent of a pair, and the shares of its classes by label. Raises `DatasetError` and OSError."""
    return _shown(dataset.stamp((file,)), file)


@st.cache_data(max_entries=24, show_spinner="Decoding the label …")
def _shown(stamp: str, _file: Path) -> tuple[bytes, dict[str, dict[str, float]]]:
    photo, picture = dataset.read_pair(_file)
    found, exact = labels.decode(picture), dataset.exact(_file)
    size = (SIDE * preprocess.PAIR_ASPECT, SIDE) if exact is None else exact.shape[::-1]
    large = found.repeat(size[1] // SIDE, 0).repeat(size[0] // SIDE, 1)
    panes = [Pane("photo", "Photo", "photo", "stretched back to 2:1")]
    shares = {"Label": pairs.shares_of(found)}
    if exact is None:
        panes.append(Pane("label", "Label", "mask", "decoded", ids=deflate(large)))
    else:
        panes += [
            Pane("label", "Label", "mask", "decoded", ids=deflate(large)),
            Pane("exact", "Exact label", "truth", shown=False, ids=deflate(exact)),
        ]
        shares = {"Label, decoded": shares["Label"], "Exact label": pairs.shares_of(exact)}
    return pack(pairs.jpeg(photo, size), size, size, panes, present(shares.values()), own=False), shares


def _check(chosen: pairs.Chosen) -> None:
    """Every file of the set read, on a wish."""
    st.session_state.setdefault("checked", {})
    with st.expander("Are all files whole?", icon=":material/fact_check:"):
        excuse()
        if st.button(f"Check every file of {plain(chosen.data.name)}", key="check", disabled=not allowed()):
            bar, bad, count = st.progress(0.0, "Reading …"), [], 0
            for split in dataset.SPLITS:
                files = tuple((chosen.data / split).glob("*.jpg"))
                files = dataset.find(chosen.data, split) if files else ()
                count += len(files)
                bad += dataset.damaged(
                    files, lambda done, total, split=split: bar.progress(done / total, f"{split}: {done:,} of {total:,} files")
                )
            bar.empty()
            st.session_state["checked"] = {str(chosen.data): (count, bad)}
        count, bad = st.session_state["checked"].get(str(chosen.data), (0, []))
        for sentence in bad[:20]:
            st.warning(plain(sentence), icon=":material/broken_image:")
        if len(bad) > 20:
            st.warning(f"And {len(bad) - 20:,} more.", icon=":material/broken_image:")
        if count:
            words = f"{len(bad):,} of {count:,} files are no pairs." if bad else f"All {count:,} files are whole pairs."
            (st.error if bad else st.success)(words, icon=":material/fact_check:")
