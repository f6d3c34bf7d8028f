"""Segmented videos of a batch: the player, class shares over time, the flicker of each network, downloads."""

import json
import os
import shutil
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from seg.data.classes import ClassSet
from seg.inference.private_dir import PrivateDir
from seg.inference.upload_batch import Batch
from seg.inference.video_run import STILL, read_table
from seg.models.factory import DISPLAY_NAMES
from seg.system.file_names import sanitize_name
from ui.batch import served_files
from ui.batch.served_files import MAX_SERVED_BYTES, file_links
from ui.shared import charts
from ui.shared.text import plain, tail
from ui.state.session import session

MAX_POINTS = 400
"""Points of a curve; a browser draws more of them slowly."""

MAX_CURVES = 8
"""Classes that have a curve of their own, the largest ones."""

_FLICKER = (
    "Flickering pixels: their class differs from that in the frame before, although the photo hardly changed "
    f"there, by at most {STILL} of 255 levels. The share is that of all pixels that hardly changed."
)


def show(batch: Batch) -> None:
    """Show one of the segmented videos; the visitor chooses which."""
    st.subheader("Videos", anchor=False)
    numbers = batch.videos_done
    number = numbers[0]
    if len(numbers) > 1:
        number = st.selectbox(
            "Video",
            numbers,
            format_func=lambda index: tail(batch.entries[index].name, 60),
            key=f"batch_video_{len(numbers)}",
        )
    else:
        st.markdown(f"**{plain(tail(batch.entries[number].name, 60))}**")
    show_video(batch, number)


@st.fragment
def show_video(batch: Batch, number: int) -> None:
    """Show a video with its curves. A click on a curve seeks the player.

    Args:
        batch: The batch.
        number: Index of the video.
    """
    try:
        summary = json.loads(batch.video_results(number)[2].read_bytes())
        files = serve(batch, number)
    except OSError:
        st.error("The files of this video no longer exist on the server.", icon=":material/hard_drive:")
        return
    for note in summary["notes"]:
        st.info(plain(note), icon=":material/movie:")
    player = st.container(key="batch-player")
    variant = choose_variant(batch)
    seconds, shares = read_table(batch.video_results(number)[1], variant)
    chosen = st.plotly_chart(
        share_curves(seconds, shares, batch.settings.classes),
        key=f"batch_curves_{number}_{variant}",
        on_select="rerun",
        selection_mode="points",
        config={"displayModeBar": False},
    )
    points = chosen["selection"]["points"]
    with player:
        show_player(files, float(points[0]["x"]) if points else 0.0)
    st.caption("Class shares over time. Click on the plot to play the video from there.")
    st.html(flicker_table(summary["flicker"]))
    st.caption(_FLICKER)
    st.html(file_links({"Video": files[0], "Class shares over time as CSV": files[1]}), width="content")


def show_player(files: list[Path], start: float) -> None:
    """Draw the player from a time in seconds on."""
    if files[0].stat().st_size > MAX_SERVED_BYTES:
        st.warning("This video is too large for the player.", icon=":material/movie:")
    elif st.get_option("server.enableStaticServing"):
        st.video(f"/app/static/{files[0].parent.name}/{files[0].name}", start_time=start)
    else:
        st.video(files[0], start_time=start)


def choose_variant(batch: Batch) -> str:
    """Draw the choice of the network whose curves are shown, if there are several."""
    variants = batch.settings.variants
    if len(variants) == 1:
        return variants[0]
    return st.segmented_control(
        "Class shares of",
        variants,
        default=variants[-1],
        required=True,
        format_func=lambda name: DISPLAY_NAMES[name],
        key=f"batch_video_variant_{variants}",
    )


def serve(batch: Batch, number: int) -> list[Path]:
    """Return the video and the table in a folder that the server offers, under the name of the upload.

    Raises:
        OSError: The results do not exist, or the disk is full.
    """
    served = session().setdefault("batch_videos", {})
    name = Path(sanitize_name(batch.entries[number].name)).name
    if number not in served or not served[number].path.is_dir():
        folder = PrivateDir(served_files.STATIC)
        for file in batch.video_results(number)[:2]:
            link(file, folder.path / f"{name}.video{file.suffix}")
        served[number] = folder
    return [served[number].path / f"{name}.video{suffix}" for suffix in (".mp4", ".csv")]


def link(file: Path, path: Path) -> None:
    """Give a file another name, or copy it if its file system is another one."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)


def delete_served() -> None:
    """Delete the videos that the server offers."""
    for folder in session().pop("batch_videos", {}).values():
        folder.delete()


def share_curves(seconds: np.ndarray, shares: np.ndarray, classes: ClassSet) -> go.Figure:
    """Plot the shares of the largest classes over time, stacked.

    Args:
        seconds: Times of N frames.
        shares: N x K.
        classes: The classes.
    """
    bins = np.array_split(np.arange(len(seconds)), min(MAX_POINTS, len(seconds)))
    times = [seconds[frames[0]] for frames in bins]
    means = np.stack([shares[frames].mean(0) for frames in bins])
    order = [k for k in np.argsort(-means.mean(0), kind="stable") if means[:, k].any()]
    figure = go.Figure()
    for k in order[:MAX_CURVES]:
        color = "rgb({},{},{})".format(*classes.classes[k].color)
        add_curve(figure, times, means[:, k], classes.names[k], color)
    if order[MAX_CURVES:]:
        add_curve(figure, times, means[:, order[MAX_CURVES:]].sum(1), "others", "#94a3b8")
    return figure.update_layout(
        height=320,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        hovermode="x unified",
        clickmode="event+select",
        dragmode=False,
        legend={"orientation": "h", "y": -0.2, "itemclick": False, "itemdoubleclick": False},
        xaxis={"title": "seconds", "fixedrange": True},
        yaxis={"range": [0, 100], "ticksuffix": " %", "fixedrange": True},
    )


def add_curve(figure: go.Figure, times: list[float], values: np.ndarray, name: str, color: str) -> None:
    """Add a stacked curve of a share."""
    figure.add_scatter(
        x=times,
        y=100 * values,
        name=escape(name),
        stackgroup="all",
        mode="lines+markers",  # only markers can be selected
        marker={"size": 1, "color": color},
        line={"width": 0.5, "color": color},
        fillcolor=color,
        hovertemplate="%{y:.1f} %",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def flicker_table(flicker: dict[str, float | None]) -> str:
    """Return an HTML table of the flicker of each network."""
    rows = "".join(
        f'<tr><th scope="row">{escape(DISPLAY_NAMES[variant])}</th>'
        f"<td>{'–' if value is None else charts.fine_percent(value)}</td></tr>"
        for variant, value in flicker.items()
    )
    head = '<thead><tr><th scope="col">Network</th><th scope="col">Flickering pixels</th></tr></thead>'
    return f'<table class="legend flicker">{head}<tbody>{rows}</tbody></table>'
