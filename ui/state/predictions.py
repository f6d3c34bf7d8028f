"""Cached predictions, metrics and activations of photos.

Cache keys are digests. Streamlit hashes large arrays from a sample of their values, so large arguments begin
with an underscore and are not hashed. Results for a visitor's own photo stay in the visitor's session.
"""

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

from seg.data import cityscapes
from seg.data.classes import ClassSet
from seg.evaluation import agreement, grid_reference, metrics
from seg.inference import mask_io
from seg.inference.foreign_model import ForeignModel
from seg.inference.prediction import Prediction
from seg.inference.predictor import Predictor
from seg.interpretability import activations, unet_activations
from seg.interpretability.receptive_field import effective_field
from seg.models.model_card import ModelCard
from seg.system.single_flight import SingleFlight
from ui.components.viewer import deflate
from ui.shared import rate_limit
from ui.shared.pictures import resize_mask
from ui.state.lru_cache import SESSION_CACHES, LruCache, session_cache
from ui.state.model_pool import (
    OnQueuePosition,
    borrow_model,
    card_digest,
    ignore_queue_position,
    place_in_queue,
    turn,
)
from ui.state.photos import DecodedPhotos, Photo, take_decoded
from ui.state.session import session

Activations = activations.Activations | unet_activations.UNetActivations

_SINGLE_FLIGHT = SingleFlight()


@dataclass(frozen=True)
class CachedPrediction:
    """The displayed part of a prediction, at the photo's display size; `full_resolution_masks` gives the
    files."""

    masks: dict[str, bytes]  # train ids by variant, deflated
    confidence: dict[str, bytes]  # 255 times, at working resolution, deflated
    runner_up: dict[str, bytes]  # train ids at working resolution, deflated
    entropy: dict[str, bytes]  # 255 times, at working resolution, deflated
    max_logits: dict[str, float]  # mean over the pixels
    shares: dict[str, dict[str, float]]
    disagreement: dict[tuple[str, ...], float]  # the share of the pixels on which these variants differ
    seconds: dict[str, float]
    working_size: tuple[int, int]  # height, width
    device: str
    note: str  # of `Prediction`


@dataclass(frozen=True)
class MaskFiles:
    """A full-resolution mask and its confidence as PNG files."""

    mask: bytes
    confidence: bytes


@dataclass(frozen=True)
class MaskMetrics:
    """Metrics of a mask against the ground truth, at the display size; the mean IoU is over the classes of
    the ground truth."""

    scores: metrics.SegmentationMetrics
    boundary_iou: float


def inflate(deflated: bytes, size: tuple[int, int]) -> np.ndarray:
    """Undo `viewer.deflate`.

    Args:
        deflated: Compressed uint8 array.
        size: Width and height of the array.

    Returns:
        H x W uint8.
    """
    return np.frombuffer(zlib.decompress(deflated), np.uint8).reshape(size[::-1])


def predict(
    photo: Photo,
    card: ModelCard,
    working_height: int,
    *,
    tta: bool,
    variants: tuple[str, ...] = (),
    on_queue_position: OnQueuePosition = ignore_queue_position,
) -> CachedPrediction:
    """Segment a photo, or return the cached prediction.

    Args:
        photo: Photo to segment.
        card: Card of the weights.
        working_height: Height in pixels at which the network sees the photo.
        tta: Whether to average several scales and their mirror images.
        variants: Variants of the network; by default all of the card. They share the passes through the
            encoder.
        on_queue_position: Receives the number of photos ahead in the queue.

    Raises:
        MODEL_ERRORS: No network is available.
        MemoryError: The photo does not fit into memory at this size.
    """
    decoded = take_decoded()
    cache = _sample_predictions() if photo.rendered else session_cache("predictions", 12)
    key = ("prediction", *_prediction_key(photo, card, working_height, tta), variants or tuple(card.variants))

    def compute() -> CachedPrediction:
        prediction = _run(photo, card, working_height, tta, variants, on_queue_position, decoded)
        return _for_display(prediction)

    return _cached(cache, key, compute, on_queue_position)


def forget_photo(photo: Photo) -> None:
    """Delete an uploaded photo and every result for it from the session."""
    state = session()
    for name in SESSION_CACHES:
        state.get(name, LruCache(0)).drop(photo.digest)
    state.pop("mask_files", None)
    state.pop("mask_files_of", None)
    take_decoded()
    state.get("truths", {}).pop(photo.digest, None)
    for cached_function in (_receptive_fields, _foreign_mask, score_mask, grid_reference_of):
        cached_function.clear()


def activations_of(
    photo: Photo, card: ModelCard, working_height: int, on_queue_position: OnQueuePosition
) -> Activations:
    """Compute the activations of a network for a photo, or return the cached ones.

    Raises:
        MODEL_ERRORS: No network is available.
        activations.InspectionError: The photo is too large to inspect, or the network has none to show.
    """
    take_decoded()
    is_unet = card.architecture == "unet-resnet50"

    def inspect(network: Predictor, picture: Image.Image) -> Activations:
        if is_unet:
            return unet_activations.compute_unet_activations(network, picture, working_height)
        return activations.compute_activations(network, picture, working_height)

    def compute() -> Activations:
        with _turn(photo, card, on_queue_position, activations=True) as (predictor, picture, _):
            return predictor.with_cpu_fallback(lambda network: inspect(network, picture))

    cache = _sample_activations() if photo.rendered else session_cache("activations", 4)
    return _cached(
        cache, ("activations", photo.digest, card_digest(card), working_height), compute, on_queue_position
    )


