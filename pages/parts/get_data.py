"""Where data sets come from: rendered here, or fetched from Kaggle, each by a process of its own."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import streamlit as st

from pages.parts.frame import plain
from pages.parts.wishes import allowed, excuse, free
from seg import dataset, scenes


def no_data() -> None:
    """The empty state: where pairs come from."""
    st.info(
        f"No data set is in `{dataset.FOLDER}` yet. Render one here, fetch the Cityscapes Image Pairs from Kaggle, or place "
        f"a folder of pairs there: `{dataset.FOLDER}/NAME/train/1.jpg` …",
        icon=":material/dataset:",
    )
    get_data()


def more_data() -> None:
    """Other data sets."""
    with st.expander("Get more data", icon=":material/dataset:"):
        get_data()


def get_data() -> None:
    """Rendering and fetching a data set."""
    left, right = st.columns(2, gap="large")
    with left:
        render_set(scenes.Wishes())
    with right:
        st.markdown("The [Cityscapes Image Pairs](https://www.kaggle.com/datasets/dansbecker/cityscapes-image-pairs), 115 MB")
        target = dataset.FOLDER / "cityscapes-image-pairs"
        if st.button("Fetch them from Kaggle", disabled=not allowed() or target.exists(), icon=":material/download:"):
            if run_now(("data", "fetch", "--to", str(target)), lambda _: _pairs_in(target), 3475, "Fetching"):
                st.rerun()
        if target.exists():
            st.caption("They are here.")


def render_set(wishes: scenes.Wishes) -> None:
    """Rendering a data set of scenes that are as wished."""
    count = st.slider("Rendered street scenes to train on", 50, 1000, 300, 50, key="count")
    name = free("scenes", [one.name for one in dataset.sets(dataset.FOLDER)])
    target, val = dataset.FOLDER / name, max(10, count // 6)
    words = ("data", "render", "--to", str(target), "--train", str(count), "--val", str(val), *options(wishes))
    if st.button(f"Render them as {dataset.FOLDER / name}", key="render", disabled=not allowed(), icon=":material/landscape:"):
        if run_now(words, lambda pid: _pairs_in(scenes.rendering(target, pid)), count + val, "Rendering"):
            st.rerun()
    excuse()
    for other in scenes.under_way(dataset.FOLDER):  # begun in another window, or before the page was loaded anew
        name = other.name.split(".rendering")[0].lstrip(".")
        st.caption(f"{plain(name)} is being rendered: {_pairs_in(other):,} pairs so far.")
    if wishes:
        st.caption("The same on the command line:")
        st.code(f"python -m seg {shlex.join(words)}", language="bash", wrap_lines=True)


def options(wishes: scenes.Wishes) -> tuple[str, ...]:
    """The wishes as the command line takes them."""
    found = {field.name: getattr(wishes, field.name) for field in fields(wishes)}
    return tuple(word for name, value in found.items() if value is not None for word in (f"--{name}", str(value)))


def run_now(words: tuple[str, ...], done: Callable[[int], int], count: int, what: str) -> bool:
    """As `run`; why it did not succeed is told on the page. Whether it did."""
    why = run(words, done, count, what)
    if why:
        st.error(plain(why), icon=":material/error:")
    return not why


def run(words: tuple[str, ...], done: Callable[[int], int], count: int, what: str) -> str:
    """Runs a command as a process of its own, shows how many pairs are done by the process of a number; why it did not succeed.

    It goes on when the page is left.
    """
    bar = st.progress(0.0, f"{what} …")
    process = subprocess.Popen(
        [sys.executable, "-m", "seg", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None:
        ready = done(process.pid)
        bar.progress(min(1.0, ready / count), f"{what}: {ready:,} of {count:,} pairs" if ready else f"{what} …")
        time.sleep(0.3)
    bar.empty()
    with process.stderr as told:
        why = told.read().strip().removeprefix("error ")
    return (why or f"It ended with code {process.returncode}.") if process.returncode else ""


def _pairs_in(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/*.jpg"))
