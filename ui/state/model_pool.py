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

MAX_COMPARED = 4
"""Maximum number of weights in a comparison, and of networks in memory."""

MODEL_ERRORS = (WeightsError, DeviceError, QueueFullError, rate_limit.LimitError)
"""Errors for which no network is available, each with a message for the visitor."""

OnQueuePosition = Callable[[int], object]
"""Receives the number of photos ahead in the queue; it may end the script."""

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
def borrow_model(
    card: ModelCard, on_queue_position: OnQueuePosition = ignore_queue_position, *, counted: bool = False
) -> Iterator[Predictor]:
    """Wait for the turn of this thread and yield the network of published weights.

    Args:
        card: Card of the weights.
        on_queue_position: Receives the number of photos ahead.
        counted: Whether this prediction counts towards the visitor's rate limit.

    Raises:
        MODEL_ERRORS: No network is available; each has a message for the visitor.
    """
    if counted:
        rate_limit.rate_limiter().count()
    predictor = _load_predictor(card.name, card_digest(card))
    with _QUEUE.acquire(on_queue_position):
        yield predictor


@st.cache_resource(max_entries=MAX_COMPARED, show_spinner="Loading the network …")
def _load_predictor(name: str, digest: str) -> Predictor:
    return Predictor.from_pretrained(name)
