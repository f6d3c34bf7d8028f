"""What Streamlit keeps between reruns: networks, rendered samples, visitors' photos and what the networks said of them.

Every key is made of digests: Streamlit hashes large arrays from a sample of them, so big arguments begin with an underscore and
are no part of it. What is a visitor's own is kept in the visitor's session only.
"""

import hashlib
import io
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts import limits
from pages.parts.viewer import deflate
from seg import ceiling, inside, labels, masks, metrics, scenes, truth, weights
from seg.line import FullError, Line, Once
from seg.photo import PhotoError, read_photo
from seg.predict import DeviceError, Predictor
from seg.preprocess import nearest

SHOWN_SIDE = 2048
"""Photos and masks are shown with no longer side than this; the masks to keep are of the photo's own size."""

THUMBNAIL_SIDE = 320

UNABLE = (weights.WeightsError, DeviceError, FullError, limits.LimitError)
"""Why a network may not be had, each with a sentence."""

_LINE = Line(limits.WAITING)  # one prediction at a time: two at once take as long, and twice the memory
_ONCE = Once()
_READING = threading.BoundedSemaphore(os.cpu_count() or 1)  # more at once take as long, and the memory of all their pixels


@dataclass(frozen=True)
class Photo:
    """A readable photo: its file, how it is shown, and its truth where that is known."""

    name: str
    data: bytes
    digest: str  # of `data`
    width: int
    height: int
    jpeg: bytes  # at the size at which it is shown
    thumbnail: bytes  # a JPEG
    truth: bytes | None = None  # an indexed PNG of train ids, of the photo's size
    rendered: bool = False  # a sample, the same for all visitors

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height at which it is shown."""
        return _fit(self.width, self.height, SHOWN_SIDE)


@dataclass(frozen=True)
class Answer:
    """What the pages show of one prediction, counted at the size at which the photo is shown; `whole` gives the masks to keep."""

    shown: dict[str, bytes]  # the pixels of the masks that are shown, deflated
    sure: dict[str, bytes]  # `preprocess.certainty`, deflated
    second: dict[str, bytes]
    shares: dict[str, dict[str, float]]
    differ: dict[tuple[str, ...], float]  # the share of the pixels on which these variants do not agree
    seconds: dict[str, float]
    working_size: tuple[int, int]  # height, width
    device: str
    note: str  # of `Prediction`


@dataclass(frozen=True)
class Whole:
    """A mask of the photo's own size, to be kept, and its confidence: PNG files."""

    mask: bytes
    confidence: bytes


@dataclass(frozen=True)
class Judgement:
    """A mask against the truth, at the size at which both are shown."""

    scores: metrics.Scores
    boundary_iou: float


def key(data: bytes) -> str:
    """What a file is known by."""
    return hashlib.sha256(data).hexdigest()


def digest(card: weights.Card) -> str:
    """What tells published weights from all others: the digest of the card, which holds the file's own."""
    return key(weights.to_json(card))


def inflate(deflated: bytes, size: tuple[int, int]) -> np.ndarray:
    """What `viewer.deflate` made of a uint8 array of `size` (width, height)."""
    return np.frombuffer(zlib.decompress(deflated), np.uint8).reshape(size[::-1])


def photo(name: str, data: bytes) -> Photo:
    """An uploaded file as a photo; a pair file of the data set as its photo with its truth. Raises `PhotoError`."""
    file_digest, read = key(data), _own("read", limits.PHOTOS)
    found = read.get((file_digest,))
    if found is None:
        with st.spinner("Reading the photo …"), _READING:
            found = _read(file_digest, data)
        read.put((file_digest,), found)
    if isinstance(found, str):
        raise PhotoError(found)
    return Photo(name, **found)


