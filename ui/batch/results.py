"""Results of a batch: a grid of photos with masks, failed files, an enlarged photo, and downloads."""

import base64
from html import escape
from pathlib import Path

import streamlit as st

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.image_io import PhotoError
from seg.errors import user_message
from seg.inference import mask_io
from seg.inference.private_dir import PrivateDir
from seg.inference.upload_batch import Batch
from seg.models.factory import DISPLAY_NAMES, OUTPUT_STRIDE
from ui.batch import served_files, video_view
from ui.batch.served_files import MAX_SERVED_BYTES, file_links
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.shared import charts
from ui.shared.class_matching import label_in_classes
from ui.shared.pictures import resize_mask
from ui.shared.text import plain, tail
from ui.state import predictions
from ui.state.photos import open_photo
from ui.state.session import session

PAGE_SIZE = 24
"""Photos per page of the grid."""

_GRID = """
.st-key-grid { display: grid !important; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
@media (max-width: 640px) { .st-key-grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .7rem; } }
.st-key-grid > * { min-width: 0; width: 100% !important; }
.st-key-grid button { width: 100%; aspect-ratio: 2; height: auto; min-height: 0;
  padding: .3rem .5rem; border: 0;
  background: #475569 center/cover; align-items: flex-end; justify-content: flex-start; 
  color: #fff !important; }
.st-key-grid button p { font-size: .75rem; line-height: 1.1; font-weight: 600; text-shadow: 0 1px 3px #000;
  overflow-wrap: anywhere; text-align: left; }
.st-key-grid button:hover { filter: brightness(1.12); }
.class-shares { display: flex; flex-wrap: wrap; gap: .1rem .7rem; font-size: .75rem; margin-top: -.6rem;
  font-variant-numeric: tabular-nums; }
.class-shares span { white-space: nowrap; }
.class-shares i { display: inline-block; width: .6rem; height: .6rem; border-radius: .15rem;
  margin-right: .3rem;
  box-shadow: inset 0 0 0 1px #8886; }
.zip-links { display: flex; flex-wrap: wrap; gap: .5rem; }
.zip-links a { border: 1px solid #8888; border-radius: .5rem; padding: .45rem .75rem; font-size: .875rem;
  line-height: 1.5; color: inherit !important;
  text-decoration: none !important; }
.zip-links a:hover { border-color: var(--chosen); color: var(--chosen) !important; }
table.legend.flicker { max-width: 24rem; }
.st-key-batch-player video { min-height: 9rem; max-height: 55vh; background: #000; }
.failed { font-size: .875rem; overflow-wrap: anywhere; margin: 0 !important; padding: 0 !important; }
.failed dt { font-weight: 600; } .failed dd { margin: 0 0 .5rem !important; opacity: .8; }
"""


def show(batch: Batch) -> None:
    """Show the failed files, the segmented videos and the grid of the segmented photos."""
    st.html(f"<style>{_GRID}</style>")
    if batch.failed:
        show_failed(batch)
    if batch.videos_done:
        video_view.show(batch)
    if batch.photos_done:
        st.subheader("Photos" if batch.videos_done else "Results", anchor=False)
        show_grid(batch)


def delete_served() -> None:
    """Delete what the server offers of the batch: the zips and the videos."""
    zips = session().pop("batch_zips", None)
    if zips:
        zips[0].delete()
    video_view.delete_served()


def show_failed(batch: Batch) -> None:
    """List the failed files with their error messages."""
    count = len(batch.failed)
    title = f"{count:,} files failed" if count > 1 else "1 file failed"
    with st.expander(title, icon=":material/broken_image:", expanded=count <= 5):
        listed = [batch.entries[number] for number in batch.failed]
        rows = "".join(
            f"<dt>{escape(entry.name)}</dt><dd>{escape(entry.error)}</dd>" for entry in listed[:200]
        )
        st.html(f'<dl class="failed">{rows}</dl>')
        if count > 200:
            st.caption("The CSV lists all of them.")


def downloads(batch: Batch) -> bool:
    """Draw the downloads: the CSV, and the masks as zips, which are created on demand and served from disk.

    Returns:
        Whether the visitor asks for the zips now.
    """
    st.download_button(
        "Class shares as CSV", batch.csv, "shares.csv", "text/csv", icon=":material/table:", on_click="ignore"
    )
    if not batch.photos_done:
        return False
    zips = session().get("batch_zips")
    if zips and zips[1] == len(batch.photos_done) and all(file.is_file() for file in zips[2]):
        st.html(zip_links(zips[2]), width="content")
        return False
    served = st.get_option("server.enableStaticServing")
    return st.button(
        "Create a zip of the masks",
        icon=":material/folder_zip:",
        key="batch_zip",
        disabled=not served,
        help=None
        if served
        else "The server’s folder `static` was too large at start-up. Restart the server.",
    )


def make_zips(batch: Batch) -> None:
    """Write the masks into zips and rerun the page, which then links to them."""
    zips = session().pop("batch_zips", None)
    if zips:
        zips[0].delete()
    bar = st.progress(0.0, "Creating the zip …")
    try:
        folder = PrivateDir(served_files.STATIC)
        for fraction in batch.write_zips(folder.path, MAX_SERVED_BYTES):
            bar.progress(fraction, "Creating the zip …")
    except OSError as error:
        bar.empty()
        st.error(plain(f"The zip cannot be written. {user_message(error)}"), icon=":material/hard_drive:")
        return
    bar.empty()
    session()["batch_zips"] = (folder, len(batch.photos_done), sorted(folder.path.glob("*.zip")))
    st.rerun()


