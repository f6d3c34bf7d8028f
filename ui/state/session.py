"""The values that the app keeps in a visitor's session, apart from those of widgets."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict, cast

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

if TYPE_CHECKING:  # these modules use the session themselves
    from collections.abc import Mapping
    from pathlib import Path

    from seg.data.image_set_check import SplitCheck
    from seg.inference.private_dir import PrivateDir
    from seg.inference.upload_batch import Batch
    from ui.shared.rate_limit import RateLimiter
    from ui.state.lru_cache import LruCache
    from ui.state.photos import Photo, UploadedTruth


class Session(TypedDict, total=False):
    """Types of the values by key; each is absent until it is first set."""

    title: str  # of the page
    title_before: str | None  # of the page in the previous run of the script
    token: str  # the secret by which the tab knows this session
    uploads_lost: bool  # whether the tab had a former session, which is gone
    in_other_tab: bool  # whether that session is still open in the tab of which this one is a copy
    batch_lost: bool  # whether that session had a batch
    lacks_upload_cookie: bool  # whether the browser withholds it, inside another site
    links_translated: bool  # whether former values in the link were replaced
    addresses: dict[str, str | list[str]]  # values that the address named or was given last, by parameter
    lost_weights: tuple[tuple[list[str], list[str]], str]  # weights and compared weights of a link; its page

    photos: "dict[str, Photo]"  # uploads of all pages by upload id
    uploads_by_page: dict[str, list[str]]  # upload ids of the present page's uploader
    upload_ids: list[str]  # of all uploads in the previous run
    photo: str | None  # id of the chosen upload; None while a sample is chosen
    sample: int  # seed of the sample that was chosen last
    upload_numbers: dict[str, int]  # by upload id, in their order
    missing_sample: bool  # whether the link named an unknown sample
    truths: "dict[str, UploadedTruth]"  # by the photo's digest
    truth_error: tuple[str, str, str]  # the photo's digest, the file's name, the message

    photo_facts: "LruCache"
    predictions: "LruCache"
    activations: "LruCache"
    mask_files: "LruCache"  # of one photo only: they are large
    mask_files_of: str  # its digest
    predicted: set[tuple]  # comparisons whose predictions were shown
    inspected: tuple[str, str]  # digests of the photo and the card whose activations were shown last
    rate_limiter: "RateLimiter"
    point: tuple[float, float]  # selected on the Inside page, 0 to 1 across and down

    batch: "Batch"
    batch_running: bool
    batch_error: str  # why it stopped
    batch_turn: int  # counts batches: a new key empties the uploaders
    opened: str  # digest of the photo of a batch that was opened last
    batch_zips: "tuple[PrivateDir, int, list[Path]]"  # folder, number of masks, files
    batch_videos: "dict[int, PrivateDir]"  # folders with the results of videos, by index of the file

    action_error: str  # why starting a process failed
    cell: Any  # selected in the confusion matrix
    newest: int  # epoch that a run had reached when it was last drawn
    time_estimates: "dict[str, list[Mapping[str, Any]]]"  # by configuration; only those of the last one
    checked: dict[str, tuple[int, list[str], str]]  # pairs, errors and summary of the data set checked
    image_set_checks: "dict[str, dict[str, SplitCheck]]"  # by data set and split; those of the last one only
    imported_dataset: str  # name of the data set that was imported last, until it is shown


def session() -> Session:
    """Return the visitor's session state with its types."""
    return cast(Session, st.session_state)


def forget_unless(key: str, options: Iterable[object]) -> None:
    """Forget the value of a widget that is not among its present options, before the widget is drawn."""
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]


def session_id() -> str | None:
    """Return Streamlit's id of the session for which this thread works; None for threads of no session."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else None
