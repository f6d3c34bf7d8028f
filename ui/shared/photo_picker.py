"""The choice of a photo, an upload or a rendered street. It stays chosen from page to page."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from seg.data.file_types import READABLE_FORMATS
from seg.data.image_io import SIZE_LIMIT, PhotoError
from ui.shared import rate_limit
from ui.shared.embedding import warn_of_refused_uploads
from ui.shared.picture_buttons import picture_button
from ui.shared.text import plain, plural, short, unquoted
from ui.state import session_cleanup
from ui.state.address import write_address
from ui.state.photos import Photo, available_bytes, forget_unlisted, load_photo, load_sample, thumbnails
from ui.state.predictions import forget_photo
from ui.state.session import session

SAMPLES = {
    6: "Truck and bus",
    11: "Zebra crossing",
    34: "By the park",
    3: "In the fog",
    7: "Wet road",
    10: "At dusk",
}
"""Names of the sample streets by seed."""

MAX_LISTED = 8
"""Files that a message names one by one."""

UPLOAD = "own"
"""The value of `photo` in links for the first uploaded photo, which a link cannot contain; "own-2" for the
second."""


def choose_photo(page: str, with_camera: bool = False) -> Photo:
    """Draw the uploader and the samples; call `render_thumbnails` at the end of the page.

    Args:
        page: Name of the page. Uploads of one page are available on the others.
        with_camera: Whether a photo can be taken with the camera of the visitor's device.

    Returns:
        The chosen photo. Unreadable files are reported on the page.
    """
    warn_of_refused_uploads()
    left, right = st.columns([2, 3], gap="medium")
    with left:
        uploads = st.file_uploader(
            "Your street photos",
            accept_multiple_files=True,
            # after its session was lost, the browser's uploader still lists files that the server has not
            key=f"uploads-{page}" + "-again" * session().get("uploads_lost", False),
            help=f"{READABLE_FORMATS} {SIZE_LIMIT}; {rate_limit.MAX_PHOTOS} photos at a time. A file of the "
            "Cityscapes Image Pairs is split into photo and ground truth. Photos stay on the computer that "
            "runs this app.",
        )
    with right:
        samples = st.container()
        if with_camera and (taken := _take_photo(page)):
            uploads = [*uploads, taken]
    _forget_removed(page, {upload.file_id for upload in uploads})
    photos = _keep_uploads(page, read_uploads(uploads))
    _choose_newest(photos)
    _follow_address(photos)
    with samples:
        _draw_samples()
    photo = _draw_uploads(photos)
    state = session()
    if photo is not None:
        write_address("photo", _upload_address(state["photo"] or ""), "")
        if photo.reduction_note:
            st.info(photo.reduction_note, icon=":material/photo_size_select_small:")
        return photo
    seed = state.get("sample", next(iter(SAMPLES)))
    with st.spinner("Rendering the sample …"):
        photo = load_sample(seed, SAMPLES[seed])
    if _names_upload(st.query_params.get("photo", "")):
        st.info(_missing_upload_message(), icon=":material/link:")
    else:
        write_address("photo", str(seed), "")
    return photo


def _take_photo(page: str) -> Any | None:
    """Draw the camera; return the photo taken, which is an upload like any other.

    The browser asks for the camera as soon as it is drawn: only on demand.
    """
    is_on = st.toggle(
        "Or take a photo with the camera",
        key=f"camera-{page}",
        help="Your browser asks for permission. It allows a camera only if the address of this page begins "
        "with https or localhost.",
    )
    if not is_on:
        return None
    key = f"camera-photo-{page}" + "-again" * session().get("uploads_lost", False)
    return st.camera_input("Photo of a street", key=key, width=420)


def _missing_upload_message() -> str:
    """Return why the uploaded photo of the address is not shown."""
    if session().get("in_other_tab"):
        return (
            "This tab is a copy of another one, which has the photos that you uploaded. A rendered street is "
            "shown here. Return to the other tab, or upload the photos here too."
        )
    if session().get("uploads_lost"):
        return (
            "The photos that you uploaded in this tab are no longer on the server: it was restarted, or the "
            "connection was interrupted for more than two minutes. A rendered street is shown instead. "
            "Upload the photos again to see their masks."
        )
    return (
        "This link was created for an uploaded photo, which it does not contain. A rendered street is shown "
        "instead. Upload the photo to see its masks."
    )


def read_uploads(uploads: Sequence[Any]) -> dict[str, Photo]:
    """Read uploaded files and report those that are not photos on the page.

    Args:
        uploads: Files of Streamlit's uploader.

    Returns:
        Photos by upload id.
    """
    forget_unlisted()
    ids = {upload.file_id for upload in uploads}
    earlier = [photo for key, photo in session().get("photos", {}).items() if key not in ids]
    allowed = max(0, rate_limit.MAX_PHOTOS - len(earlier))
    photos, available = {}, available_bytes(earlier)
    for upload in uploads[:allowed]:
        available -= upload.size
        try:
            if available < 0:
                limit = rate_limit.MAX_UPLOAD_MB
                raise PhotoError(f"Skipped: your files may have {limit} MB in total. Remove some of them.")
            photos[upload.file_id] = load_photo(unquoted(upload.name), upload.getvalue())
        except PhotoError as error:
            st.error(
                f"**{plain(unquoted(upload.name))}**: {plain(str(error))}", icon=":material/broken_image:"
            )
    if uploads[allowed:]:
        _show_left_out([unquoted(upload.name) for upload in uploads[allowed:]], len(earlier))
    return photos


def _show_left_out(names: Sequence[str], earlier: int) -> None:
    """Name the files beyond the limit of photos."""
    listed = ", ".join(plain(short(name)) for name in names[:MAX_LISTED])
    more = f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else ""
    counted = f", and {earlier} were uploaded earlier" if earlier else ""
    remedy = "Delete earlier uploads or remove some files" if earlier else "Remove some files"
    st.warning(
        f"**{plural(len(names), 'photo')} left out**: "
        f"{rate_limit.MAX_PHOTOS} are the most at a time{counted}. "
        f"{remedy}, or segment them all on the Batch page. Left out: {listed}{more}.",
        icon=":material/photo_library:",
    )


def render_thumbnails() -> None:
    """Render missing thumbnails of samples, once for all visitors. It takes seconds: call it last on a
    page."""
    for seed, name in SAMPLES.items():
        if seed not in thumbnails():
            thumbnails()[seed] = load_sample(seed, name).thumbnail
            picture_button(f"sample-{seed}", thumbnails()[seed], False)  # the chosen one has its ring already


def _follow_address(photos: Mapping[str, Photo]) -> None:
    """Choose the photo that the address names, unless this session wrote the address last: the visitor
    followed a link, or went back or forward."""
    state, address = session(), st.query_params.get("photo", "")
    addresses = state.setdefault("addresses", {})
    if address in ("", addresses.get("photo")):
        return
    addresses["photo"] = address
    if address in map(str, SAMPLES):
        state.update({"photo": None, "sample": int(address), "missing_sample": False})
    elif _names_upload(address):
        linked = [upload_id for upload_id in photos if _upload_address(upload_id) == address]
        state["photo"] = linked[0] if linked else None
    else:
        state.update({"photo": None, "missing_sample": True})


def _names_upload(address: str) -> bool:
    return re.fullmatch(rf"{UPLOAD}(-\d+)?", address) is not None


def _upload_address(upload_id: str) -> str:
    """Return the value of `photo` in the address for an upload: they are numbered in their order."""
    numbers = session().setdefault("upload_numbers", {})
    number = numbers.setdefault(upload_id, len(numbers) + 1)
    return UPLOAD if number == 1 else f"{UPLOAD}-{number}"


def _draw_samples() -> None:
    state = session()

    def choose(seed: int) -> None:
        state.update({"photo": None, "sample": seed, "missing_sample": False})
        write_address("photo", str(seed), "")

    if state.get("missing_sample") and not state.get("photo"):
        st.info("The link names an unknown sample. Another one is shown.", icon=":material/link_off:")
    st.html('<p class="label">Or a rendered street</p>')
    with st.container(horizontal=True, gap="small", key="samples"):
        for seed, name in SAMPLES.items():
            st.button(name, key=f"sample-{seed}", on_click=choose, args=(seed,), width="stretch")
            chosen = seed == state.get("sample", next(iter(SAMPLES))) and not state.get("photo")
            picture_button(f"sample-{seed}", thumbnails().get(seed), chosen)


def _forget_removed(page: str, present: set[str]) -> None:
    """Forget photos that were removed from this page's uploader. After a page change the uploader is always
    empty."""
    state = session()
    same_page = state.get("title_before") == state.get("title")
    before = state.get("uploads_by_page", {}).get(page, ()) if same_page else ()
    _forget(set(before) - present)


def _keep_uploads(page: str, uploads: Mapping[str, Photo]) -> dict[str, Photo]:
    """Add the photos of this page's uploader to those of the session: uploaders of other pages forget
    them."""
    state = session()
    photos = state.setdefault("photos", {})
    state["uploads_by_page"] = {page: list(uploads)}
    for upload_id, photo in uploads.items():  # those of other pages first, then the order of this uploader
        photos.pop(upload_id, None)
        photos[upload_id] = photo
    return photos


def _forget(upload_ids: Iterable[str]) -> None:
    """Delete photos and their results."""
    photos = session().get("photos", {})
    for upload_id in upload_ids:
        photo = photos.pop(upload_id, None)
        if photo is not None:
            session_cleanup.release_uploads([upload_id])
            if photo.digest not in {remaining.digest for remaining in photos.values()}:
                forget_photo(photo)


def _choose_newest(photos: Mapping[str, Photo]) -> None:
    """Choose the first of the new uploads; choose none if the chosen one is gone."""
    state = session()
    new = [key for key in photos if key not in state.get("upload_ids", ())]
    if state.get("upload_ids") and not photos and _names_upload(st.query_params.get("photo", "")):
        del st.query_params["photo"]  # the last upload was removed
    state["upload_ids"] = list(photos)
    if new or state.get("photo") not in (None, *photos):
        state["photo"] = next(iter(new or photos), None)
        if new:  # a link to another photo was followed before they were uploaded
            state.setdefault("addresses", {})["photo"] = st.query_params.get("photo", "")


def _draw_uploads(photos: dict[str, Photo]) -> Photo | None:
    """Draw the uploads; return the chosen one, or None while a sample is chosen."""

    def choose(upload_id: str) -> None:
        state["photo"] = upload_id
        write_address("photo", _upload_address(upload_id), "")

    state = session()
    if not photos:
        return None
    with st.container(horizontal=True, gap="small", key="strip"):
        for number, (upload_id, photo) in enumerate(photos.items()):
            st.button(plain(short(photo.name, 24)), key=f"strip-{number}", on_click=choose, args=(upload_id,))
            picture_button(f"strip-{number}", photo.thumbnail, upload_id == state["photo"])
    earlier = photos.keys() - {key for keys in state["uploads_by_page"].values() for key in keys}
    if earlier:
        st.button(
            "Delete earlier uploads",
            key="forget",
            type="tertiary",
            icon=":material/delete:",
            on_click=_forget,
            args=(earlier,),
        )
    return photos.get(state["photo"] or "")
