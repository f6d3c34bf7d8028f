"""Latency, memory and arithmetic of prediction beside baselines, measured in one run on this machine, in
turns.

The networks are those of `seg.profiling.networks` and `seg.profiling.engine_networks`.
"""

import gc
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import plotly.graph_objects as go
import torch
from torch.utils.flop_counter import FlopCounterMode

from seg.inference.device import CPU, Device, bf16_is_fast, pick_device, synchronize
from seg.models.base import pad_to_multiple
from seg.profiling import engine_networks, networks
from seg.profiling.memory import peak
from seg.profiling.networks import ALL, BASELINES, ENCODER, MODELS, TORCHVISION, Precision, Runner
from seg.system.worker_pool import SafeContext

SIZES = ((256, 512), (512, 1024), (1024, 2048))
"""Height and width of the images."""


class LatencyCase(NamedTuple):
    """A measurement."""

    name: str  # of `ENCODER`, `MODELS`, `BASELINES` or `engine_networks.ENGINES`
    precision: Precision
    size: tuple[int, int]  # height, width
    batch: int = 1  # images at once


@dataclass(frozen=True)
class LatencyResult:
    """The measurements of one case; times and operations are those of one image."""

    name: str
    precision: Precision
    size: tuple[int, int]  # height, width
    batch: int  # images at once
    seconds: float  # median, from the image to the masks
    memory_bytes: int | None  # peak of the batch over the loaded network; None if unknown
    flops: int  # multiplications and additions of its convolutions and matrix products
    mfu: float | None  # model FLOPs utilization: share of this machine's matrix throughput; None for int8
    relative_to_encoder: float | None  # time over that of the bare encoder in the same precision, if measured
    relative_to_torchvision: float | None  # time over torchvision's fcn_resnet50 in fp32; below 1 is faster


def latency_cases(
    sizes: Sequence[tuple[int, int]],
    device: torch.device,
    batch_sizes: Sequence[int] = (1,),
    with_engines: bool = False,
) -> list[LatencyCase]:
    """All measurements: every network in fp32, and in bf16 if the device is fast in it.

    Args:
        sizes: height and width of the images.
        device: the device.
        batch_sizes: images at once, for all three masks; the other networks take one.
        with_engines: whether to add the engines, which compute on the CPU only.
    """
    own: list[Precision] = ["fp32", "bf16"] if bf16_is_fast(device) else ["fp32"]
    engines = engine_networks.ENGINES if with_engines and device == CPU else ()
    cases = []
    for size in sizes:
        for name in (ENCODER, *MODELS, *engines, *BASELINES):
            for precision in engine_networks.precisions(name) if name in engines else own:
                batches = batch_sizes if name == ALL else (1,)
                cases += [LatencyCase(name, precision, size, batch) for batch in batches]
    return cases


def measure(
    cases: Sequence[LatencyCase],
    repeats: int = 5,
    device: Device = "auto",
    on_progress: Callable[[int, int], object] | None = None,
) -> list[LatencyResult]:
    """Measure networks in turns, so that other work on the machine slows all of them alike.

    Args:
        cases: the measurements.
        repeats: repetitions after one to warm up; the median counts.
        device: ``auto`` is a GPU if there is one.
        on_progress: called with the number of steps done and of all.
    """
    on, total = pick_device(device), (repeats + 2) * len(cases)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if any(case.name in engine_networks.ENGINES for case in cases):
            engine_networks.write_files(folder)
        built = {case[:2]: _build(case, on, folder) for case in {case[:2]: case for case in cases}.values()}
        times: dict[LatencyCase, list[float]] = {case: [] for case in cases}
        for turn in range(repeats + 1):
            for number, case in enumerate(cases):
                seconds = _run(built[case[:2]], case, on) / case.batch
                if turn:  # the first one warms up
                    times[case].append(seconds)
                if on_progress:
                    on_progress(turn * len(cases) + number + 1, total)
        flops = {case: _flops(_counted(case, built, on), case, on) for case in cases}
        del built
        gc.collect()
        peaks = {}
        for number, case in enumerate(cases):
            peaks[case] = _peak(case, on, folder)
            if on_progress:
                on_progress((repeats + 1) * len(cases) + number + 1, total)
    return _results({case: median(seconds) for case, seconds in times.items()}, flops, peaks, on)