def forget(gone: Photo) -> None:
    """Nothing of a visitor's photo stays: not its file, nor what was made of it."""
    for what in ("read", "answers", "insides"):
        st.session_state.get(what, _Kept(0)).drop(gone.digest)
    for what in ("wholes", "wholes_of", "decoded"):
        st.session_state.pop(what, None)
    st.session_state.get("truths", {}).pop(gone.digest, None)
    for made in (_fields, judge, ceiling_of):
        made.clear()


def _read(file_digest: str, data: bytes) -> dict | str:
    """All of a `Photo` but its name, or the sentence that says why there is none: that is kept too."""
    began = time.perf_counter()
    try:
        picture = read_photo(data)
    except PhotoError as error:
        return str(error)
    # of several photos the first is looked at, at once: it need not be decoded again
    st.session_state.setdefault("decoded", {file_digest: (picture, time.perf_counter() - began)})
    pair = truth.split_pair(picture)
    if pair is None:
        return _seen(picture, data)
    street, label = pair
    return _seen(street, png_of(street)) | {"truth": masks.png(label)}


@st.cache_data(max_entries=16, show_spinner=False)
def sample(seed: int, name: str) -> Photo:
    """A rendered street, the same for all visitors."""
    scene = scenes.render(seed)
    picture = Image.fromarray(scene.photo)
    return Photo(name, **_seen(picture, png_of(picture)), truth=masks.png(scene.label), rendered=True)


@st.cache_resource(show_spinner=False)
def thumbnails() -> dict[int, bytes]:
    """{seed: JPEG} of the samples that were rendered since the server began."""
    return {}


@st.cache_resource(max_entries=2, show_spinner="Loading the network …")
def _predictor(name: str, card_digest: str) -> Predictor:
    return Predictor.of(name, folder=weights.FOLDER)


Told = Callable[[int], None]
"""Hears how many photos come before one's own; it may end the script."""


def place() -> Told:
    """A line on the page, here, that tells who waits how many come first."""
    line = st.empty()
    return lambda before: line.caption({0: "", 1: "Another photo comes first."}.get(before, f"{before} other photos come first."))


@contextmanager
def network(card: weights.Card, told: Told = lambda before: None, *, counted: bool = False) -> Iterator[Predictor]:
    """The network of published weights, for whoever's turn it is: one at a time; `told` hears how many come before.

    Where it is `counted` it is one of the visitor's looks. Raises `UNABLE`.
    """
    if counted:
        limits.looks().count()
    found = _predictor(card.name, digest(card))
    with _LINE.turn(told):
        yield found


def answer(seen: Photo, card: weights.Card, working_height: int, *, best: bool, told: Told = lambda before: None) -> Answer:
    """All of the card's variants on one photo, from one pass through the encoder, or from several where `best` is asked for.

    Raises `UNABLE`, and MemoryError with a sentence.
    """
    decoded = st.session_state.pop("decoded", {})
    kept = _answers_of_samples() if seen.rendered else _own("answers", 12)
    asked = _asked(seen, card, working_height, best)
    return _once(kept, ("answer", *asked), lambda: _answer(seen, card, working_height, best, told, decoded), told)


def _asked(seen: Photo, card: weights.Card, working_height: int, best: bool) -> tuple:
    return seen.digest, digest(card), working_height, best


class _Kept:
    """The last answers to what was asked."""

    def __init__(self, most: int) -> None:
        self._most, self._answers, self._lock = most, {}, threading.Lock()

    def get(self, asked: tuple) -> Any:
        with self._lock:
            found = self._answers.pop(asked, None)
            if found is not None:
                self._answers[asked] = found  # now the last to go
            return found

    def put(self, asked: tuple, found: Any) -> None:
        with self._lock:
            self._answers[asked] = found
            while len(self._answers) > self._most:
                del self._answers[next(iter(self._answers))]

    def drop(self, digest: str) -> None:
        """Forgets what was asked of the photo with this digest, and the photo."""
        with self._lock:
            for asked, found in list(self._answers.items()):
                if digest in asked or (isinstance(found, dict) and found.get("digest") == digest):
                    del self._answers[asked]


