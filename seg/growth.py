"""What a photo takes, from its file to all masks at its own size, against its megapixels: time, parts of it, and memory."""

import io
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from seg import bench, scenes
from seg.predict import Device, Predictor

MEGAPIXELS = (1, 4, 12, 24, 48, 64)
ASPECT = 1.5
"""Width over height, as most cameras have it."""


@dataclass(frozen=True)
class Row:
    """A photo of one size."""

    megapixels: float
    size: tuple[int, int]  # height, width
    working_size: tuple[int, int]  # height, width
    seconds: dict[str, float]  # decode, preprocess, encoder, heads, post: medians
    memory_bytes: int | None  # peak over the loaded network; None where it cannot be told


def measure(
    name: str,
    megapixels: Sequence[float] = MEGAPIXELS,
    repeats: int = 3,
    device: Device = "auto",
    told: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """A row for each size, measured in a process of its own. Raises as `Predictor.of`."""
    rows = []
    for done, size in enumerate(megapixels, 1):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(_row, name, size, repeats, device).result())
        if told:
            told(done, len(megapixels))
    return rows


def _row(name: str, megapixels: float, repeats: int, device: Device) -> Row:
    predictor, street = Predictor.of(name, device), Image.fromarray(scenes.render(1).photo)
    height = int((megapixels * 1e6 / ASPECT) ** 0.5)
    width = int(megapixels * 1e6 / height)  # never more megapixels than asked for: there is a limit
    file = io.BytesIO()
    street.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    predictor.predict(street)  # what is done at first use only is no part of it
    taken = []

    def look() -> None:
        found = predictor.predict(file.getvalue())
        taken.append((found.seconds, found.working_size))

    peak = bench.peak(look, predictor.device)
    for _ in range(repeats - 1):
        look()
    seconds = {part: median(of[part] for of, _ in taken) for part in taken[0][0]}
    return Row(megapixels, (height, width), taken[0][1], seconds, peak)


def draw(rows: Sequence[Row]) -> go.Figure:
    """Seconds by part, and peak memory, against megapixels."""
    figure = make_subplots(2, 1, shared_xaxes=True, subplot_titles=("seconds", "peak memory over the loaded network, MB"))
    x = [row.megapixels for row in rows]
    for part in rows[0].seconds:
        figure.add_scatter(x=x, y=[row.seconds[part] for row in rows], name=part, stackgroup="time", row=1, col=1)
    memory = [None if row.memory_bytes is None else row.memory_bytes / 1e6 for row in rows]
    figure.add_scatter(x=x, y=memory, name="memory", mode="lines+markers", row=2, col=1)
    figure.update_xaxes(title="megapixels of the photo", row=2, col=1)
    return figure.update_layout(title="What a photo takes", template="plotly_white", height=760)
