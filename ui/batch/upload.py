"""Settings and upload of a new batch."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import streamlit as st

from seg.data.file_types import READABLE_FORMATS
from seg.data.image_io import SIZE_LIMIT
from seg.data.video import VIDEO_FORMATS
from seg.errors import user_message
from seg.inference import upload_batch
from seg.inference.upload_batch import Batch, BatchSettings
from seg.inference.video_run import DEFAULT_RATE
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from ui.shared.embedding import warn_of_refused_uploads
from ui.shared.photo_picker import SAMPLES
from ui.shared.text import plain, plural, unquoted
from ui.state import session_cleanup
from ui.state.photos import load_sample, reader
from ui.state.session import session

RATES = (1.0, 2.0, DEFAULT_RATE, 10.0)
"""Frames in a second of video from which visitors choose."""


def choose_settings(card: ModelCard) -> BatchSettings:
    """Draw the settings in the sidebar and return them.

    Args:
        card: Card of the chosen weights.
    """
    with st.sidebar:
        chosen = st.pills(
            "Networks",
            card.variants,
            selection_mode="multi",
            default=card.variants[-1],
            format_func=lambda variant: DISPLAY_NAMES[variant],
            key=f"batch_variants_{card.name}",
            persist_state="session",
            help="All variants share one pass through the encoder: three take little longer than one.",
        )
        tta = st.toggle(
            "Multi-scale + flip (TTA)",
            key="batch_best",
            persist_state="session",
            help="Averages three scales and their mirror images: more accurate, several times slower.",
        )
        rate = st.segmented_control(
            "Frames per second of video",
            RATES,
            default=DEFAULT_RATE,
            required=True,
            format_func=lambda frames: f"{frames:g}",
            key="batch_rate",
            persist_state="session",
            help="Frames of a video that are segmented; each takes about as long as a photo.",
        )
    variants = tuple(variant for variant in card.variants if variant in chosen) or (card.variants[-1],)
    return BatchSettings(card.name, card.sha256, variants, tta, card.class_set, rate)


def upload_section(settings: BatchSettings) -> None:
    """Draw the uploaders for a new batch.

    Args:
        settings: Settings in the sidebar.
    """
    turn = session().setdefault("batch_turn", 0)  # a new key empties the uploaders and frees their memory
    warn_of_refused_uploads()
    left, right = st.columns(2, gap="medium")
    with left:
        files = st.file_uploader(
            "Photos, videos, or a zip of photos",
            accept_multiple_files=True,
            key=f"batch-files-{turn}",
            help=f"{READABLE_FORMATS} {SIZE_LIMIT}. Each file, also a zip, may have "
            f"{st.get_option('server.maxUploadSize')} MB. Videos: {VIDEO_FORMATS}, not in zips. Files of the "
            "Cityscapes Image Pairs are split into photo and ground truth.",
        )
    with right:
        folder = st.file_uploader(
            "Or a folder",
            accept_multiple_files="directory",
            key=f"batch-folder-{turn}",
            help="Includes subfolders. Hidden files are skipped.",
        )
    uploads = [*files, *folder]
    label = f"Segment {plural(len(uploads), 'file')}" if uploads else "Segment photos"
    with st.container(horizontal=True):
        start = st.button(
            label, type="primary", icon=":material/play_arrow:", disabled=not uploads, key="batch_start"
        )
        samples = st.button("Try six rendered streets", icon=":material/auto_awesome:", key="batch_samples")
    if not uploads:
        st.info(
            f"Choose photos, a folder or a zip: up to {upload_batch.PHOTOS:,} photos. The result is a mask "
            "of each photo from every network chosen in the sidebar, and the class shares as CSV. A video "
            f"of up to {st.get_option('server.maxUploadSize')} MB becomes a video with the masks beside each "
            "other, with the class shares over time; the command line takes larger ones. Uploads and results "
            "stay on the computer that runs this app and are deleted after you leave.",
            icon=":material/burst_mode:",
        )
    complete = False
    if start:
        named = ((unquoted(file.name), file) for file in uploads)
        complete = ingest(settings, named, len(uploads), "Reading the photos …")
    elif samples:
        complete = ingest(settings, sample_files(), len(SAMPLES), "Rendering the streets …")
    if complete:
        session()["batch_turn"] += 1
        session_cleanup.release_uploads(file.file_id for file in uploads)
        st.rerun()


def sample_files() -> Iterator[tuple[str, BinaryIO]]:
    """Yield the rendered samples as named files."""
    for seed, name in SAMPLES.items():
        yield f"{name}.png", io.BytesIO(load_sample(seed, name).data)


def ingest(settings: BatchSettings, files: Iterator[tuple[str, BinaryIO]], count: int, text: str) -> bool:
    """Create a batch; it belongs to the session only after all files are read.

    Args:
        settings: Settings of the batch.
        files: Names and files.
        count: Number of files.
        text: Text of the progress bar.

    Returns:
        Whether the batch is complete. Errors are shown on the page.
    """
    bar = st.progress(0.0, text)
    try:
        batch = Batch(settings)
        for processed in batch.ingest(files, reader.check_header):
            bar.progress(min(1.0, processed / count), text)
    except OSError as error:
        bar.empty()
        st.error(plain(user_message(error)), icon=":material/hard_drive:")
        return False
    bar.empty()
    session().update({"batch": batch, "batch_running": True, "batch_lost": False})
    return True
