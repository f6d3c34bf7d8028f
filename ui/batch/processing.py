"""A batch in progress, and the status and actions of a stopped or finished one."""

from collections.abc import Callable

import streamlit as st
from PIL import Image

from seg.data import photo_files
from seg.data.image_io import MAX_MEGAPIXELS
from seg.errors import user_message
from seg.inference.prediction import Prediction
from seg.inference.upload_batch import Batch, BatchSettings
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import WeightsError
from seg.models.registry import read_card
from seg.system.durations import format_duration
from ui.batch import results
from ui.shared.text import plain, plural
from ui.state.model_pool import MODEL_ERRORS, OnQueuePosition, borrow_model, place_in_queue, queue_notice
from ui.state.photos import forget_opened
from ui.state.session import session


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
            with place_in_queue(on_queue_position) as place:
                batch.process_next(segmenter(batch.settings, on_queue_position), place.read)
            bar.progress(*progress(batch, count))
    except MODEL_ERRORS as error:
        state["batch_error"] = str(error)
    except OSError as error:
        state["batch_error"] = f"{user_message(error)} Finished masks are kept."
    state["batch_running"] = False
    st.rerun()


def segmenter(
    settings: BatchSettings, on_queue_position: OnQueuePosition
) -> Callable[[Image.Image], Prediction]:
    """Return a function that segments a photo.

    Args:
        settings: Settings of the batch.
        on_queue_position: Receives the number of photos ahead in the queue.
    """

    def segment(photo: Image.Image) -> Prediction:
        card = read_card(settings.weights)
        if card.sha256 != settings.digest:
            raise WeightsError(
                f"The weights {settings.weights} have changed since this batch started. Segment the photos"
                " again."
            )
        with borrow_model(card, on_queue_position) as predictor:
            return predictor.predict(photo, settings.variants, tta=settings.tta)

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
        st.warning("There are no photos among these files.", icon=":material/folder_off:")
    if batch.ignored:
        listed = plain(photo_files.describe_counts(batch.ignored))
        st.caption(f"Left out, since they are no photos: {listed}.")
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
            help="Deletes these photos and masks.",
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
    results.delete_zips()
    batch.reset(settings)
    session()["batch_running"] = True


def delete_batch() -> None:
    """Delete the batch with its photos, masks and zips."""
    results.delete_zips()
    forget_opened()
    session().pop("batch").folder.delete()
