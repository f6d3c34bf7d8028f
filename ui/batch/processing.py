"""A batch in progress, and the status and actions of a stopped or finished one."""

import time
from collections.abc import Callable
from contextlib import closing

import psutil
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from seg.data import isolated_reading, isolated_video, photo_files
from seg.data.image_io import MAX_MEGAPIXELS
from seg.errors import user_message
from seg.inference.prediction import Prediction
from seg.inference.upload_batch import Batch, BatchSettings
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import WeightsError
from seg.models.registry import read_card
from seg.system.durations import format_duration
from seg.system.request_queue import RequestQueue
from ui.batch import results
from ui.shared.text import plain, plural, tail
from ui.state.model_pool import MODEL_ERRORS, OnQueuePosition, borrow_model, place_in_queue, queue_notice
from ui.state.photos import forget_opened
from ui.state.session import session

_READERS = RequestQueue(
    holders=max(1, int(psutil.virtual_memory().total * isolated_reading.MEMORY_SHARE / isolated_video.MEMORY))
)
"""Videos that are read at the same time, as many as the memory allows; others wait."""


def process(batch: Batch) -> None:
    """Segment the pending photos one by one; an interaction of the visitor interrupts it, and the next run
    resumes."""
    state = session()
    count = len(batch.entries)
    bar = st.progress(*progress(batch, count))
    st.button(
        "Cancel",
        icon=":material/stop:",
        key="batch_cancel",
        on_click=state.update,
        args=({"batch_running": False},),
        help="Keeps the finished masks. You can resume later.",
    )
    st.caption("If you open another page, the batch pauses and resumes when you return.")
    on_queue_position = queue_notice()
    try:
        while batch.waiting:
            if batch.entries[batch.waiting[0]].is_video:
                process_video(batch, bar, on_queue_position)
                continue
            with place_in_queue(on_queue_position) as place:
                batch.process_next(segmenter(batch.settings, on_queue_position), place.read)
            bar.progress(*progress(batch, count))
    except MODEL_ERRORS as error:
        state["batch_error"] = str(error)
    except OSError as error:
        state["batch_error"] = f"{user_message(error)} Finished masks are kept."
    state["batch_running"] = False
    st.rerun()


def process_video(batch: Batch, bar: DeltaGenerator, on_queue_position: OnQueuePosition) -> None:
    """Segment the next pending file, a video.

    Args:
        batch: The batch.
        bar: Shows the progress.
        on_queue_position: Receives the number of videos or photos ahead in the queue.
    """
    count, number = len(batch.entries), batch.waiting[0]
    segment = segmenter(batch.settings, on_queue_position)

    def segment_frame(photo: Image.Image, size: tuple[int, int]) -> Prediction:
        with place_in_queue(on_queue_position):  # photos of others come between the frames
            return segment(photo, size)

    name = plain(tail(batch.entries[number].name))
    bar.progress((count - len(batch.waiting)) / count, f"{name}: reading …")
    start: tuple[float, float] | None = None
    with _READERS.acquire(on_queue_position), closing(batch.process_video(segment_frame)) as frames:
        for progress in frames:
            now = time.monotonic()
            start = start or (now, progress.fraction)
            done, since = progress.fraction - start[1], now - start[0]
            text = f"{name}: {progress.frames:,} frames, {clock(progress.seconds)}"
            if progress.duration:
                text += f" of {clock(progress.duration)}"
            if done > 0:
                left = since / done * (1 - progress.fraction)
                text += f" · about {format_duration(max(1, left))} remaining"
            bar.progress((count - len(batch.waiting) + progress.fraction) / count, text)


