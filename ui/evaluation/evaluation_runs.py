"""Evaluations of weights on local datasets: start, progress, results and their images."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import streamlit as st

from seg import jobs, paths
from seg.data.classes import ClassSet
from seg.data.datasets import classes_of, list_datasets
from seg.data.image_io import PhotoError, read_photo
from seg.data.image_set import find_image_set, read_known_sample
from seg.data.pairs import DatasetError
from seg.errors import printable
from seg.evaluation import store
from seg.inference import mask_io
from seg.models.model_card import ModelCard
from seg.system.durations import format_duration
from ui.compare.prediction_view import masks_of, score_masks, viewer_payload
from ui.components.viewer import viewer
from ui.dataset.pair_cache import ChosenSplit, read_split, thumbnail
from ui.shared import pictures
from ui.shared.permissions import allowed, run_action, show_error, why_not
from ui.shared.picture_buttons import picture_grid
from ui.shared.pictures import encode_jpeg
from ui.shared.text import plain
from ui.state import predictions
from ui.state.photos import Photo, load_photo

SPLIT = "val"
"""The evaluated split, on which no network is trained."""

PAGE_SIZE = 12
"""Images per page of the grid."""


def choose_pairs(card: ModelCard) -> ChosenSplit | None:
    """Draw the choice of a dataset in the sidebar; by default the one on which the card was evaluated.

    Args:
        card: Card of the weights.

    Returns:
        The evaluation split, or None without a dataset.
    """
    splits = {}
    for data in list_datasets(paths.data()):
        with contextlib.suppress(DatasetError, OSError):
            splits[printable(data.name)] = read_split(data, SPLIT)
    if not splits:
        return None
    splits = {name: split for name, split in splits.items() if _has_classes(split, card)}
    if not splits:
        return None
    names = sorted(splits, key=lambda name: (splits[name].digest != card.metrics.get("digest"), name))
    with st.sidebar:
        chosen = st.selectbox(
            "Dataset", names, key="scored_on", help=f"Its {SPLIT} split is used for evaluation."
        )
    return splits[chosen]


def _has_classes(split: ChosenSplit, card: ModelCard) -> bool:
    """Return whether the labels of a split have the classes of the weights."""
    try:
        return classes_of(split.data).names == card.class_set.names
    except DatasetError:
        return False


def load_evaluation(card: ModelCard, pairs: ChosenSplit | None) -> store.StoredEvaluation | None:
    """Return the stored evaluation of these weights on these pairs, or None."""
    if pairs is None:
        return None
    folder = store.store_dir(card.sha256, pairs.digest)
    report = folder / "report.json"
    return _load(folder, report.stat().st_mtime) if report.is_file() else None


@st.cache_data(max_entries=4, show_spinner=False)
def _load(folder: Path, modified: float) -> store.StoredEvaluation | None:
    return store.load(folder)


def evaluate_section(card: ModelCard, pairs: ChosenSplit | None, reason: str) -> None:
    """Draw the button that starts an evaluation, or the progress of a running one.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        reason: What the evaluation is needed for.
    """
    if pairs is None:
        st.info(
            f"No dataset in {plain(str(paths.data()))} has a {SPLIT} split, so nothing can be evaluated."
            " Render or download one on the Dataset page.",
            icon=":material/dataset:",
        )
        return
    folder = store.store_dir(card.sha256, pairs.digest)
    progress = store.progress(folder)
    if progress.get("status") == "running":
        st.fragment(show_progress, run_every=1)(folder)
        return
    if progress.get("status") == "failed":
        st.error(f"The last evaluation failed. {plain(progress.get('message', ''))}", icon=":material/error:")
    st.markdown(reason)
    st.button(
        f"Evaluate {plain(card.name)} on the {len(pairs.files):,} images of {plain(pairs.data.name)} {SPLIT}",
        icon=":material/fact_check:",
        type="primary",
        disabled=not allowed(),
        on_click=run_action,
        args=(jobs.evaluate, card.name, pairs.data, folder, len(pairs.files)),
        help="Runs in a separate process and continues if this page is closed. Takes minutes on a CPU.",
    )
    show_error()
    if not allowed():
        st.caption(f"Starting evaluations from this page is disabled: {why_not()}.")


def show_progress(folder: Path) -> None:
    """Show the progress of an evaluation; rerun the page when it has ended.

    Args:
        folder: Folder of the evaluation.
    """
    progress = store.progress(folder)
    if progress.get("status") != "running":
        st.rerun()
    total = max(1, progress.get("total", 1))
    done = min(max(0, progress.get("done", 0)), total)
    text = "Loading the network and the dataset …"
    if done and "since" in progress:
        remaining = (time.time() - progress["since"]) / done * (total - done)
        text = f"Evaluating: {done:,} of {total:,} images · about {format_duration(remaining)} remaining"
    st.progress(done / total, text)
    if allowed():
        st.button(
            "Stop",
            icon=":material/stop:",
            on_click=run_action,
            args=(store.stop, folder),
            key="stop_scoring",
        )
        show_error()


def image_section(card: ModelCard, pairs: ChosenSplit, images: list[tuple[int, str]], key: str) -> None:
    """Draw a grid of images, and the chosen one in the viewer with its ground truth.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        images: Index and text of each image.
        key: Prefix of the keys of this grid.
    """
    index = choose_image(pairs, images, key)
    if index is None:
        return
    photo = open_image(pairs, index, card.class_set)
    with st.spinner(f"Segmenting {plain(photo.name)} …"):
        prediction = predictions.predict(photo, card, card.working_height, tta=False)
    masks = masks_of(card, prediction, [card], card.class_set)
    scored = score_masks(photo, masks, photo.truth)
    payload = viewer_payload(photo, masks, [card], photo.truth, scored, classes=card.class_set)
    viewer(payload, key=f"{key}_viewer")


def choose_image(pairs: ChosenSplit, images: list[tuple[int, str]], key: str) -> int | None:
    """Draw a grid of images.

    Args:
        pairs: The evaluation split.
        images: Index and text of each image.
        key: Prefix of the keys of this grid.

    Returns:
        Index of the chosen image; None if there is none.
    """
    if not images:
        st.info("No image matches.", icon=":material/search_off:")
        return None
    pages = -(-len(images) // PAGE_SIZE)
    page = 1
    if pages > 1:
        page = st.pagination(pages, key=f"{key}_page")
    cells, is_pairs = [], find_image_set(pairs.data) is None
    for index, text in images[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]:
        file = pairs.files[index]
        picture = thumbnail(file, "Photo") if is_pairs else _photo_thumbnail(str(file.stat().st_mtime), file)
        # a file that was damaged or deleted since the evaluation has no thumbnail; its error appears when it
        # is chosen
        jpeg = b"" if isinstance(picture, str) else picture
        cells.append((str(index), f"{printable(pairs.files[index].name)} · {text}", jpeg))
    chosen = st.session_state.get(f"{key}_photo")
    if chosen not in [str(index) for index, _ in images]:
        chosen = None

    def choose(name: str) -> None:
        st.session_state[f"{key}_photo"] = name

    picture_grid(key, cells, chosen, choose)
    if chosen is None:
        st.caption("Choose an image to compare its mask with the ground truth.")
        return None
    return int(chosen)


def open_image(pairs: ChosenSplit, index: int, classes: ClassSet) -> Photo:
    """Read a photo of a split with its ground truth.

    Args:
        pairs: The evaluation split.
        index: Index of the photo.
        classes: Classes of the labels.

    Raises:
        PhotoError: The photo cannot be read.
        DatasetError: Its label cannot be used.
        OSError: The file cannot be read.
    """
    file = pairs.files[index]
    photo = load_photo(printable(file.name), file.read_bytes())
    image_set = find_image_set(pairs.data)
    if image_set is None:
        return photo
    sample = image_set.complete_samples(pairs.split)[index]
    _, label = read_known_sample(sample, image_set.description)
    return replace(photo, truth=mask_io.png(label, classes))


@st.cache_data(max_entries=1000, show_spinner=False)
def _photo_thumbnail(modified: str, file: Path) -> bytes | str:
    try:
        return encode_jpeg(pictures.thumbnail(read_photo(file)), 85)
    except PhotoError as error:
        return str(error)
