"""The Label decoding view: colors of a pair file, decoded classes, and ignored pixels with reasons."""

from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from seg.data import cityscapes, label_decoder
from seg.data.cityscapes import CITYSCAPES_CLASS_FREQUENCIES, NAMES
from seg.data.label_decoder import IgnoreReason
from seg.data.pairs import exact_label, is_rendered, mtime_fingerprint, read_pair
from seg.data.statistics import LabelStatistics, label_statistics
from seg.errors import printable
from seg.system.single_flight import SingleFlight
from ui.components.linked_images import data_url
from ui.dataset import pair_browser, pair_cache
from ui.shared import charts
from ui.shared.pictures import encode_png

SAMPLE_SIZE = 100
"""Pairs of a split that are decoded for the statistics."""

REASONS = {
    IgnoreReason.BLACK: "black: unlabeled, the ego vehicle or the image border",
    IgnoreReason.VOID: "color of a class that is not evaluated: parking, bridge, …",
    IgnoreReason.TIE: "even blend of two classes",
    IgnoreReason.AMBIGUOUS: "two explanations fit about equally well",
    IgnoreReason.UNKNOWN: "no explanation of the color",
}
COLORS = {
    IgnoreReason.BLACK: (90, 98, 110),
    IgnoreReason.VOID: (168, 120, 220),
    IgnoreReason.TIE: (255, 183, 3),
    IgnoreReason.AMBIGUOUS: (251, 86, 7),
    IgnoreReason.UNKNOWN: (230, 0, 92),
}

_sampling = SingleFlight()
"""Visitors who ask for the statistics of the same split share one computation."""

_STYLE = """
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1rem; }
.halves figure { margin: 0; }
.halves img { width: 100%; aspect-ratio: 2; image-rendering: pixelated; border-radius: .4rem;
  display: block; }
.halves figcaption { font-size: .8125rem; padding-top: .3rem; opacity: .8; }
.halves figcaption b { font-weight: 600; }
"""


def draw(chosen: pair_cache.ChosenSplit) -> None:
    """Draw a pair and, on demand, statistics over the split.

    Args:
        chosen: The split.

    Raises:
        DatasetError: A pair is corrupt.
        OSError: A file cannot be read.
    """
    files = {pair_cache.pair_name(file): file for file in chosen.files}
    numbers = list(files)
    linked = st.query_params.get("number")
    position = numbers.index(linked) if linked in files else 0

    def choose() -> None:
        st.query_params["number"] = st.session_state["decoded_number"]

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state["decoded_number"] = numbers[position]
        st.selectbox("Pair", numbers, key="decoded_number", on_change=choose, width=140)
        pair_browser.neighbor_buttons([(file, "") for file in chosen.files], position)
    file = files[numbers[position]]
    figures, statistics = _pair_figures(mtime_fingerprint((file,)), file)
    st.html(f'<style>{_STYLE}</style><div class="halves">{figures}</div>')
    st.caption(
        "The labels of the files were antialiased when they were resized to 256 × 256, then compressed as "
        "JPEG. Along outlines their colors are blends. The decoder explains each pixel by one class color or "
        "by a blend of two nearby ones. Doubtful pixels are ignored in training and evaluation."
    )
    _statistics_tables(statistics, "this pair")
    st.subheader("Statistics of the split", anchor=False)
    _split_statistics(chosen)


def _split_statistics(chosen: pair_cache.ChosenSplit) -> None:
    count = min(SAMPLE_SIZE, len(chosen.files))
    indices = np.linspace(0, len(chosen.files) - 1, count).round().astype(int)
    sample = tuple(chosen.files[i] for i in indices)
    cache = _sample_statistics()
    if chosen.fingerprint not in cache:
        if not st.button(f"Decode {count} pairs of {chosen.split}", icon=":material/query_stats:"):
            st.caption(
                "Takes a fifth of a second per pair. Shows the ignored pixels and the false classes from"
                " nearest-color decoding."
            )
            return
        bar = st.progress(0.0, "Decoding …")

        def on_progress(done: int, total: int) -> None:
            bar.progress(done / total, f"Decoding: {done:,} of {total:,} pairs")

        cache[chosen.fingerprint] = _sampling.do(
            chosen.fingerprint,
            lambda: label_statistics(sample, on_progress),
            lambda: bar.progress(0.0, "Decoding for another visitor …"),
        )
        for oldest in list(cache)[:-20]:
            del cache[oldest]
        st.rerun()
    title = f"{count} evenly spaced pairs of {chosen.split}"
    _statistics_tables(cache[chosen.fingerprint], title, official=not is_rendered(chosen.data))


