"""What became of a batch: a grid of photos with their masks, files that failed, one photo seen large, and the downloads."""

import base64
from html import escape
from pathlib import Path

import streamlit as st

from pages.parts import cached, charts
from pages.parts.frame import plain
from pages.parts.viewer import Pane, deflate, pack, present, viewer
from seg import masks
from seg.batch import Batch, OwnFolder
from seg.files import why
from seg.labels import NAMES
from seg.networks import STRIDE_OF, TITLES
from seg.photo import PhotoError

STATIC = Path(__file__).parents[2] / "static"
"""What Streamlit serves from disk, as app/static; it lists no folder."""

PART = 190 * 2**20
"""Bytes of a zip, at most: Streamlit serves files of up to 200 MiB from disk."""

A_PAGE = 24
"""Photos on a page of the grid."""

_GRID = """
.st-key-grid { display: grid !important; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; }
@media (max-width: 640px) { .st-key-grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .7rem; } }
.st-key-grid > * { min-width: 0; width: 100% !important; }
.st-key-grid button { width: 100%; aspect-ratio: 2; height: auto; min-height: 0; padding: .3rem .5rem; border: 0;
  background: #475569 center/cover; align-items: flex-end; justify-content: flex-start; color: #fff !important; }
.st-key-grid button p { font-size: .75rem; line-height: 1.1; font-weight: 600; text-shadow: 0 1px 3px #000;
  overflow-wrap: anywhere; text-align: left; }
.st-key-grid button:hover { filter: brightness(1.12); }
.cover { display: flex; flex-wrap: wrap; gap: .1rem .7rem; font-size: .75rem; margin-top: -.6rem;
  font-variant-numeric: tabular-nums; }
.cover span { white-space: nowrap; }
.cover i { display: inline-block; width: .6rem; height: .6rem; border-radius: .15rem; margin-right: .3rem;
  box-shadow: inset 0 0 0 1px #8886; }
.handed { display: flex; flex-wrap: wrap; gap: .5rem; }
.handed a { border: 1px solid #8888; border-radius: .5rem; padding: .45rem .75rem; font-size: .875rem;
  line-height: 1.5; color: inherit !important;
  text-decoration: none !important; }
.handed a:hover { border-color: var(--chosen); color: var(--chosen) !important; }
.failed { font-size: .875rem; overflow-wrap: anywhere; margin: 0 !important; padding: 0 !important; }
.failed dt { font-weight: 600; } .failed dd { margin: 0 0 .5rem !important; opacity: .8; }
"""


def show(batch: Batch) -> None:
    """The files that failed, and the grid of the others."""
    st.html(f"<style>{_GRID}</style>")
    if batch.failed:
        failed(batch)
    if not batch.done:
        return
    st.subheader("Results", anchor=False)
    grid(batch)


def forget() -> None:
    """Deletes the zips that were made."""
    made = st.session_state.pop("batch_zips", None)
    if made:
        made[0].delete()


def failed(batch: Batch) -> None:
    """The files that cannot be used, and why."""
    count = len(batch.failed)
    words = f"{count:,} files could not be used" if count > 1 else "One file could not be used"
    with st.expander(words, icon=":material/broken_image:", expanded=count <= 5):
        listed = [batch.entries[number] for number in batch.failed]
        rows = "".join(f"<dt>{escape(entry.name)}</dt><dd>{escape(entry.error)}</dd>" for entry in listed[:200])
        st.html(f'<dl class="failed">{rows}</dl>')
        if count > 200:
            st.caption("The CSV lists the others.")


def downloads(batch: Batch) -> bool:
    """The CSV, and the masks as zips: made when asked for, on disk, and handed out from there. -> whether they are asked for."""
    st.download_button("Class shares as CSV", batch.csv, "shares.csv", "text/csv", icon=":material/table:", on_click="ignore")
    made = st.session_state.get("batch_zips")
    if made and made[1] == len(batch.done) and all(file.is_file() for file in made[2]):
        st.html(links(made[2]), width="content")
        return False
    served = st.get_option("server.enableStaticServing")
    return st.button(
        "Make a zip of the masks",
        icon=":material/folder_zip:",
        key="batch_zip",
        disabled=not served,
        help=None if served else "The server’s folder `static` was too large when it began. Start the server again.",
    )


def make_zips(batch: Batch) -> None:
    """Packs the masks into zips, and draws the page anew with links to them."""
    forget()
    bar = st.progress(0.0, "Packing …")
    try:
        folder = OwnFolder(STATIC)
        for part in batch.pack(folder.path, PART):
            bar.progress(part, "Packing …")
    except OSError as error:
        bar.empty()
        st.error(plain(f"The zip cannot be written. {why(error)}"), icon=":material/hard_drive:")
        return
    bar.empty()
    st.session_state.batch_zips = (folder, len(batch.done), sorted(folder.path.glob("*.zip")))
    st.rerun()


