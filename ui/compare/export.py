"""Export of a photo's full-resolution masks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from seg.inference import mask_io
from ui.compare import downloads
from ui.compare.prediction_view import Mask
from ui.state import predictions
from ui.state.model_pool import queue_notice
from ui.state.photos import Photo


def export_section(photo: Photo, masks: Sequence[Mask], factor: float, tta: bool) -> None:
    """Draw the downloads; the files are computed when the visitor asks for them.

    Args:
        photo: The photo.
        masks: Its masks.
        factor: Multiple of each card's working height.
        tta: Whether to use test-time augmentation.
    """
    st.subheader("Downloads", anchor=False)
    cards = {mask.card.name: mask.card for mask in masks}.values()
    heights = {card.name: round(card.working_height * factor) for card in cards}
    cached = {
        card.name: predictions.cached_full_resolution_masks(photo, card, heights[card.name], tta=tta)
        for card in cards
    }
    available = {name: files for name, files in cached.items() if files is not None}
    if len(available) < len(cached):
        clicked = st.button(
            "Export full-resolution masks",
            key="make",
            icon=":material/note_add:",
            help="Masks, color images, overlays, confidence maps and COCO annotations. Runs the network once "
            "more.",
        )
        st.caption(f"At the photo’s own resolution of {photo.width:,} × {photo.height:,} pixels.")
        if not clicked:
            return
        with st.container(key="progress"), st.spinner("Computing full-resolution masks …", show_time=True):
            for card in cards:
                predictions.full_resolution_masks(
                    photo, card, heights[card.name], tta=tta, on_queue_position=queue_notice()
                )
        st.rerun()
    download_buttons(photo, masks, {mask.id: available[mask.card.name][mask.variant] for mask in masks}, tta)


def download_buttons(
    photo: Photo, masks: Sequence[Mask], files: Mapping[str, predictions.MaskFiles], tta: bool
) -> None:
    """Draw a download button for each kind of file; a file is encoded when it is downloaded.

    Args:
        photo: The photo.
        masks: Its masks.
        files: PNG files by the id of the mask.
        tta: Whether the masks were computed with test-time augmentation.
    """

    classes = {mask.id: mask.card.class_set for mask in masks}

    def encode(kind: str, id: str) -> bytes:
        file = files[id]
        return downloads.make(kind, photo.name, photo.data, file.mask, file.confidence, classes[id])

    def class_shares() -> dict[str, dict[str, float]]:
        return {id: mask_io.shares(mask_io.read_png(pngs.mask), classes[id]) for id, pngs in files.items()}

    def encode_shares() -> bytes:
        return downloads.shares_csv(class_shares())

    def encode_zip() -> bytes:
        pngs = {id: (file.mask, file.confidence) for id, file in files.items()}
        shares = class_shares()
        details = record(photo, masks, shares, tta)
        return downloads.bundle(photo.name, photo.data, pngs, classes, shares, details)

    content = photo.digest, photo.name, tta, tuple((mask.id, mask.card.sha256) for mask in masks)
    sizes = tuple(mask.prediction.working_size for mask in masks)

    def button(label: str, encode: Callable[[], bytes], name: str, mime: str, key: str, help: str) -> None:
        file = partial(downloads.encode_in_turn, (content, sizes, name), encode)
        icon = ":material/folder_zip:" if key == "zip" else ":material/download:"
        st.download_button(label, file, name, mime, key=key, on_click="ignore", icon=icon, help=help)

    stem = downloads.safe_stem(photo.name)
    with st.container(horizontal=True, gap="small", key="files", vertical_alignment="bottom"):
        titles = {mask.id: mask.title for mask in masks}
        ids = list(titles)
        default = [mask.id for mask in masks if mask.card is masks[0].card][-1]
        chosen = st.selectbox(
            "Mask",
            ids,
            index=ids.index(default),
            format_func=lambda id: titles[id],
            key=f"of-{' '.join(ids)}",
            width=220,
        )
        for kind, info in downloads.kinds_of(classes[chosen]).items():
            file, name = partial(encode, kind, chosen), f"{stem}.{chosen}.{info.ending}"
            button(info.label, file, name, info.mime, f"file-{kind}", info.help)
        help = "CSV with the share of the image of each class in each mask."
        button("Class shares", encode_shares, f"{stem}.shares.csv", "text/csv", "shares", help)
        help = (
            "All masks in all formats, the class shares as CSV, and the metadata of the prediction as JSON."
        )
        button("All files (zip)", encode_zip, f"{stem}.zip", "application/zip", "zip", help)


def record(
    photo: Photo, masks: Sequence[Mask], shares: Mapping[str, Mapping[str, float]], tta: bool
) -> dict[str, Any]:
    """Return the metadata of a prediction as a JSON object.

    Args:
        photo: The photo.
        masks: Its masks.
        shares: Class shares (0 to 1) by the id of the mask.
        tta: Whether test-time augmentation was used.
    """
    original = photo.reduced_from
    return {
        "photo": photo.name,
        "width": photo.width,
        "height": photo.height,
        **({"original_width": original[0], "original_height": original[1]} if original else {}),
        "best_quality": tta,
        "masks": {
            mask.id: {
                "weights": mask.card.name,
                "weights_sha256": mask.card.sha256,
                "variant": mask.variant,
                "working_size": dict(zip(("height", "width"), mask.prediction.working_size, strict=True)),
                "shares": shares[mask.id],
                "seconds": mask.prediction.seconds,
                "device": mask.prediction.device,
            }
            for mask in masks
        },
    }
