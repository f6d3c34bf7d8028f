"""The photo that a page is about: an upload of the visitor's, or a rendered street. It stays chosen from page to page."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from pages.parts import cached, leaving, limits
from pages.parts.frame import plain
from seg.photo import PhotoError

# Seed -> name of the rendered streets that can be looked at without a photo of one's own.
SAMPLES = {
    6: "Truck and bus",
    11: "Zebra crossing",
    34: "By the park",
    3: "In the fog",
    7: "Wet road",
    10: "At dusk",
}
OWN = "own"
"""What a link says of a visitor's own photo, which it cannot hold."""


def choose_photo(page: str) -> cached.Photo:
    """Uploader and samples, and the photo that is chosen: call `render_thumbnails` at the end of the page.

    `page` tells this page from others: what was uploaded on one is still there on the next. What cannot be read is told here.
    """
    give, pick = st.columns([2, 3], gap="medium")
    with give:
        uploads = st.file_uploader(
            "Your street photos",
            accept_multiple_files=True,
            key=f"uploads-{page}",
            help="JPEG, PNG, WebP, BMP, TIFF or GIF of up to 64 megapixels; a pair file of the Cityscapes Image Pairs is taken "
            "apart. Photos stay on the computer that this app runs on.",
        )
    _let_go(page, {upload.file_id for upload in uploads})
    photos = _kept(page, read(uploads))
    _look_at_new(photos)
    with pick:
        seed = _choose_sample()
    chosen = _choose_upload(photos)
    if chosen is not None:
        st.query_params["photo"] = OWN
        return chosen
    with st.spinner("Rendering the sample …"):
        chosen = cached.sample(seed, SAMPLES[seed])
    if st.query_params.get("photo") == OWN:
        st.info(
            "This link was made over a photo that stayed on its owner’s computer. Here is a rendered street instead; "
            "upload the photo to see it.",
            icon=":material/link:",
        )
    return chosen


def read(uploads: Sequence[Any]) -> dict[str, cached.Photo]:
    """The uploads that are photos, by upload; why the others are none is said on the page."""
    here = {upload.file_id for upload in uploads}
    elsewhere = sum(len(photo.data) for key, photo in st.session_state.get("photos", {}).items() if key not in here)
    photos, left = {}, limits.MEGABYTES * 1_000_000 - elsewhere
    for upload in uploads:
        left -= upload.size
        try:
            if left < 0:
                raise PhotoError(f"It is left out: your files may have {limits.MEGABYTES} MB together. Remove some of them.")
            photos[upload.file_id] = cached.photo(unquoted(upload.name), upload.getvalue())
        except PhotoError as error:
            st.error(f"**{plain(unquoted(upload.name))}**: {plain(str(error))}", icon=":material/broken_image:")
    return photos


def unquoted(name: str) -> str:
    """A file's name as it was: browsers write quotes and line ends in it as %22, %0D and %0A (HTML standard, form submission)."""
    return name.replace("%22", '"').replace("%0D", " ").replace("%0A", " ")


def short(name: str, most: int = 40) -> str:
    """A name that is too long for its place, without its middle."""
    return name if len(name) <= most else f"{name[: most - 9]}…{name[-8:]}"


def render_thumbnails() -> None:
    """Render the samples whose picture is not known yet, once for all visitors, and put it behind their buttons.

    It takes seconds, so it comes last on a page.
    """
    for seed, name in SAMPLES.items():
        if seed not in cached.thumbnails():
            cached.thumbnails()[seed] = cached.sample(seed, name).thumbnail
            picture_button(f"sample-{seed}", cached.thumbnails()[seed], False)  # its ring is there


def picture_grid(key: str, cells: Sequence[tuple[str, str, bytes]], chosen: str | None, pick: Callable[[str], None]) -> None:
    """A grid of pictures, (name, words, JPEG), that call `pick` with their name."""
    with st.container(horizontal=True, gap="small", key=f"grid-{key}"):
        for number, (name, words, thumbnail) in enumerate(cells):
            st.button(plain(words), key=f"{key}-{number}", on_click=pick, args=(name,), width="stretch")
            picture_button(f"{key}-{number}", thumbnail, name == chosen)


