"""Loaded networks, shared by all visitors; one prediction runs at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from seg.inference.device import DeviceError
from seg.inference.predictor import Predictor
from seg.models.model_card import ModelCard, WeightsError, to_json
from seg.system.request_queue import QueueFullError, RequestQueue
from ui.shared import rate_limit
from ui.state.photos import content_digest
from ui.state.session import session_id

MAX_COMPARED = 4
"""Maximum number of weights in a comparison, and of networks in memory."""

MODEL_ERRORS = (WeightsError, DeviceError, QueueFullError, rate_limit.LimitError)
"""Errors for which no network is available, each with a message for the visitor."""

OnQueuePosition = Callable[[int], object]
"""Receives the number of photos ahead in the queue; it may end the script."""

MAX_DECODED = 4
"""Maximum number of photos whose pixels are in memory for a network."""

_DECODED = RequestQueue(rate_limit.MAX_QUEUE, MAX_DECODED, session_id)
_QUEUE = RequestQueue(rate_limit.MAX_QUEUE)  # two predictions at once take as long, and twice the memory


def ignore_queue_position(ahead: int) -> None:
    """Queue callback that shows nothing."""


def queue_notice() -> OnQueuePosition:
    """Reserve a line on the page, here, for the position in the queue; return the callback that fills it."""
    line = st.empty()

    def show(ahead: int) -> None:
        line.caption(
            {0: "", 1: "1 photo is ahead in the queue."}.get(ahead, f"{ahead} photos are ahead in the queue.")
        )

    return show


def card_digest(card: ModelCard) -> str:
    """Return the digest that identifies published weights: of the card, which contains the file's own
    digest."""
    return content_digest(to_json(card))


@contextmanager
def room_for_photo(on_queue_position: OnQueuePosition = ignore_queue_position) -> Iterator[None]:
    """Wait until a photo may be decoded: decode it in the block, and segment it before its end.

    Photos are decoded before their turn at the network, which a slow file must not hold up, but not long
    before: the pixels of all waiting photos would fill the memory.

    Args:
        on_queue_position: Receives the number of photos ahead.

    Raises:
        QueueFullError: Too many photos are waiting.
    """
    with _DECODED.acquire(lambda ahead: on_queue_position(ahead) if ahead >= MAX_DECODED else None):
        yield  # until then the position at the network is the one to show


@contextmanager
def borrow_model(
    card: ModelCard, on_queue_position: OnQueuePosition = ignore_queue_position
) -> Iterator[Predictor]:
    """Wait for the turn of this thread and yield the network of published weights; decode no photo meanwhile.

    Args:
        card: Card of the weights.
        on_queue_position: Receives the number of photos ahead.

    Raises:
        MODEL_ERRORS: No network is available; each has a message for the visitor.
    """
    predictor = _load_predictor(card.name, card_digest(card))
    with _QUEUE.acquire(on_queue_position):
        yield predictor


@st.cache_resource(max_entries=MAX_COMPARED, show_spinner="Loading the network …")
def _load_predictor(name: str, digest: str) -> Predictor:
    return Predictor.from_pretrained(name)