@st.cache_resource(show_spinner=False)
def _sample_statistics() -> dict[str, LabelStatistics]:
    """Return statistics of splits by fingerprint."""
    return {}


@st.cache_data(max_entries=24, show_spinner="Decoding the label …")
def _pair_figures(fingerprint: str, _file: Path) -> tuple[str, LabelStatistics]:
    """Return the figures of a pair as HTML, and its statistics."""
    photo, picture = read_pair(_file)
    label, ignore_reasons, _ = label_decoder.decode_with_reasons(picture)
    reasons = (0.25 * cityscapes.colorize(label) + 0.1 * 255).astype(np.uint8)
    for reason, color in COLORS.items():
        reasons[ignore_reasons == reason] = color
    nearest = cityscapes.colorize(label_decoder.decode_nearest_color(picture))
    figures = [
        ("Label of the file", "original colors", picture),
        ("Nearest color", "simple decoding", nearest),
        ("Decoded", "black is ignored", cityscapes.colorize(label)),
        ("Ignored pixels", "colors as in the table below", reasons),
    ]
    exact = exact_label(_file)
    if exact is not None:
        figures.append(("Exact label", "known for rendered scenes", cityscapes.colorize(exact)))
    drawn = "".join(_figure(title, note, pixels) for title, note, pixels in figures)
    return _figure("Photo", printable(_file.name), photo) + drawn, label_statistics((_file,))


def _figure(title: str, note: str, pixels: np.ndarray) -> str:
    url = data_url(
        encode_png(Image.fromarray(pixels)), "png"
    )  # st.image would change the colors: it encodes a JPEG
    caption = f"<figcaption><b>{escape(title)}</b>, {escape(note)}</figcaption>"
    return f'<figure><img src="{url}" alt="{escape(title)}">{caption}</figure>'


def _statistics_tables(statistics: LabelStatistics, title: str, official: bool = False) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left:
        pixels = statistics.reasons.sum()
        st.caption(f"Ignored pixels of {title}: {statistics.decoded[-1] / pixels:.1%} of all")
        rows = {
            f"{_swatch(COLORS[reason])}{escape(REASONS[reason])}": [
                charts.fine_percent(statistics.reasons[reason] / pixels)
            ]
            for reason in REASONS
        }
        st.html(charts.grid("Reason", ["share"], rows))
        if statistics.kept:
            labeled = statistics.exact[:-1].sum()
            st.caption(
                "Compared with the exact labels of this rendered dataset, "
                f"**{statistics.right / statistics.kept:.2%}** of the decoded pixels are correct, and "
                f"{1 - statistics.kept / labeled:.2%} of the labeled pixels were ignored."
            )
    with right:
        st.caption(f"Class frequencies of {title}: shares of the labeled pixels")
        st.html(charts.grid("Class", *_frequency_rows(statistics, official)))
        st.caption(
            "False classes from nearest-color decoding: classes with a high ratio were found along the"
            " outlines of other objects."
        )


def _frequency_rows(statistics: LabelStatistics, official: bool) -> tuple[list[str], dict[str, list[str]]]:
    """Return head and rows: frequencies with both decoders, and the exact or official ones."""
    counts = {"nearest": statistics.nearest, "decoded": statistics.decoded}
    if statistics.kept:
        counts["exact"] = statistics.exact
    shares = {name: column[:-1] / max(column[:-1].sum(), 1) for name, column in counts.items()}
    if official:
        shares["official"] = np.array(CITYSCAPES_CLASS_FREQUENCIES)
    ratios = statistics.nearest[:-1] / np.maximum(statistics.decoded[:-1], 1e-9)
    rows = {}
    for k in np.argsort(-ratios, kind="stable"):
        if statistics.nearest[k] or statistics.decoded[k]:
            ratio = f"× {ratios[k]:.2f}" if statistics.decoded[k] else "false"
            rows[NAMES[k]] = [*(charts.fine_percent(column[k]) for column in shares.values()), ratio]
    return [*shares, "nearest / decoded"], rows


def _swatch(color: tuple[int, int, int]) -> str:
    return '<i style="background:rgb({},{},{})"></i>'.format(*color)