def picture_button(key: str, thumbnail: bytes | None, chosen: bool) -> None:
    """Put a JPEG behind a button, where there is one yet, and a ring around it if it is the chosen one."""
    style = "outline: 3px solid var(--chosen) !important; outline-offset: 2px; " if chosen else ""
    if thumbnail is not None:
        url = f"data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}"
        style += f"background-image: linear-gradient(#0000 45%, #000b), url({url}) !important;"
    st.html(f"<style>.st-key-{key} button {{ {style} }}</style>")


def _sample() -> int:
    """The seed of the sample that the link names, or that the visitor picked last; else the first."""
    linked = st.query_params.get("photo", "")
    return int(linked) if linked in map(str, SAMPLES) else st.session_state.get("sample", next(iter(SAMPLES)))


def _choose_sample() -> int:
    def pick(seed: int) -> None:
        st.session_state.update({"photo": None, "sample": seed, "lost": False})
        st.query_params["photo"] = str(seed)

    if st.query_params.get("photo", "") not in ("", OWN, *map(str, SAMPLES)):
        st.session_state["lost"] = True
        del st.query_params["photo"]
    if st.session_state.get("lost") and not st.session_state.get("photo"):
        st.info("The link names a rendered street that there is not. Here is another.", icon=":material/link_off:")
    st.html('<p class="label">Or a rendered street</p>')
    with st.container(horizontal=True, gap="small", key="samples"):
        for seed, name in SAMPLES.items():
            st.button(name, key=f"sample-{seed}", on_click=pick, args=(seed,), width="stretch")
            chosen = seed == _sample() and not st.session_state.get("photo")
            picture_button(f"sample-{seed}", cached.thumbnails().get(seed), chosen)
    return _sample()


def _let_go(page: str, here: set[str]) -> None:
    """Forgets the photos that were in this page's uploader and no longer are: on coming back to a page it is empty anyway."""
    state = st.session_state
    before = state.get("uploaded", {}).get(page, ()) if state.get("title_before") == state.get("title") else ()
    _forget(set(before) - here)


def _kept(page: str, here: Mapping[str, cached.Photo]) -> dict[str, cached.Photo]:
    """The photos in this page's uploader, and those that were given before: on another page uploaders forget them."""
    state = st.session_state
    kept: dict[str, cached.Photo] = state.setdefault("photos", {})
    state.uploaded = {page: list(here)}
    kept.update(here)
    _forget(list(kept)[: -limits.PHOTOS])
    return kept


def _forget(gone: Iterable[str]) -> None:
    """Forgets photos by upload, and all that was made of them."""
    kept = st.session_state.get("photos", {})
    for key in gone:
        photo = kept.pop(key, None)
        if photo is not None:
            leaving.free([key])
            if photo.digest not in {other.digest for other in kept.values()}:
                cached.forget(photo)


def _look_at_new(photos: Mapping[str, cached.Photo]) -> None:
    """Choose the first of the uploads that came last; none where what was chosen is gone."""
    state = st.session_state
    new = [key for key in photos if key not in state.get("known", ())]
    if state.get("known") and not photos and st.query_params.get("photo") == OWN:
        del st.query_params["photo"]  # the last upload was removed
    state.known = list(photos)
    if new or state.get("photo") not in (None, *photos):
        state.photo = next(iter(new or photos), None)


def _choose_upload(photos: dict[str, cached.Photo]) -> cached.Photo | None:
    """The upload to look at, until another or a sample is picked (None)."""

    def pick(key: str) -> None:
        state.photo = key

    state = st.session_state
    if not photos:
        return None
    with st.container(horizontal=True, gap="small", key="strip"):
        for number, (key, photo) in enumerate(photos.items()):
            st.button(plain(short(photo.name, 24)), key=f"strip-{number}", on_click=pick, args=(key,))
            picture_button(f"strip-{number}", photo.thumbnail, key == state.photo)
    elsewhere = photos.keys() - {key for keys in state.uploaded.values() for key in keys}
    if elsewhere:
        st.button(
            "Forget the photos given before",
            key="forget",
            type="tertiary",
            icon=":material/delete:",
            on_click=_forget,
            args=(elsewhere,),
        )
    return photos.get(state.photo)
