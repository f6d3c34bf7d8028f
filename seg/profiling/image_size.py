"""Latency and memory by image size, from a photo's file to all masks at its own size."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from seg.data import scenes
from seg.inference.device import Device
from seg.inference.predictor import Predictor
from seg.profiling.memory import peak
from seg.system.worker_pool import SafeContext

MEGAPIXELS = (1, 4, 12, 24, 48, 64)
ASPECT = 1.5
"""Width over height, that of most cameras."""


@dataclass(frozen=True)
class ImageSizeResult:
    """Latency and memory of a photo of one size."""

    megapixels: float
    size: tuple[int, int]  # height, width
    working_size: tuple[int, int]  # height, width
    seconds: dict[str, float]  # decode, preprocess, encoder, heads, post: medians
    memory_bytes: int | None  # peak over the loaded network; None if unknown


def measure(
    name: str,
    megapixels: Sequence[float] = MEGAPIXELS,
    repeats: int = 3,
    device: Device = "auto",
    on_progress: Callable[[int, int], object] | None = None,
) -> list[ImageSizeResult]:
    """Measure photos of several sizes, each in its own process.

    Args:
        name: the name of the weights.
        megapixels: the sizes.
        repeats: repetitions; the median counts.
        device: ``auto`` is a GPU if there is one.
        on_progress: called with the number of sizes done and of all.

    Raises:
        StreetFCNError: if the weights cannot be used.
    """
    rows = []
    for done, size in enumerate(megapixels, 1):
        with ProcessPoolExecutor(1, mp_context=SafeContext()) as pool:
            rows.append(pool.submit(_row, name, size, repeats, device).result())
        if on_progress:
            on_progress(done, len(megapixels))
    return rows


def _row(name: str, megapixels: float, repeats: int, device: Device) -> ImageSizeResult:
    predictor, street = Predictor.from_pretrained(name, device), Image.fromarray(scenes.render_scene(1).photo)
    height = int((megapixels * 1e6 / ASPECT) ** 0.5)
    width = int(megapixels * 1e6 / height)  # never more megapixels than given: there is a limit
    file = io.BytesIO()
    street.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    predictor.predict(street)  # excludes what happens at the first use only
    predictions = []

    def predict_once() -> None:
        prediction = predictor.predict(file.getvalue())
        predictions.append((prediction.seconds, prediction.working_size))

    memory_bytes = peak(predict_once, predictor.device)
    for _ in range(repeats - 1):
        predict_once()
    seconds = {part: median(times[part] for times, _ in predictions) for part in predictions[0][0]}
    return ImageSizeResult(megapixels, (height, width), predictions[0][1], seconds, memory_bytes)


def draw(rows: Sequence[ImageSizeResult]) -> go.Figure:
    """Seconds by part, and peak memory, against megapixels."""
    figure = make_subplots(
        2, 1, shared_xaxes=True, subplot_titles=("seconds", "peak memory over the loaded network, MB")
    )
    x = [row.megapixels for row in rows]
    for part in rows[0].seconds:
        figure.add_scatter(
            x=x, y=[row.seconds[part] for row in rows], name=part, stackgroup="time", row=1, col=1
        )
    memory = [None if row.memory_bytes is None else row.memory_bytes / 1e6 for row in rows]
    figure.add_scatter(x=x, y=memory, name="memory", mode="lines+markers", row=2, col=1)
    figure.update_xaxes(title="megapixels of the photo", row=2, col=1)
    return figure.update_layout(title="Latency and memory by image size", template="plotly_white", height=760)
