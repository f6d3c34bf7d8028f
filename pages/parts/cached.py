"""What Streamlit keeps between reruns: networks, rendered samples, visitors' photos and what the networks said of them.

Every key is made of digests: Streamlit hashes large arrays from a sample of them, so big arguments begin with an underscore and
are no part of it. What is a visitor's own is kept in the visitor's session only.
"""

import hashlib
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import streamlit as st
from PIL import Image

from seg import labels, masks, metrics, scenes, weights
from seg.photo import PhotoError, read_photo
from seg.predict import Predictor

SHOWN_SIDE = 1600
"""Pictures that are only looked at have no longer side than this; the masks to keep are always of the photo's own size."""

_TURN = threading.Lock()  # one prediction at a time: two at once take as long, and twice the memory


@dataclass(frozen=True)
class Photo:
    """A readable photo: its file, and how it is shown."""

    name: str
    data: bytes
    digest: str  # of `data`
    width: int
    height: int
    jpeg: bytes  # at the size at which it is shown


@dataclass(frozen=True)
class Sample:
    """A rendered scene with its truth."""

    photo: Photo
    truth: bytes  # an indexed PNG
    thumbnail: bytes  # a JPEG


@dataclass(frozen=True)
class Answer:
    """What the pages show of one prediction; `pngs` are the very files that ``python -m seg predict`` writes."""

    pngs: dict[str, bytes]  # of the photo's size
    shown: dict[str, bytes]  # the same masks at the size at which the photo is shown, nearest pixel taken
    shares: dict[str, dict[str, float]]
    differ: dict[tuple[str, ...], float]  # the share of the pixels on which these variants do not agree
    seconds: dict[str, float]
    working_size: tuple[int, int]
    device: str


def key(data: bytes) -> str:
    """What a file is known by."""
    return hashlib.sha256(data).hexdigest()


def digest(card: weights.Card) -> str:
    """What tells published weights from all others: the digest of the card, which holds the file's own."""
    return key(weights.to_json(card))


def photo(name: str, data: bytes) -> Photo:
    """An uploaded file as a photo. Raises `PhotoError`."""
    file_digest = key(data)
    found = _shown(file_digest, data)
    if isinstance(found, str):
        raise PhotoError(found)
    width, height, jpeg = found
    return Photo(name, data, file_digest, width, height, jpeg)


@st.cache_resource(max_entries=2, show_spinner="Loading the network …")
def _predictor(name: str, card_digest: str) -> Predictor:
    return Predictor.of(name, folder=weights.FOLDER)


@st.cache_data(max_entries=40, scope="session", show_spinner="Reading the photo …")
def _shown(file_digest: str, _data: bytes) -> tuple[int, int, bytes] | str:
    """Width, height and JPEG to show, or the sentence that says why there is none: that is kept too."""
    try:
        picture = read_photo(_data)
    except PhotoError as error:
        return str(error)
    return picture.width, picture.height, _jpeg(picture, SHOWN_SIDE)


@st.cache_data(max_entries=16, show_spinner=False)
def sample(seed: int, name: str) -> Sample:
    """A rendered street, the same for all visitors."""
    scene = scenes.render(seed)
    picture = Image.fromarray(scene.photo)
    out = io.BytesIO()
    picture.save(out, "PNG")
    data = out.getvalue()
    seen = Photo(name, data, key(data), picture.width, picture.height, _jpeg(picture, SHOWN_SIDE))
    return Sample(seen, masks.png(scene.label), _jpeg(picture, 320))


@st.cache_data(max_entries=32, show_spinner=False)
def answer_to_sample(file_digest: str, card_digest: str, working_height: int, best: bool, _photo: Photo, _name: str) -> Answer:
    """`answer` to a sample, kept for all visitors."""
    return _answer(_photo, _name, card_digest, working_height, best)


@st.cache_data(max_entries=12, scope="session", show_spinner=False)
def answer_to_upload(file_digest: str, card_digest: str, working_height: int, best: bool, _photo: Photo, _name: str) -> Answer:
    """`answer` to a visitor's photo, kept for the visitor only."""
    return _answer(_photo, _name, card_digest, working_height, best)


@st.cache_data(max_entries=32, show_spinner=False)
def mean_iou(photo_digest: str, mask_digest: str, _truth: bytes, _mask: bytes) -> float:
    """The mean IoU of a mask against the truth, both PNGs."""
    confusion = metrics.confusion(masks.read_png(_truth), masks.read_png(_mask), len(labels.CLASSES), labels.IGNORE)
    return metrics.scores(confusion).mean_iou


def answer(seen: Photo, card: weights.Card, working_height: int, *, best: bool, everyone: bool) -> Answer:
    """All of the card's variants on one photo, from one pass through the encoder, or from several where `best` is asked for.

    Raises `weights.WeightsError`, `predict.DeviceError`, MemoryError, and PyTorch's RuntimeError where memory runs out.
    """
    kept = answer_to_sample if everyone else answer_to_upload
    return kept(seen.digest, digest(card), working_height, best, seen, card.name)


def _answer(seen: Photo, name: str, card_digest: str, working_height: int, best: bool) -> Answer:
    predictor = _predictor(name, card_digest)
    with _TURN:
        prediction = predictor.predict(seen.data, working_height=working_height, best=best)
    size = _fit(seen.width, seen.height, SHOWN_SIDE)
    small = {v: np.array(Image.fromarray(m).resize(size, Image.Resampling.NEAREST)) for v, m in prediction.masks.items()}
    return Answer(
        pngs={v: masks.png(m) for v, m in prediction.masks.items()},
        shown={v: masks.png(m) for v, m in small.items()},
        shares={v: masks.shares(m) for v, m in prediction.masks.items()},
        differ=_differ(prediction.masks),
        seconds=prediction.seconds,
        working_size=prediction.working_size,
        device=prediction.device,
    )


def _differ(found: Mapping[str, np.ndarray]) -> dict[tuple[str, ...], float]:
    several = [group for n in range(2, len(found) + 1) for group in combinations(found, n)]
    return {group: masks.disagreement_share({v: found[v] for v in group}) for group in several}


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(picture: Image.Image, side: int) -> bytes:
    out = io.BytesIO()
    small = picture.resize(_fit(*picture.size, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    small.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue()