@st.cache_resource(show_spinner=False)
def _answers_of_samples() -> _Kept:
    return _Kept(32)


@st.cache_resource(show_spinner=False)
def _inside_of_samples() -> _Kept:
    return _Kept(8)


def _own(what: str, most: int) -> _Kept:
    """Those to a visitor's own photos: they lie in the visitor's session, and go with it."""
    return st.session_state.setdefault(what, _Kept(most))


def _once(kept: _Kept, asked: tuple, work: Callable[[], Any], told: Told) -> Any:
    """What is kept; else what `work` gives, for all that ask for the same meanwhile."""
    found = kept.get(asked)
    if found is None:
        found = _ONCE.do(asked, work, lambda: told(0))
        kept.put(asked, found)
    return found


def _answer(seen: Photo, card: weights.Card, working_height: int, best: bool, told: Told, decoded: dict) -> Answer:
    def waiting(before: int) -> None:
        if before:
            decoded.clear()  # the pixels of all who wait would fill the memory
        told(before)

    with network(card, waiting, counted=True) as predictor:
        picture, seconds = decoded.get(seen.digest, (seen.data, 0.0))
        prediction = predictor.predict(
            picture, working_height=working_height, with_certainty=True, best=best, seen_at=seen.shown_size[::-1]
        )
    prediction.seconds["decode"] += seconds
    with ThreadPoolExecutor() as pool:  # deflating leaves Python to the others

        def each(make: Callable, of: Iterable) -> dict[str, Any]:
            return dict(zip(prediction.masks, pool.map(make, of), strict=True))

        of, certainties = prediction.masks.values(), prediction.certainties.values()
        shown = each(deflate, of)
        sure = each(lambda pair: deflate(pair[0]), certainties)
        second = each(lambda pair: deflate(pair[1]), certainties)
        shares = each(masks.shares, of)
    return Answer(
        shown=shown,
        sure=sure,
        second=second,
        shares=shares,
        differ=_differ(prediction.masks),
        seconds=prediction.seconds,
        working_size=prediction.working_size,
        device=prediction.device,
        note=prediction.note,
    )


def inside_of(seen: Photo, card: weights.Card, working_height: int, told: Told) -> inside.Seen:
    """What the card's encoder makes of a photo. Raises as `answer` does, and `inside.InsideError`."""
    st.session_state.pop("decoded", None)

    def look() -> inside.Seen:
        with network(card, told, counted=True) as predictor:
            picture = read_photo(seen.data)
            return predictor.within_memory(lambda able: inside.look(able, picture, working_height))

    kept = _inside_of_samples() if seen.rendered else _own("insides", 4)
    return _once(kept, ("inside", seen.digest, digest(card), working_height), look, told)