def _counted(case: LatencyCase, built: dict[tuple[str, Precision], Runner], device: torch.device) -> Runner:
    """Return the network in PyTorch that does the operations of a case: those of engines are not counted."""
    if case.name not in engine_networks.ENGINES:
        return built[case[:2]]
    return built.get((ALL, "fp32")) or networks.build(ALL, "fp32", device)


def _results(
    medians: dict[LatencyCase, float],
    flops: dict[LatencyCase, int],
    peaks: dict[LatencyCase, int | None],
    device: torch.device,
) -> list[LatencyResult]:
    rates = {
        precision: matmul_throughput(precision, device)
        for precision in dict.fromkeys(case.precision for case in medians)
        if precision != "int8"
    }

    def relative(case: LatencyCase, name: str, precision: Precision) -> float | None:
        reference = medians.get(LatencyCase(name, precision, case.size))
        return None if reference is None else medians[case] / reference

    return [
        LatencyResult(
            *case,
            seconds=seconds,
            memory_bytes=peaks[case],
            flops=flops[case],
            mfu=flops[case] / seconds / rates[case.precision] if case.precision in rates else None,
            relative_to_encoder=relative(case, ENCODER, case.precision),
            relative_to_torchvision=relative(case, TORCHVISION, "fp32"),
        )
        for case, seconds in medians.items()
    ]


def machine(device: torch.device) -> str:
    """A description of the machine, for the title of a table."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    if device.type == "mps":
        return f"Apple GPU, PyTorch {torch.__version__}"
    return (
        f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads, PyTorch"
        f" {torch.__version__}"
    )


def draw(rows: Sequence[LatencyResult]) -> go.Figure:
    """A plot of milliseconds against megapixels, with a line for each network and precision."""
    figure = go.Figure()
    for name, precision, batch in dict.fromkeys((row.name, row.precision, row.batch) for row in rows):
        own = [row for row in rows if (row.name, row.precision, row.batch) == (name, precision, batch)]
        figure.add_scatter(
            x=[row.size[0] * row.size[1] / 1e6 for row in own],
            y=[1000 * row.seconds for row in own],
            name=f"{name}, {precision}" + (f", {batch} at once" if batch > 1 else ""),
            mode="lines+markers",
            line={"dash": "solid" if precision == "bf16" else "dot", "width": 3 if name in MODELS else 1.5},
        )
    figure.update_xaxes(title="megapixels of the image", type="log")
    figure.update_yaxes(title="ms", type="log")
    return figure.update_layout(title="Time of an image", template="plotly_white", height=720)


def matmul_throughput(precision: Precision, device: torch.device, side: int = 2048) -> float:
    """The throughput of a product of two square matrices in multiplications and additions per second; the
    best of six."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        torch.matmul(a, b)
        synchronize(device)
        seconds = min(seconds, time.perf_counter() - start)
    return 2 * side**3 / seconds


def _build(case: LatencyCase, device: torch.device, folder: Path) -> Runner:
    """Build the network of a case; `folder` has the files of the engines."""
    if case.name in engine_networks.ENGINES:
        return engine_networks.build(case.name, case.precision, folder)
    return networks.build(case.name, case.precision, device)


def _run(network: Runner, case: LatencyCase, device: torch.device) -> float:
    """Return the seconds for the batch of a case."""
    images = pad_to_multiple(torch.rand(case.batch, 3, *case.size, device=device))
    images = images.to(memory_format=torch.channels_last)
    synchronize(device)
    start = time.perf_counter()
    network(images)
    synchronize(device)
    return time.perf_counter() - start


def _flops(network: Runner, case: LatencyCase, device: torch.device) -> int:
    """Return the operations for one image."""
    with FlopCounterMode(display=False) as counted:
        _run(network, case._replace(batch=1), device)
    return counted.get_total_flops()


def _peak(case: LatencyCase, device: torch.device, folder: Path) -> int | None:
    """Peak memory over the loaded network in bytes, measured in its own process, since freed memory may be
    kept."""
    with ProcessPoolExecutor(1, mp_context=SafeContext()) as pool:
        return pool.submit(_peak_here, case, str(device), folder).result()


def _peak_here(case: LatencyCase, name: str, folder: Path) -> int | None:
    device = torch.device(name)
    network = _build(case, device, folder)
    small = case._replace(size=(64, 64), batch=1)
    _run(network, small, device)  # excludes what libraries keep from their first use on
    return peak(lambda: _run(network, case, device), device)