def clock(seconds: float) -> str:
    """Format a time in a video, for example "2:05"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def segmenter(settings: BatchSettings, on_queue_position: OnQueuePosition) -> Callable[..., Prediction]:
    """Return a function that segments a photo; the height and width of its masks may be given.

    Args:
        settings: Settings of the batch.
        on_queue_position: Receives the number of photos ahead in the queue.
    """

    def segment(photo: Image.Image, size: tuple[int, int] | None = None) -> Prediction:
        card = read_card(settings.weights)
        if card.sha256 != settings.digest:
            raise WeightsError(
                f"The weights {settings.weights} have changed since this batch started. Segment the photos"
                " again."
            )
        with borrow_model(card, on_queue_position) as predictor:
            return predictor.predict(photo, settings.variants, tta=settings.tta, output_size=size)

    return segment


def progress(batch: Batch, count: int) -> tuple[float, str]:
    """Return the value and the text of the progress bar.

    Args:
        batch: The batch.
        count: Number of its files.
    """
    processed = count - len(batch.waiting)
    seconds = batch.seconds_left
    text = f"{processed:,} of {count:,}"
    if seconds is not None:
        text += f" · about {format_duration(max(1, seconds))} remaining"
    return processed / count, text


def show_status(batch: Batch, settings: BatchSettings) -> None:
    """Show a batch that is not being processed: its status, its actions and its results.

    Args:
        batch: The batch.
        settings: Settings in the sidebar.
    """
    state = session()
    halted = state.pop("batch_error", None)
    if halted:
        st.error(plain(halted), icon=":material/error:")
    if batch.note:
        st.info(batch.note, icon=":material/memory:")
    reduced = sum(1 for entry in batch.entries if entry.result and entry.result.is_reduced)
    if reduced:
        st.info(
            f"{plural(reduced, 'photo')} of more than {MAX_MEGAPIXELS} megapixels had to be reduced. The "
            "masks have the reduced size; the JSON files state the original one.",
            icon=":material/photo_size_select_small:",
        )
    if not batch.entries:
        st.warning("There are no photos or videos among these files.", icon=":material/folder_off:")
    if batch.ignored:
        listed = plain(photo_files.describe_counts(batch.ignored))
        st.caption(f"Left out, since they are no photos or videos: {listed}.")
    done, failed, pending = len(batch.done), len(batch.failed), len(batch.waiting)
    parts = [f"**{done:,}** of {len(batch.entries):,} segmented with {describe_networks(batch.settings)}"]
    parts += [f"**{failed:,}** failed"] if failed else []
    parts += [f"**{pending:,}** pending"] if pending else []
    st.markdown(" · ".join(parts))
    with st.container(horizontal=True, vertical_alignment="center"):
        if pending:
            st.button(
                "Resume",
                type="primary",
                icon=":material/play_arrow:",
                key="batch_go_on",
                on_click=state.update,
                args=({"batch_running": True},),
            )
        if settings != batch.settings and any(entry.taken for entry in batch.entries):
            st.button(
                "Segment again with the settings in the sidebar",
                icon=":material/refresh:",
                key="batch_again",
                on_click=segment_again,
                args=(batch, settings),
            )
        zip_wanted = done > 0 and results.downloads(batch)
        st.button(
            "New batch",
            icon=":material/delete_sweep:",
            key="batch_new",
            on_click=delete_batch,
            help="Deletes these files and their masks.",
        )
    if zip_wanted:
        results.make_zips(batch)
    results.show(batch)


def describe_networks(settings: BatchSettings) -> str:
    """Return the networks and the weights of a batch as Markdown."""
    names = [DISPLAY_NAMES[variant] for variant in settings.variants]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} of {plain(settings.weights)}" + (", multi-scale \\+ flip (TTA)" if settings.tta else "")


def segment_again(batch: Batch, settings: BatchSettings) -> None:
    """Segment all photos again with other settings."""
    results.delete_served()
    batch.reset(settings)
    session()["batch_running"] = True


def delete_batch() -> None:
    """Delete the batch with its photos, masks and zips."""
    results.delete_served()
    forget_opened()
    session().pop("batch").folder.delete()