def fields(
    seen: Photo, card: weights.Card, working_height: int, at: tuple[int, int], wanted: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """`inside.effective_field` of some variants' logits at a pixel of the working image. Raises as `inside_of` does."""
    asked = tuple(wanted.items())
    return _fields(seen.digest, digest(card), working_height, at, asked, seen, card)


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def _fields(
    file_digest: str,
    card_digest: str,
    working_height: int,
    at: tuple[int, int],
    wanted: tuple[tuple[str, int], ...],
    _photo: Photo,
    _card: weights.Card,
) -> dict[str, np.ndarray]:
    with network(_card, counted=True) as predictor:
        picture = read_photo(_photo.data)
        return predictor.within_memory(lambda able: inside.effective_field(able, picture, at, dict(wanted), working_height))


def working_jpeg(seen: Photo, size: tuple[int, int]) -> bytes:
    """A photo at its working resolution (width, height), to be looked at."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(seen.jpeg)) as shown:
        shown.resize(size, Image.Resampling.BILINEAR).save(out, "JPEG", quality=90)
    return out.getvalue()


def whole(seen: Photo, card: weights.Card, working_height: int, *, best: bool, told: Told) -> dict[str, Whole]:
    """The masks that ``python -m seg predict`` writes, by variant: predicted anew. Raises as `answer` does."""

    def look() -> dict[str, Whole]:
        with network(card, told, counted=True) as predictor:
            found = predictor.predict(seen.data, working_height=working_height, with_confidence=True, best=best)
        with ThreadPoolExecutor() as pool:  # deflating leaves Python to the others
            confidences = pool.map(masks.confidence_png, found.confidences.values())
            return {v: Whole(masks.png(found.masks[v]), sure) for v, sure in zip(found.masks, confidences, strict=True)}

    return _once(_wholes(seen), ("whole", *_asked(seen, card, working_height, best)), look, told)


def known_whole(seen: Photo, card: weights.Card, working_height: int, *, best: bool) -> dict[str, Whole] | None:
    """What `whole` gave, if it was asked for since the visitor looks at this photo."""
    return _wholes(seen).get(("whole", *_asked(seen, card, working_height, best)))


def _wholes(seen: Photo) -> _Kept:
    """Those of this photo, for each of the weights that may be compared; another photo's are dropped: they are big."""
    if st.session_state.get("wholes_of") != seen.digest:
        st.session_state.update({"wholes_of": seen.digest, "wholes": _Kept(4)})
    return st.session_state["wholes"]


def shown_truth(seen: Photo, png: bytes) -> np.ndarray:
    """A truth of the photo's size, as it is shown."""
    return resized(masks.read_png(png), seen.shown_size)


@st.cache_data(max_entries=64, scope="session", show_spinner=False)
def judge(truth_digest: str, mask_digest: str, _truth: np.ndarray, _mask: np.ndarray) -> Judgement:
    """A mask against the truth, both as shown."""
    classes = len(labels.CLASSES)
    scores = metrics.scores(metrics.confusion(_truth, _mask, classes, labels.IGNORE))
    return Judgement(scores, metrics.boundary_iou(metrics.boundary(_truth, _mask, classes, labels.IGNORE))[1])


@st.cache_data(max_entries=96, scope="session", show_spinner="Seeing the truth through the networks’ grids …")
def ceiling_of(truth_digest: str, working_size: tuple[int, int], stride: int, _truth: np.ndarray) -> float:
    """The mean IoU of the truth itself, seen through the grid of a stride at this working resolution."""
    seen = ceiling.through_grid(_truth, tuple(-(-side // stride) for side in working_size))
    return metrics.scores(metrics.confusion(_truth, seen, len(labels.CLASSES), labels.IGNORE)).mean_iou


def _differ(found: Mapping[str, np.ndarray]) -> dict[tuple[str, ...], float]:
    several = [group for n in range(2, len(found) + 1) for group in combinations(found, n)]
    return {group: masks.disagreement_share({v: found[v] for v in group}) for group in several}


def _seen(picture: Image.Image, data: bytes) -> dict:
    """All of a `Photo` but its name, from the picture and its file."""
    # as sharp as Lanczos to the eye, in half the time
    shown = picture.resize(_fit(*picture.size, SHOWN_SIDE), Image.Resampling.HAMMING, reducing_gap=3.0)
    return {
        "data": data,
        "digest": key(data),
        "width": picture.width,
        "height": picture.height,
        "jpeg": _jpeg(shown),
        "thumbnail": _jpeg(shown.resize(_fit(*shown.size, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)),
    }


def resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another size (width, height), nearest pixel taken."""
    if mask.shape == size[::-1]:
        return mask
    rows, columns = (nearest(to, of).numpy() for to, of in zip(size[::-1], mask.shape, strict=True))
    return mask[rows].take(columns, 1)


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue()


def png_of(picture: Image.Image) -> bytes:
    """A picture as a PNG file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