def zip_links(zips: list[Path]) -> str:
    """Return HTML links to zips."""
    texts = [
        "Masks as a zip" if len(zips) == 1 else f"Masks, zip {number} of {len(zips)}"
        for number in range(1, len(zips) + 1)
    ]
    return file_links(dict(zip(texts, zips, strict=True)))


def show_grid(batch: Batch) -> None:
    """Show the photos with their masks page by page, sorted and filtered by a class on demand."""
    numbers, variant, class_name = _choose_order(batch)
    if not numbers:
        st.info("No photo matches. Lower the minimum share.", icon=":material/filter_alt:")
        return
    pages = -(-len(numbers) // PAGE_SIZE)
    page = 1
    if pages > 1:
        page = st.pagination(pages, key=f"batch_page_{pages}")
    on_page = numbers[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    st.html(thumbnail_styles(batch, on_page, variant))
    clicked = None
    with st.container(key="grid"):
        for number in on_page:
            with st.container(key=f"cell-{number}"):
                entry = batch.entries[number]
                if st.button(plain(tail(entry.name)), key=f"photo-{number}", width="stretch"):
                    clicked = number
                st.html(class_shares(entry.shares[variant], class_name, batch.settings.classes))
    if clicked is not None:
        st.dialog(plain(tail(batch.entries[clicked].name)), width="large")(enlarge)(batch, clicked)


def _choose_order(batch: Batch) -> tuple[list[int], str, str | None]:
    """Draw the controls of the grid.

    Returns:
        Numbers of the entries in display order, the shown variant, and the class by which they are sorted.
    """
    variants, numbers = batch.settings.variants, batch.photos_done
    with st.container(horizontal=True, vertical_alignment="bottom"):
        variant = variants[-1]
        if len(variants) > 1:
            variant = st.segmented_control(
                "Masks of",
                variants,
                default=variant,
                required=True,
                format_func=lambda name: DISPLAY_NAMES[name],
                key=f"batch_shown_{variants}",
            )
        occurring = {name for number in numbers for name in batch.entries[number].shares[variant]}
        class_name = st.selectbox(
            "Sort by class",
            [name for name in batch.settings.classes.names if name in occurring],
            index=None,
            placeholder="upload order",
            key="batch_class",
            width=220,
            help="Sorts the photos by the share of a class, the largest first.",
        )
        if class_name:
            percent = st.slider("Minimum share", 0, 100, 0, format="%d%%", key="batch_least", width=220)
            shares = {number: share(batch, number, variant, class_name) for number in numbers}
            numbers = [number for number in numbers if shares[number] >= max(percent / 100, 1e-9)]
            numbers.sort(key=lambda number: -shares[number])
    return numbers, variant, class_name


def share(batch: Batch, number: int, variant: str, class_name: str) -> float:
    """Return the share (0 to 1) of a class in a photo."""
    return batch.entries[number].shares[variant].get(class_name, 0.0)


def thumbnail_styles(batch: Batch, numbers: list[int], variant: str) -> str:
    """Return HTML that puts the thumbnails behind their buttons."""
    rules = []
    for number in numbers:
        data = base64.b64encode(batch.small_file(number, variant).read_bytes()).decode()
        picture = f"linear-gradient(#0000 60%, #000b), url(data:image/jpeg;base64,{data})"
        rules.append(f".st-key-photo-{number} button {{ background-image: {picture} !important; }}")
    return f"<style>{''.join(rules)}</style>"


def class_shares(shares: dict[str, float], class_name: str | None, classes: ClassSet) -> str:
    """Return HTML of the three largest classes of a photo; a class chosen for sorting comes first."""
    names = [*([class_name] if class_name else []), *(name for name in shares if name != class_name)][:3]
    items = [
        f"<span>{charts.class_label(name, classes)} {charts.percent(shares.get(name, 0))}</span>"
        for name in names
    ]
    return f'<div class="class-shares">{"".join(items)}</div>'


def enlarge(batch: Batch, number: int) -> None:
    """Show a photo and its masks in the viewer."""
    entry = batch.entries[number]
    try:
        photo = open_photo(entry.name, batch.photo_file(number).read_bytes())
        masks = {
            variant: mask_io.read_png(batch.mask_file(number, variant).read_bytes())
            for variant in batch.settings.variants
        }
    except (OSError, PhotoError):
        st.error("The files of this photo no longer exist on the server.", icon=":material/hard_drive:")
        return
    panes = [Pane("photo", "Photo", "photo")]
    for variant, mask in masks.items():
        ids = deflate(resize_mask(mask, photo.shown_size))
        panes.append(
            Pane(variant, DISPLAY_NAMES[variant], "mask", ids=ids, stride=OUTPUT_STRIDE.get(variant))
        )
    classes = batch.settings.classes
    if photo.truth is not None:
        label = label_in_classes(photo.truth, CITYSCAPES, classes)
        truth = deflate(predictions.shown_truth(photo, label))
        panes.append(Pane("truth", "Ground truth", "truth", ids=truth))
    shares = entry.shares
    size = photo.width, photo.height
    viewer(
        pack(
            photo.jpeg,
            photo.shown_size,
            size,
            panes,
            present(shares.values(), classes),
            own=True,
            classes=classes,
        ),
        key="batch-viewer",
    )
    if photo.reduction_note:
        st.caption(photo.reduction_note)
    if len(shares) > 1:
        st.html(charts.legend({DISPLAY_NAMES[variant]: shares[variant] for variant in shares}, classes))
