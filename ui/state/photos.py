"""Photos of pages: uploads, which stay in the visitor's session, and rendered samples, which all visitors
share."""

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st
from PIL import Image

from seg.data import label_import, scenes
from seg.data.classes import ClassSet
from seg.data.image_io import PhotoError, reduced_from, reduction_note
from seg.data.isolated_reading import IsolatedReader
from seg.inference import mask_io
from ui.shared import rate_limit
from ui.shared.pictures import DISPLAY_SIDE, display_picture, encode_jpeg, encode_png, fit_size, thumbnail
from ui.state.lru_cache import session_cache
from ui.state.session import session, session_id

DecodedPhotos = dict[str, tuple[Image.Image, float]]
"""Decoded pictures and the seconds that decoding took, by the photo's digest."""

reader = IsolatedReader(visitor=session_id)
"""Reads what visitors upload."""

KEPT_PIXELS = 16_000_000
"""The largest picture that is kept from its reading to its segmentation. Each visitor who uploads may keep
one, while the other files are read."""

_run = threading.local()
"""Belongs to the thread that runs the page: a picture that a stopped run has decoded ends with it."""


@dataclass(frozen=True)
class Photo:
    """A readable photo with its display versions and, if known, its ground truth."""

    name: str
    data: bytes
    digest: str  # of `data`
    width: int
    height: int
    jpeg: bytes  # at `shown_size`
    thumbnail: bytes  # a JPEG
    truth: bytes | None = None  # an indexed PNG of train ids, of the photo's size
    rendered: bool = False  # a sample, the same for all visitors
    reduced_from: tuple[int, int] | None = None  # width and height in the file, if reading reduced them
    reduction_note: str = ""  # a sentence, if reading reduced the photo

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height at which pages display the photo."""
        return fit_size(self.width, self.height, DISPLAY_SIDE)


@dataclass(frozen=True)
class UploadedTruth:
    """A label picture that was uploaded as the ground truth of a photo, and how it was read."""

    name: str
    data: bytes  # the file
    png: bytes  # an indexed PNG of train ids, of the photo's size
    coding: label_import.LabelCoding
    other_coding: label_import.LabelCoding | None  # that fits as well
    classes: list[str]  # that occur, the largest first
    ignored_fraction: float
    class_set: ClassSet  # of the train ids


def content_digest(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    return hashlib.sha256(data).hexdigest()


def load_photo(name: str, data: bytes) -> Photo:
    """Read an uploaded file; a Cityscapes pair file is split into photo and ground truth.

    Args:
        name: File name.
        data: File content.

    Raises:
        PhotoError: The file is not a readable photo.
    """
    digest, cache = content_digest(data), session_cache("photo_facts", rate_limit.MAX_PHOTOS)
    facts = cache.get((digest,))
    if facts is None:
        with st.spinner("Reading the photo …"):
            facts = _read_upload(digest, data)
        cache.put((digest,), facts)
    if isinstance(facts, str):
        raise PhotoError(facts)
    return Photo(name, **facts)


def available_bytes(photos: Iterable[Photo]) -> int:
    """Return how many bytes the visitor may still upload.

    Args:
        photos: Photos that count towards the limit; ground truths always do.
    """
    truths = session().get("truths", {}).values()
    stored = sum(len(photo.data) for photo in photos)
    stored += sum(len(truth.data) + len(truth.png) for truth in truths)
    return rate_limit.MAX_UPLOAD_MB * 1_000_000 - stored


def forget_unlisted() -> None:
    """Forget what was read of files that did not become photos of the session: a visitor can stop a page
    between the two, and they would not count towards the limit."""
    known = {photo.digest for photo in session().get("photos", {}).values()} | {session().get("opened")}
    session_cache("photo_facts", rate_limit.MAX_PHOTOS).keep(
        lambda facts: isinstance(facts, str) or facts["digest"] in known
    )


def forget_opened() -> None:
    """Forget the photo of a batch that was opened last, unless it is also an upload of its own."""
    session().pop("opened", None)
    forget_unlisted()


def open_photo(name: str, data: bytes) -> Photo:
    """Read a photo of a batch as `load_photo`; only the last one is kept.

    Args:
        name: File name.
        data: File content.

    Raises:
        PhotoError: The file is not a readable photo.
    """
    forget_opened()
    photo = load_photo(name, data)
    take_decoded()
    session()["opened"] = photo.digest
    return photo


def take_decoded() -> DecodedPhotos:
    """Return the decoded picture of the first upload that this run of the page has read, only once."""
    decoded: DecodedPhotos = _run.__dict__.pop("decoded", {})
    return decoded


@st.cache_data(max_entries=16, show_spinner=False)
def load_sample(seed: int, name: str) -> Photo:
    """Render a sample street with its ground truth.

    Args:
        seed: Seed of the scene.
        name: Name to show.
    """
    scene = scenes.render_scene(seed)
    picture = Image.fromarray(scene.photo)
    return Photo(
        name, **_photo_facts(picture, encode_png(picture)), truth=mask_io.png(scene.label), rendered=True
    )


@st.cache_resource(show_spinner=False)
def thumbnails() -> dict[int, bytes]:
    """Return the thumbnails (JPEG) of the samples rendered since the server started, by seed."""
    return {}


def _read_upload(digest: str, data: bytes) -> dict | str:
    """Return all fields of a `Photo` but its name, or the error message; both are cached."""
    start = time.perf_counter()
    try:
        with reader.photo(data) as picture:
            return _picture_facts(picture, digest, data, time.perf_counter() - start)
    except PhotoError as error:
        return str(error)


def _picture_facts(picture: Image.Image, digest: str, data: bytes, seconds: float) -> dict:
    """Return all fields of a `Photo` but its name; one picture of this run is kept, see `take_decoded`."""
    if picture.width * picture.height <= KEPT_PIXELS:
        # the first of several photos is segmented at once: it need not be decoded again
        _run.__dict__.setdefault("decoded", {digest: (picture, seconds)})
    pair = label_import.split_pair(picture)
    if pair is None:
        return _photo_facts(picture, data)
    street, label = pair
    return _photo_facts(street, encode_png(street)) | {"truth": mask_io.png(label)}


def _photo_facts(picture: Image.Image, data: bytes) -> dict:
    """Return all fields of a `Photo` but its name and ground truth."""
    shown = display_picture(picture)
    return {
        "data": data,
        "digest": content_digest(data),
        "width": picture.width,
        "height": picture.height,
        "jpeg": encode_jpeg(shown, subsampling=0),
        "thumbnail": encode_jpeg(thumbnail(shown), subsampling=0),
        "reduced_from": reduced_from(picture),
        "reduction_note": reduction_note(picture),
    }
