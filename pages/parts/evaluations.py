"""Evaluations of weights on the data sets that are present: found, started, watched, and the photos behind their figures."""

import contextlib
import time
from pathlib import Path

import streamlit as st

from pages.parts import cached
from pages.parts.frame import plain
from pages.parts.pairs import Chosen, of, thumbnail
from pages.parts.photos import picture_grid
from pages.parts.shown import judge, masks_of, packed
from pages.parts.viewer import viewer
from pages.parts.wishes import allowed, lasting, refused, told, why_not
from seg import dataset, launch, scoring, weights
from seg.dataset import DatasetError

SPLIT = "val"
"""What is evaluated: never what was trained on."""

A_PAGE = 12
"""Photos at a time."""


def choose_pairs(card: weights.Card) -> Chosen | None:
    """The data set that the visitor chose in the sidebar, at first the one that the card was scored on; None without any."""
    found = {}
    for data in dataset.sets(dataset.FOLDER):
        with contextlib.suppress(DatasetError, OSError):
            found[data.name] = of(data, SPLIT)
    if not found:
        return None
    names = sorted(found, key=lambda name: (found[name].digest != card.metrics.get("digest"), name))
    with st.sidebar:
        chosen = st.selectbox("Data set", names, key="scored_on", help=f"Its {SPLIT} pairs are scored on.")
    return found[chosen]


def evaluation(card: weights.Card, pairs: Chosen | None) -> scoring.Scoring | None:
    """The evaluation of these weights on these pairs, where there is one."""
    if pairs is None:
        return None
    folder = scoring.place(card.sha256, pairs.digest)
    report = folder / "report.json"
    return _kept(folder, report.stat().st_mtime) if report.is_file() else None


@st.cache_data(max_entries=4, show_spinner=False)
def _kept(folder: Path, written: float) -> scoring.Scoring | None:
    return scoring.find(folder)


def offer(card: weights.Card, pairs: Chosen | None, what: str) -> None:
    """Starts an evaluation, or shows how far it is. `what` says what it would give."""
    if pairs is None:
        st.info(
            f"No data set is in `{dataset.FOLDER}`, so nothing can be scored here. The Dataset page renders or fetches one.",
            icon=":material/dataset:",
        )
        return
    folder = scoring.place(card.sha256, pairs.digest)
    said = scoring.progress(folder)
    if said.get("status") == "running":
        st.fragment(watch, run_every=1)(folder)
        return
    if said.get("status") == "failed":
        st.error(f"The last evaluation ended early. {plain(said.get('message', ''))}", icon=":material/error:")
    st.markdown(what)
    st.button(
        f"Score {plain(card.name)} on the {len(pairs.files):,} photos of {plain(pairs.data.name)} {SPLIT}",
        icon=":material/fact_check:", type="primary", disabled=not allowed(), on_click=told,
        args=(launch.score, card.name, pairs.data, folder, len(pairs.files)),
        help="In a process of its own: it goes on when this page is closed. Minutes on a CPU.",
    )  # fmt: skip
    refused()
    if not allowed():
        st.caption(f"Evaluations cannot be started from this page: {why_not()}.")


def watch(folder: Path) -> None:
    """How far an evaluation is; draws the whole page anew when it has ended."""
    said = scoring.progress(folder)
    if said.get("status") != "running":
        st.rerun()
    done, total = said.get("done", 0), max(1, said.get("total", 1))
    left = ""
    if done:
        left = f" · about {lasting((time.time() - said['since']) / done * (total - done))} left"
    st.progress(done / total, f"Scoring: {done:,} of {total:,} photos{left}" if done else "Reading the network and the pairs …")
    if allowed():
        st.button("Stop", icon=":material/stop:", on_click=scoring.stop, args=(folder,), key="stop_scoring")


def photos(card: weights.Card, pairs: Chosen, found: list[tuple[int, str]], key: str) -> None:
    """A grid of photos, (index, what is said of it), and the one that is chosen in the viewer, with its truth."""
    if not found:
        st.info("There is no such photo.", icon=":material/search_off:")
        return
    pages = -(-len(found) // A_PAGE)
    page = 1
    if pages > 1:
        page = st.pagination(pages, key=f"{key}_page")
    cells = []
    for index, words in found[(page - 1) * A_PAGE : page * A_PAGE]:
        picture = thumbnail(pairs.files[index], "Photo")
        # what is damaged or gone since it was scored has no picture, and says so when it is chosen
        cells.append((str(index), f"{pairs.files[index].name} · {words}", b"" if isinstance(picture, str) else picture))
    chosen = st.session_state.get(f"{key}_photo")
    if chosen not in [str(index) for index, _ in found]:
        chosen = None

    def pick(name: str) -> None:
        st.session_state[f"{key}_photo"] = name

    picture_grid(key, cells, chosen, pick)
    if chosen is None:
        st.caption("Choose a photo to see it with its truth.")
        return
    file = pairs.files[int(chosen)]
    photo = cached.photo(file.name, file.read_bytes())
    with st.spinner(f"Looking at {plain(file.name)} …"):
        made = masks_of(card, cached.answer(photo, card, card.working_height, best=False), True)
    viewer(packed(photo, made, photo.truth, judge(photo, made, photo.truth)), key=f"{key}_viewer")