def receptive_fields(
    photo: Photo, card: ModelCard, working_height: int, pixel: tuple[int, int], classes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Compute effective receptive fields of logits at a pixel.

    Args:
        photo: Photo to inspect.
        card: Card of the weights.
        working_height: Height in pixels at which the network sees the photo.
        pixel: Row and column of the working image.
        classes: The class of the logit, by variant.

    Returns:
        H x W gradient magnitudes by variant.

    Raises:
        MODEL_ERRORS: No network is available.
    """
    logits = tuple(classes.items())
    return _receptive_fields(photo.digest, card_digest(card), working_height, pixel, logits, photo, card)


def full_resolution_masks(
    photo: Photo, card: ModelCard, working_height: int, *, tta: bool, on_queue_position: OnQueuePosition
) -> dict[str, MaskFiles]:
    """Predict the masks that ``python -m seg predict`` writes, by variant.

    Raises:
        MODEL_ERRORS: No network is available.
        MemoryError: The photo does not fit into memory at this size.
    """

    def compute() -> dict[str, MaskFiles]:
        with _turn(photo, card, on_queue_position) as (predictor, picture, _):
            prediction = predictor.predict(
                picture, working_height=working_height, with_confidence=True, tta=tta
            )
        with ThreadPoolExecutor() as pool:  # compression releases the GIL
            confidences = pool.map(mask_io.confidence_png, prediction.confidences.values())
            masks = prediction.masks.items()
            return {
                v: MaskFiles(mask_io.png(mask, prediction.classes), png)
                for (v, mask), png in zip(masks, confidences, strict=True)
            }

    key = ("whole", *_prediction_key(photo, card, working_height, tta))
    return _cached(_mask_file_cache(photo), key, compute, on_queue_position)


def cached_full_resolution_masks(
    photo: Photo, card: ModelCard, working_height: int, *, tta: bool
) -> dict[str, MaskFiles] | None:
    """Return the cached result of `full_resolution_masks` for the present photo, or None."""
    return _mask_file_cache(photo).get(("whole", *_prediction_key(photo, card, working_height, tta)))


def foreign_mask(photo: Photo, model: ForeignModel, classes: ClassSet) -> tuple[np.ndarray, float]:
    """Segment a photo with a network of others, or return the cached mask.

    Args:
        photo: Photo to segment.
        model: The network.
        classes: Classes of the mask.

    Returns:
        H x W uint8 train ids at the display size, and the seconds that the network took.

    Raises:
        ForeignModelError: The network cannot be computed, or its output is not as described.
        EngineError: ONNX Runtime is not installed.
        QueueFullError: Too many photos are waiting.
        LimitError: The visitor has asked for too many predictions.
    """
    return _foreign_mask(photo.digest, model.fingerprint, classes.names, photo, model, classes)


@st.cache_data(max_entries=12, scope="session", show_spinner=False)
def _foreign_mask(
    digest: str,
    fingerprint: str,
    names: tuple[str, ...],
    _photo: Photo,
    _model: ForeignModel,
    _classes: ClassSet,
) -> tuple[np.ndarray, float]:
    rate_limit.rate_limiter().count()
    with place_in_queue() as place:
        picture = place.read(_photo.data)
        with turn():
            start = time.perf_counter()
            mask = _model.mask(picture, _photo.shown_size[::-1], _classes)
            return mask, time.perf_counter() - start


def shown_truth(photo: Photo, png: bytes) -> np.ndarray:
    """Return a ground truth at the photo's display size.

    Args:
        photo: Photo to which the ground truth belongs.
        png: Indexed PNG of train ids, of the photo's own size.
    """
    return resize_mask(mask_io.read_png(png), photo.shown_size)


@st.cache_data(max_entries=64, scope="session", show_spinner=False)
def score_mask(
    truth_digest: str, mask_digest: str, classes: int, _truth: np.ndarray, _mask: np.ndarray
) -> MaskMetrics:
    """Compute the metrics of a mask against the ground truth, both H x W at the display size."""
    scores = metrics.compute_metrics(metrics.confusion(_truth, _mask, classes, cityscapes.IGNORE))
    boundaries = metrics.boundary_counts(_truth, _mask, classes, cityscapes.IGNORE)
    return MaskMetrics(scores, metrics.boundary_iou(boundaries)[1])


@st.cache_data(max_entries=96, scope="session", show_spinner="Computing the cell-share references …")
def grid_reference_of(
    truth_digest: str,
    working_size: tuple[int, int],
    stride: int,
    optimized: bool,
    classes: int,
    _truth: np.ndarray,
) -> float:
    """Compute the mean IoU of the ground truth reduced to an output grid.

    Args:
        truth_digest: Digest of the ground truth.
        working_size: Height and width of the working image.
        stride: Stride of the output grid in working pixels.
        optimized: Whether the scores on the grid are optimized, else they are the class shares of its cells.
        classes: Number of classes.
        _truth: H x W train ids.
    """
    reduce = grid_reference.optimized_mask if optimized else grid_reference.cell_share_mask
    reduced = reduce(_truth, working_size, stride)
    confusion = metrics.confusion(_truth, reduced, classes, cityscapes.IGNORE)
    return metrics.compute_metrics(confusion).mean_iou_in_target


@st.cache_resource(show_spinner=False)
def _sample_predictions() -> LruCache:
    return LruCache(32)


@st.cache_resource(show_spinner=False)
def _sample_activations() -> LruCache:
    return LruCache(8)


def _mask_file_cache(photo: Photo) -> LruCache:
    """The mask files of this photo, for each of the compared weights. Those of another photo are dropped:
    they are big."""
    if session().get("mask_files_of") != photo.digest:
        session().update({"mask_files_of": photo.digest, "mask_files": LruCache(4)})
    return session()["mask_files"]


def _prediction_key(photo: Photo, card: ModelCard, working_height: int, tta: bool) -> tuple:
    return photo.digest, card_digest(card), working_height, tta


def _cached(
    cache: LruCache, key: tuple, compute: Callable[[], Any], on_queue_position: OnQueuePosition
) -> Any:
    """Return the cached value, or compute it once for all threads that ask for it meanwhile."""
    value = cache.get(key)
    if value is None:
        value = _SINGLE_FLIGHT.do(key, compute, lambda: on_queue_position(0))
        cache.put(key, value)
    return value


def _run(
    photo: Photo,
    card: ModelCard,
    working_height: int,
    tta: bool,
    variants: tuple[str, ...],
    on_queue_position: OnQueuePosition,
    decoded: DecodedPhotos,
) -> Prediction:
    with _turn(photo, card, on_queue_position, decoded) as (predictor, picture, seconds):
        prediction = predictor.predict(
            picture,
            variants or None,
            working_height=working_height,
            with_runner_up=True,
            tta=tta,
            output_size=photo.shown_size[::-1],
        )
    prediction.seconds["decode"] += seconds
    return prediction


@contextmanager
def _turn(
    photo: Photo,
    card: ModelCard,
    on_queue_position: OnQueuePosition = ignore_queue_position,
    decoded: DecodedPhotos | None = None,
    *,
    activations: bool = False,
) -> Iterator[tuple[Predictor, Image.Image, float]]:
    """Wait for the turn of this thread; yield the network, the decoded photo and the seconds of decoding. It
    counts towards the visitor's rate limit.

    Args:
        photo: Photo to decode.
        card: Card of the weights.
        on_queue_position: Receives the number of photos ahead.
        decoded: The photo, if it is decoded already; it is dropped if there is no room for it.
        activations: Whether more than masks is needed, see `borrow_model`.
    """
    rate_limit.rate_limiter().count()
    with place_in_queue(on_queue_position) as place:
        if decoded and photo.digest in decoded and place.has_room():
            picture, seconds = decoded[photo.digest]
        else:
            (decoded or {}).clear()
            start = time.perf_counter()
            picture = place.read(photo.data)
            seconds = time.perf_counter() - start
        with borrow_model(card, on_queue_position, activations=activations) as predictor:
            yield predictor, picture, seconds


def _for_display(prediction: Prediction) -> CachedPrediction:
    with ThreadPoolExecutor() as pool:  # compression releases the GIL

        def by_variant(function: Callable, values: Iterable) -> dict[str, Any]:
            return dict(zip(prediction.masks, pool.map(function, values), strict=True))

        masks, runner_ups = prediction.masks.values(), prediction.runner_ups.values()
        return CachedPrediction(
            masks=by_variant(deflate, masks),
            confidence=by_variant(lambda pair: deflate(pair[0]), runner_ups),
            runner_up=by_variant(lambda pair: deflate(pair[1]), runner_ups),
            entropy=by_variant(deflate, prediction.entropies.values()),
            max_logits=prediction.max_logits,
            shares=by_variant(lambda mask: mask_io.shares(mask, prediction.classes), masks),
            disagreement=_disagreement(prediction.masks),
            seconds=prediction.seconds,
            working_size=prediction.working_size,
            device=prediction.device,
            note=prediction.note,
        )


def _disagreement(masks: Mapping[str, np.ndarray]) -> dict[tuple[str, ...], float]:
    groups = [group for count in range(2, len(masks) + 1) for group in combinations(masks, count)]
    return {group: agreement.disagreement_share({v: masks[v] for v in group}) for group in groups}


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def _receptive_fields(
    photo_digest: str,
    weights_digest: str,
    working_height: int,
    pixel: tuple[int, int],
    logits: tuple[tuple[str, int], ...],
    _photo: Photo,
    _card: ModelCard,
) -> dict[str, np.ndarray]:
    with _turn(_photo, _card, activations=True) as (predictor, picture, _):
        return predictor.with_cpu_fallback(
            lambda network: effective_field(network, picture, pixel, dict(logits), working_height)
        )
