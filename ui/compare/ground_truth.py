"""Ground truth of the visitor's photo: upload and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from seg.data import label_import
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.evaluation.metrics import boundary_width
from seg.inference import mask_io
from seg.models.factory import OUTPUT_STRIDE
from ui.compare.prediction_view import Mask
from ui.shared import charts, rate_limit
from ui.shared.text import plain, unquoted
from ui.state import predictions
from ui.state.photos import Photo, UploadedTruth, available_bytes, content_digest, reader
from ui.state.session import session

GRID_REFERENCE_HELP = (
    "The mean IoU of the ground truth itself after each cell of the network's output grid is reduced to its "
    "class shares and upsampled bilinearly. It shows what the resolution of the grid costs. It is no upper "
    "bound: scores that are optimized on the same grid reach more, and the maximum is at least as high."
)


def known_truth(photo: Photo) -> tuple[bytes, ClassSet] | None:
    """Return the photo's ground truth as an indexed PNG, uploaded or its own, and its classes; None if there
    is none."""
    uploaded = session().get("truths", {}).get(photo.digest)
    if uploaded:
        return uploaded.png, uploaded.class_set
    return None if photo.truth is None else (photo.truth, CITYSCAPES)


def ground_truth_uploader(photo: Photo, classes: ClassSet) -> None:
    """Draw the uploader for the photo's ground truth, and how the label picture was read.

    Args:
        photo: The photo.
        classes: The classes of a label picture that is uploaded.
    """
    truths = session().setdefault("truths", {})
    key = f"truth-{photo.digest[:16]}"
    size = (photo.width, photo.height)
    with st.expander(
        "Compare with ground truth", icon=":material/fact_check:", expanded=photo.digest in truths
    ):
        st.file_uploader(
            "Label image of this photo",
            key=key,
            on_change=on_ground_truth_upload,
            args=(key, photo.digest, size, classes),  # not the photo: Streamlit keeps the arguments
            help=(
                "A PNG with train ids, Cityscapes label ids or Cityscapes colors, with the photo's aspect"
                " ratio."
                if classes == CITYSCAPES
                else "A PNG of train ids, the order of the classes from 0, or of their colors, with the"
                " photo's aspect ratio."
            ),
        )
        digest, name, message = session().get("truth_error", ("", "", ""))
        if digest == photo.digest:
            st.error(f"**{plain(name)}**: {plain(message)}", icon=":material/broken_image:")
        if photo.digest in truths:
            _show_coding(key, photo.digest, size, truths[photo.digest])
            if st.session_state[key] is None:  # the uploader was emptied while another photo was shown
                st.button(
                    "Remove ground truth",
                    key="remove_truth",
                    on_click=remove_ground_truth,
                    args=(photo.digest,),
                )


def _show_coding(key: str, digest: str, size: tuple[int, int], truth: UploadedTruth) -> None:
    """Show how a label picture was read, and let the visitor choose another coding."""
    classes = ", ".join(truth.classes[:6]) + (" …" if len(truth.classes) > 6 else "")
    ignored = f" {truth.ignored_fraction:.1%} of the pixels are ignored." if truth.ignored_fraction else ""
    count = len(truth.classes)
    st.markdown(f"Read as **{truth.coding}**: {count} class{'es' * (count != 1)} ({classes}).{ignored}")
    if truth.other_coding:
        st.warning(
            f"Are these {truth.coding} or {truth.other_coding}? The values fit both. Choose below; until "
            f"then they"
            f" are read as {truth.coding}.",
            icon=":material/help:",
        )
    if "color" in truth.coding and "pole" in truth.classes:
        st.caption("Pole and pole group have the same color; both are read as pole.")
    if (
        truth.class_set == CITYSCAPES
        and set(truth.classes) <= {"road", "sidewalk"}
        and truth.coding == "train ids"
    ):
        st.warning(
            "This may be a binary mask or use other class numbers: its values 0 and 1 are read as road and "
            "sidewalk.",
            icon=":material/help:",
        )
    codings = label_import.codings_of(truth.class_set)
    st.selectbox(
        "Coding of the label image",
        codings,
        index=codings.index(truth.coding),
        key=f"{key}-coding-{truth.coding}",
        on_change=on_coding_change,
        args=(f"{key}-coding-{truth.coding}", digest, size),
        width=260,
    )
    if truth.other_coding:
        st.button(
            f"They are {truth.coding}",
            key="confirm_coding",
            on_click=confirm_coding,
            args=(digest,),
        )


def on_ground_truth_upload(key: str, digest: str, size: tuple[int, int], classes: ClassSet) -> None:
    """Read an uploaded label image, or store the error message for the page.

    Args:
        key: Key of the uploader.
        digest: Digest of the photo.
        size: Width and height of the photo.
        classes: The classes of the label image.
    """
    upload = st.session_state[key]
    session()["truths"].pop(digest, None)
    session().pop("truth_error", None)
    if upload is not None:
        _read_truth(digest, unquoted(upload.name), upload.getvalue(), size, None, classes)


def on_coding_change(key: str, digest: str, size: tuple[int, int]) -> None:
    """Read the label image of a photo in the coding that the visitor chose.

    Args:
        key: Key of the choice.
        digest: Digest of the photo.
        size: Width and height of the photo.
    """
    truth = session()["truths"].get(digest)
    session().pop("truth_error", None)
    if truth is not None:
        _read_truth(digest, truth.name, truth.data, size, st.session_state[key], truth.class_set)
        st.session_state[key] = session()["truths"][digest].coding  # it is unchanged after an error


def confirm_coding(digest: str) -> None:
    """Keep the coding in which the label image of the photo with this digest was read."""
    truths = session()["truths"]
    if digest in truths:
        truths[digest] = replace(truths[digest], other_coding=None)


def _read_truth(
    digest: str,
    name: str,
    data: bytes,
    size: tuple[int, int],
    coding: label_import.LabelCoding | None,
    classes: ClassSet,
) -> None:
    """Store the ground truth of a photo; after an error store the message and keep what was there."""
    try:
        available = available_bytes(session().get("photos", {}).values())
        if digest not in session()["truths"] and len(data) > available:
            raise label_import.LabelImportError(
                f"Your files may have {rate_limit.MAX_UPLOAD_MB} MB in total. Remove some of them."
            )
        with reader.label(data, size, coding, classes) as imported:
            session()["truths"][digest] = UploadedTruth(
                name,
                data,
                mask_io.png(imported.label, classes),
                imported.coding,
                imported.other_coding,
                imported.classes,
                imported.ignored_fraction,
                classes,
            )
    except label_import.LabelImportError as error:
        session()["truth_error"] = (digest, name, str(error))


def remove_ground_truth(digest: str) -> None:
    """Forget the uploaded ground truth of the photo with this digest."""
    session()["truths"].pop(digest, None)


def truth_section(
    photo: Photo, masks: Sequence[Mask], label: bytes, scored: Mapping[str, predictions.MaskMetrics]
) -> None:
    """Show IoU by class, boundary IoU and the cell-share reference of each output grid.

    Args:
        photo: The photo.
        masks: Its masks.
        label: Ground truth as an indexed PNG.
        scored: Metrics by the id of the mask.
    """
    st.subheader("Comparison with ground truth", anchor=False)
    digest, truth = content_digest(label), predictions.shown_truth(photo, label)
    optimized = st.toggle(
        "Optimize the scores on the output grids",
        key="optimize_grids",
        help="Fits the scores on each grid to this ground truth. It takes seconds per grid.",
    )

    def reference(mask: Mask, optimized: bool) -> float | None:
        stride = OUTPUT_STRIDE.get(mask.variant)
        if stride is None:
            return None
        return predictions.grid_reference_of(
            digest, mask.prediction.working_size, stride, optimized, len(mask.classes), truth
        )

    references = {"Cell-share reference": {mask.title: reference(mask, False) for mask in masks}}
    if optimized:
        references["Optimized scores on the grid"] = {mask.title: reference(mask, True) for mask in masks}
    by_title = {mask.title: scored[mask.id] for mask in masks}
    table, bars = st.columns([2, 3], gap="large")
    table.html(charts.truth_table(by_title, references, masks[0].classes))
    with bars:
        st.caption("Mean IoU, and the cell-share reference of the output grid", help=GRID_REFERENCE_HELP)
        st.plotly_chart(
            charts.metric_bars(by_title, references),
            config={"displayModeBar": False},
            key="reach-bars",
            alt=(
                "Bars of the mean IoU of each mask with the reference of its output grid. The table has the"
                " values."
            ),
        )
    width, height = photo.shown_size
    st.caption(
        "IoU: intersection of mask and ground truth over their union; the mean is over the classes of the "
        f"ground truth. Boundary IoU counts only pixels within {boundary_width(truth.shape)} pixels of an "
        f"outline "
        f"(2 % of the diagonal). Evaluated at {width} × {height} pixels. The cell-share reference is "
        f"computed for "
        "strides 32, 16 and 8; U-Net's output grid is too fine for a useful one."
    )
