"""Loaded networks, shared by all visitors; one prediction runs at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import streamlit as st
from PIL import Image

from seg.inference.device import DeviceError
from seg.inference.engines import DISPLAY_NAMES, EngineError, EngineSetting, engine_setting
from seg.inference.predictor import Predictor
from seg.models.model_card import ModelCard, WeightsError, to_json
from seg.models.onnx_graph import ExportError
from seg.system.request_queue import QueueFullError, RequestQueue
from ui.shared import rate_limit
from ui.state.photos import content_digest, reader

MAX_COMPARED = 4
"""Maximum number of weights in a comparison, and of networks in memory."""

MODEL_ERRORS = (
    *(WeightsError, DeviceError, EngineError, ExportError),
    *(QueueFullError, rate_limit.LimitError),
)
"""Errors for which no network is available, each with a message for the visitor."""

OnQueuePosition = Callable[[int], object]
"""Receives the number of photos ahead in the queue; it may end the script."""

MAX_DECODED = 4
"""Maximum number of photos whose pixels are in memory for a network."""

_PLACES = threading.BoundedSemaphore(rate_limit.MAX_QUEUE + 1)
_DECODED = RequestQueue(holders=MAX_DECODED)
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


class PlaceInQueue:
    """The place of a photo in the queue of the network, see `place_in_queue`."""

    def __init__(self, room: ExitStack, on_queue_position: OnQueuePosition) -> None:
        self._room, self._on_queue_position = room, on_queue_position

    def read(self, data: bytes) -> Image.Image:
        """Read the photo, and wait until there is room for it.

        A session waits for its turn at the processes that read before it takes any room, so that slow files
        of others do not take all of it.

        Raises:
            PhotoError: The file is not a readable photo.
        """
        with reader.photo(data, self._on_queue_position) as photo:
            self._room.enter_context(_DECODED.acquire(self._on_wait))
            return photo

    def has_room(self) -> bool:
        """Take room for a photo that is decoded already; return False if there is none now."""

        def refuse(ahead: int) -> None:
            if ahead >= MAX_DECODED:
                raise BlockingIOError

        try:
            self._room.enter_context(_DECODED.acquire(refuse))
        except BlockingIOError:
            return False
        return True

    def _on_wait(self, ahead: int) -> None:
        if ahead >= MAX_DECODED:  # until then the position at the network is the one to show
            self._on_queue_position(ahead)


@contextmanager
def place_in_queue(
    on_queue_position: OnQueuePosition = ignore_queue_position,
) -> Iterator[PlaceInQueue]:
    """Yield a place in the queue, with which a photo is read: segment it before the end of the block.

    Photos are decoded before their turn at the network, which a slow file must not hold up, but not long
    before: the pixels of all waiting photos would fill the memory.

    Args:
        on_queue_position: Receives the number of photos ahead.

    Raises:
        QueueFullError: Too many photos are waiting.
    """
    if not _PLACES.acquire(blocking=False):
        raise QueueFullError(rate_limit.MAX_QUEUE)
    try:
        with ExitStack() as room:
            yield PlaceInQueue(room, on_queue_position)
    finally:
        _PLACES.release()


PYTORCH = EngineSetting("torch", "auto")


@contextmanager
def borrow_model(
    card: ModelCard, on_queue_position: OnQueuePosition = ignore_queue_position, *, activations: bool = False
) -> Iterator[Predictor]:
    """Wait for the turn of this thread and yield the network of published weights; decode no photo meanwhile.

    Args:
        card: Card of the weights.
        on_queue_position: Receives the number of photos ahead.
        activations: Whether more than masks is needed: PyTorch computes it, whatever the server's engine.

    Raises:
        MODEL_ERRORS: No network is available; each has a message for the visitor.
    """
    setting = PYTORCH if activations else engine_setting()
    predictor = _load_predictor(card.name, card_digest(card), setting)
    with turn(on_queue_position):
        yield predictor


@contextmanager
def turn(on_queue_position: OnQueuePosition = ignore_queue_position) -> Iterator[None]:
    """Wait for the turn of this thread to compute a network.

    Args:
        on_queue_position: Receives the number of photos ahead.

    Raises:
        QueueFullError: Too many photos are waiting.
    """
    with _QUEUE.acquire(on_queue_position):
        yield


def engine_name() -> str:
    """Return the engine that computes masks, such as "OpenVINO in int8"; empty for PyTorch."""
    setting = engine_setting()
    if setting.engine == "torch":
        return ""
    precision = "" if setting.precision == "auto" else f" in {setting.precision}"
    return DISPLAY_NAMES[setting.engine] + precision


@st.cache_resource(max_entries=MAX_COMPARED, show_spinner="Loading the network …")
def _load_predictor(name: str, digest: str, setting: EngineSetting) -> Predictor:
    return Predictor.from_pretrained(
        name, device=setting.device, precision=setting.precision, engine=setting.engine
    )