def links(zips: list[Path]) -> str:
    """HTML links to zips."""
    items = []
    for number, file in enumerate(zips, 1):
        size = file.stat().st_size / 2**20
        words = "Masks as a zip" if len(zips) == 1 else f"Masks, zip {number} of {len(zips)}"
        address = f"app/static/{file.parent.name}/{file.name}"
        items.append(f'<a href="{address}" download="{file.name}">{words} · {max(0.1, size):.1f} MB</a>')
    return f'<div class="handed">{"".join(items)}</div>'


def grid(batch: Batch) -> None:
    """The photos with a mask over each, page by page."""
    variants = batch.settings.variants
    numbers = batch.done
    with st.container(horizontal=True, vertical_alignment="bottom"):
        variant = variants[-1]
        if len(variants) > 1:
            variant = st.segmented_control(
                "Masks of", variants, default=variant, required=True, format_func=TITLES.get, key=f"batch_shown_{variants}"
            )
        present = {name for number in numbers for name in batch.entries[number].found.shares[variant]}
        of = st.selectbox(
            "Most of", [name for name in NAMES if name in present], index=None, placeholder="in the order given",
            key="batch_class", width=220, help="Sorts the photos by the share of a class.",
        )  # fmt: skip
        if of:
            least = st.slider("At least", 0, 100, 0, format="%d%%", key="batch_least", width=220) / 100
            numbers = [number for number in numbers if share(batch, number, variant, of) >= max(least, 1e-9)]
            numbers.sort(key=lambda number: -share(batch, number, variant, of))
    if not numbers:
        st.info("No photo has so much of it.", icon=":material/filter_alt:")
        return
    pages = -(-len(numbers) // A_PAGE)
    page = 1
    if pages > 1:
        page = st.pagination(pages, key=f"batch_page_{pages}")
    on_page = numbers[(page - 1) * A_PAGE : page * A_PAGE]
    st.html(pictures(batch, on_page, variant))
    clicked = None
    with st.container(key="grid"):
        for number in on_page:
            with st.container(key=f"cell-{number}"):
                entry = batch.entries[number]
                if st.button(plain(end(entry.name)), key=f"photo-{number}", width="stretch"):
                    clicked = number
                st.html(cover(entry.found.shares[variant], of))
    if clicked is not None:
        st.dialog(plain(end(batch.entries[clicked].name)), width="large")(large)(batch, clicked)


def share(batch: Batch, number: int, variant: str, of: str) -> float:
    """The share (0-1) of a class in a photo."""
    return batch.entries[number].found.shares[variant].get(of, 0.0)


def end(name: str, most: int = 36) -> str:
    """A name with its folders that is too long for its place, without its beginning."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def pictures(batch: Batch, numbers: list[int], variant: str) -> str:
    """HTML that puts the small pictures behind their buttons."""
    rules = []
    for number in numbers:
        data = base64.b64encode(batch.small_file(number, variant).read_bytes()).decode()
        picture = f"linear-gradient(#0000 60%, #000b), url(data:image/jpeg;base64,{data})"
        rules.append(f".st-key-photo-{number} button {{ background-image: {picture} !important; }}")
    return f"<style>{''.join(rules)}</style>"


def cover(shares: dict[str, float], of: str | None) -> str:
    """HTML of the largest classes of a photo, or of the one that is asked for and the largest others."""
    names = [*([of] if of else []), *(name for name in shares if name != of)][:3]
    items = [f"<span>{charts.named(name)} {charts.percent(shares.get(name, 0))}</span>" for name in names]
    return f'<div class="cover">{"".join(items)}</div>'


def large(batch: Batch, number: int) -> None:
    """One photo and its masks in the viewer."""
    entry = batch.entries[number]
    try:
        photo = cached.photo(entry.name, batch.photo_file(number).read_bytes())
        found = {variant: masks.read_png(batch.mask_file(number, variant).read_bytes()) for variant in batch.settings.variants}
    except (OSError, PhotoError):
        st.error("The files of this photo are gone from the disk.", icon=":material/hard_drive:")
        return
    panes = [Pane("photo", "Photo", "photo")]
    panes += [
        Pane(variant, TITLES[variant], "mask", ids=deflate(cached.resized(mask, photo.shown_size)), stride=STRIDE_OF.get(variant))
        for variant, mask in found.items()
    ]
    if photo.truth is not None:
        panes.append(Pane("truth", "Truth", "truth", ids=deflate(cached.shown_truth(photo, photo.truth))))
    shares = entry.found.shares
    size = photo.width, photo.height
    viewer(pack(photo.jpeg, photo.shown_size, size, panes, present(shares.values()), own=True), key="batch-viewer")
    if len(shares) > 1:
        st.html(charts.legend({TITLES[variant]: of for variant, of in shares.items()}))
