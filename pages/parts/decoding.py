"""How a pair's colours became classes: what the file says, what was made of it, and what was ignored and why."""

from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts import browse, cached, charts, pairs
from pages.parts.pictures import data_url
from seg import dataset, labels
from seg.dataset import Survey
from seg.labels import NAMES, OFFICIAL_SHARES, Why

SAMPLE = 100
"""Pairs of a split that are decoded for the figures below."""

WORDS = {
    Why.BLACK: "black: unlabelled, the car’s bonnet, the rim",
    Why.VOID: "the colour of what is not scored: parking, bridge, …",
    Why.EVEN: "an even blend of two classes: either could be meant",
    Why.TORN: "two explanations fit about equally well",
    Why.UNKNOWN: "nothing known explains its colour",
}
COLORS = {
    Why.BLACK: (90, 98, 110),
    Why.VOID: (168, 120, 220),
    Why.EVEN: (255, 183, 3),
    Why.TORN: (251, 86, 7),
    Why.UNKNOWN: (230, 0, 92),
}

_STYLE = """
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1rem; }
.halves figure { margin: 0; }
.halves img { width: 100%; aspect-ratio: 2; image-rendering: pixelated; border-radius: .4rem; display: block; }
.halves figcaption { font-size: .8125rem; padding-top: .3rem; opacity: .8; }
.halves figcaption b { font-weight: 600; }
"""


def draw(chosen: pairs.Chosen) -> None:
    """One pair, and on a wish a sample of the split. Raises `DatasetError` and OSError."""
    files = {file.stem: file for file in chosen.files}
    numbers = list(files)
    number = st.query_params.get("number")
    at = numbers.index(number) if number in files else 0

    def pick() -> None:
        st.query_params["number"] = st.session_state["decoded_number"]

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state["decoded_number"] = numbers[at]
        st.selectbox("Pair", numbers, key="decoded_number", on_change=pick, width=140)
        browse.step([(file, "") for file in chosen.files], at)
    file = files[numbers[at]]
    figures, found = _of_pair(dataset.stamp((file,)), file)
    st.html(f'<style>{_STYLE}</style><div class="halves">{figures}</div>')
    st.caption(
        "The file’s label was antialiased when it was shrunk to 256 × 256 and then compressed as a JPEG: along every outline its "
        "colours are blends. Each pixel is explained by one colour, or by a blend of two that are both nearby; what remains "
        "doubtful is ignored: not trained on and not scored."
    )
    _tables(found, "this pair")
    st.subheader("Over the split", anchor=False)
    _sample(chosen)


def _sample(chosen: pairs.Chosen) -> None:
    count = min(SAMPLE, len(chosen.files))
    every = tuple(chosen.files[i] for i in np.linspace(0, len(chosen.files) - 1, count).round().astype(int))
    kept = _surveys()
    if chosen.stamp not in kept:
        if not st.button(f"Decode {count} pairs of {chosen.split} both ways", icon=":material/query_stats:"):
            st.caption("Takes a fifth of a second a pair; it says what is ignored and what plain nearest colour would invent.")
            return
        bar = st.progress(0.0, "Decoding …")
        kept[chosen.stamp] = dataset.survey(
            every, lambda done, total: bar.progress(done / total, f"Decoding: {done:,} of {total:,} pairs")
        )
        for old in list(kept)[:-20]:
            del kept[old]
        st.rerun()
    _tables(kept[chosen.stamp], f"{count} pairs, evenly over {chosen.split}", official=not dataset.is_rendered(chosen.data))


@st.cache_resource(show_spinner=False)
def _surveys() -> dict[str, Survey]:
    """{stamp of a split: what came of its sample}"""
    return {}


@st.cache_data(max_entries=24, show_spinner="Decoding the label …")
def _of_pair(stamp: str, _file: Path) -> tuple[str, Survey]:
    """Four figures as HTML, and the numbers."""
    photo, picture = dataset.read_pair(_file)
    label, why = labels.explain(picture)
    reasons = (0.25 * labels.colorize(label) + 0.1 * 255).astype(np.uint8)
    for kind, color in COLORS.items():
        reasons[why == kind] = color
    wrong = labels.colorize(labels.nearest(picture))
    figures = (
        ("The file’s label", "its very colours", picture),
        ("Nearest colour", "what plain decoding would make of it", wrong),
        ("Decoded", "black is ignored", labels.colorize(label)),
        ("Ignored, and why", "the colours are those of the table", reasons),
    )
    exact = dataset.exact(_file)
    if exact is not None:
        figures += (("The exact label", "known, since the scene was rendered", labels.colorize(exact)),)
    drawn = "".join(_figure(title, words, pixels) for title, words, pixels in figures)
    return _figure("The photo", _file.name, photo) + drawn, dataset.survey((_file,))


def _figure(title: str, words: str, pixels: np.ndarray) -> str:
    url = data_url(cached.png_of(Image.fromarray(pixels)), "png")  # st.image would make a JPEG of it: other colours
    caption = f"<figcaption><b>{escape(title)}</b>, {escape(words)}</figcaption>"
    return f'<figure><img src="{url}" alt="{escape(title)}">{caption}</figure>'


def _tables(found: Survey, whose: str, official: bool = False) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left:
        pixels = found.whys.sum()
        st.caption(f"Why pixels are ignored in {whose}: {found.decoded[-1] / pixels:.1%} of all")
        rows = {
            f"{_swatch(COLORS[kind])}{escape(WORDS[kind])}": [charts.fine_percent(found.whys[kind] / pixels)] for kind in WORDS
        }
        st.html(charts.grid("Reason", ["share"], rows))
        if found.kept:
            known = found.exact[:-1].sum()
            st.caption(
                f"The exact labels of this rendered set are known: **{found.right / found.kept:.2%}** of the pixels that were "
                f"decoded are right, and of those that have a class {1 - found.kept / known:.2%} were ignored."
            )
    with right:
        st.caption(f"Classes of {whose}: shares of the pixels that have one")
        st.html(charts.grid("Class", *_invented(found, official)))
        st.caption("Where nearest colour finds many times what is there, it invents it along the outlines of other things.")


def _invented(found: Survey, official: bool) -> tuple[list[str], dict[str, list[str]]]:
    """Head and rows: what nearest colour finds beside what is decoded, and beside what is exact or official."""
    columns = {"nearest": found.nearest, "decoded": found.decoded}
    if found.kept:
        columns["exact"] = found.exact
    shares = {name: one[:-1] / max(one[:-1].sum(), 1) for name, one in columns.items()}
    if official:
        shares["official"] = np.array(OFFICIAL_SHARES)
    times = found.nearest[:-1] / np.maximum(found.decoded[:-1], 1e-9)
    rows = {}
    for k in np.argsort(-times, kind="stable"):
        if found.nearest[k] or found.decoded[k]:
            ratio = f"× {times[k]:.2f}" if found.decoded[k] else "invented"
            rows[NAMES[k]] = [*(charts.fine_percent(column[k]) for column in shares.values()), ratio]
    return [*shares, "nearest / decoded"], rows


def _swatch(color: tuple[int, int, int]) -> str:
    return '<i style="background:rgb({},{},{})"></i>'.format(*color)
