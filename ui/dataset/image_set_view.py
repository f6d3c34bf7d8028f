"""Data sets of photos and labels with a description: preview, check, and correction of the classes."""

import numpy as np
import streamlit as st
from PIL import Image

from seg.data.image_set import ImageSet, read_known_sample
from seg.data.image_set_check import SplitCheck, check_image_set, counted, notes_on
from seg.data.layouts import Sample
from seg.data.pairs import DatasetError, mtime_fingerprint
from seg.errors import printable
from seg.inference import mask_io
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.dataset.pair_cache import ChosenSplit
from ui.shared import charts
from ui.shared.permissions import allowed, show_disabled_reason
from ui.shared.picture_buttons import picture_grid
from ui.shared.pictures import display_picture, encode_jpeg, pixels_jpeg, resize_mask, thumbnail
from ui.shared.text import plain
from ui.state.session import session

PAGE_SIZE = 12

OPACITY = 0.55
"""Of the classes over a photo in thumbnails."""

_UNUSABLE = pixels_jpeg(np.full((1, 1, 3), (127, 29, 29), np.uint8), (64, 48))


def summarize(image_set: ImageSet, chosen: ChosenSplit) -> None:
    """Show what was recognized."""
    described = image_set.description
    samples = image_set.samples(chosen.split)
    lone = len(samples.without_label) + len(samples.without_image)
    text = (
        f"**{plain(described.name)}**: layout *{described.layout}*, {len(image_set.classes)} classes, labels"
        f" of {described.coding}. {chosen.split} has {len(samples.complete):,} photos with a label"
    )
    st.markdown(text + (f" and {lone:,} files without a partner." if lone else "."))


def browse(image_set: ImageSet, chosen: ChosenSplit) -> None:
    """Draw a grid of labelled photos, and the chosen one in the viewer."""
    samples = image_set.complete_samples(chosen.split)
    pages = -(-len(samples) // PAGE_SIZE)
    page = st.pagination(pages, key=f"samples_page_{pages}") if pages > 1 else 1
    on_page = range((page - 1) * PAGE_SIZE, min(page * PAGE_SIZE, len(samples)))
    cells, errors = [], []
    for index in on_page:
        sample = samples[index]
        picture = _thumbnail(_fingerprint(sample, image_set), sample, image_set)
        if isinstance(picture, str):
            errors.append(picture)
        jpeg = _UNUSABLE if isinstance(picture, str) else picture
        cells.append((str(index), printable(sample.image.name), jpeg))
    number = st.session_state.get("sample_number", str(on_page.start))
    number = number if number in {cell[0] for cell in cells} else str(on_page.start)

    def choose(name: str) -> None:
        st.session_state["sample_number"] = name

    picture_grid("samples", cells, number, choose)
    for error in errors[:3]:
        st.error(plain(error), icon=":material/broken_image:")
    _show_sample(image_set, samples[int(number)])


def check(image_set: ImageSet, chosen: ChosenSplit) -> None:
    """Draw the check of every file, with the class frequencies that it finds."""
    key = f"check {chosen.data} {image_set.description.decoding_key()}"
    splits = [split for split in ("train", "val") if image_set.samples(split).complete]
    checks: dict[str, SplitCheck] | None = session().get("image_set_checks", {}).get(key)
    if st.button("Check every file", key="check_samples", type="primary", disabled=not allowed()):
        bar = st.progress(0.0, "Reading photos and labels …")
        checks = {}
        for number, split in enumerate(splits):

            def on_progress(done: int, total: int, number: int = number, split: str = split) -> None:
                text = f"Reading {split}: {done:,} of {total:,}"
                bar.progress((number + done / total) / len(splits), text)

            checks[split] = check_image_set(image_set, split, on_progress)
        bar.empty()
        session()["image_set_checks"] = {key: checks}
    show_disabled_reason()
    if checks is None:
        st.caption(
            "Reads all photos and labels at full size: labels of another size, unknown ids or colors, missing"
            " partners, unreadable files, and how often each class occurs."
        )
        return
    faults = {split: result.faults for split, result in checks.items() if result.faults}
    if not faults:
        st.success("Every photo has a usable label.", icon=":material/check_circle:")
    for split, kinds in faults.items():
        for kind, (count, example) in kinds.items():
            st.error(
                f"{split}: {counted(kind, count)}. Example: {plain(printable(example))}",
                icon=":material/broken_image:",
            )
    for note in notes_on(image_set, checks):
        st.warning(plain(printable(note)), icon=":material/info:")
    _show_shares(image_set, checks)


def _show_shares(image_set: ImageSet, checks: dict[str, SplitCheck]) -> None:
    rows = {}
    for k, name in enumerate(image_set.classes.names):
        values = (result.pixels[k] / max(1, result.pixels[:-1].sum()) for result in checks.values())
        rows[name] = [charts.fine_percent(float(value)) for value in values]
    ignored = (result.pixels[-1] / max(1, result.pixels.sum()) for result in checks.values())
    rows["ignored, of all pixels"] = [charts.fine_percent(float(value)) for value in ignored]
    heads = [f"{split} ({result.samples:,})" for split, result in checks.items()]
    st.html(charts.grid("Class", heads, rows, image_set.classes))


def _fingerprint(sample: Sample, image_set: ImageSet) -> str:
    try:
        files = mtime_fingerprint((sample.image, sample.label))
    except OSError:
        files = ""
    return f"{files} {image_set.description.model_dump_json()}"


@st.cache_data(max_entries=500, show_spinner=False)
def _thumbnail(fingerprint: str, _sample: Sample, _image_set: ImageSet) -> bytes | str:
    try:
        photo, label = read_known_sample(_sample, _image_set.description)
    except DatasetError as error:
        return str(error)
    small = thumbnail(photo)
    mask = resize_mask(label, small.size)
    return encode_jpeg(
        Image.fromarray(mask_io.overlay(np.asarray(small), mask, OPACITY, _image_set.classes)), 85
    )


def _show_sample(image_set: ImageSet, sample: Sample) -> None:
    try:
        photo, label = read_known_sample(sample, image_set.description)
    except DatasetError as error:
        st.error(plain(str(error)), icon=":material/broken_image:")
        return
    classes, shown = image_set.classes, display_picture(photo)
    mask = resize_mask(label, shown.size)
    shares = mask_io.shares(mask, classes)
    panes = [
        Pane("photo", "Photo", "photo", f"{photo.width} × {photo.height}"),
        Pane("truth", "Label", "truth", ids=deflate(mask)),
    ]
    payload = pack(
        encode_jpeg(shown, 90),
        shown.size,
        photo.size,
        panes,
        present([shares], classes),
        own=True,
        classes=classes,
    )
    st.caption(plain(printable(str(sample.image.relative_to(image_set.root)))))
    viewer(payload, key="sample_viewer")
    st.html(charts.legend({"Share of the image": shares}, classes))
