"""Latency, memory and arithmetic of prediction beside baselines, measured in one run on this machine, in
turns.

The models run as in `seg.inference.predictor`, from image to masks. Baselines are built by their libraries'
documented calls: torchvision's ``fcn_resnet50``, segmentation-models-pytorch's ``Unet`` and ``DeepLabV3Plus``
with ResNet-50; FCN on VGG-16 is this project's. Times hardly depend on parameters, so the networks are
untrained.
"""

import gc
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seg.data import cityscapes
from seg.inference.device import Device, bf16_is_fast, pick_device, synchronize
from seg.inference.postprocess import to_mask
from seg.inference.predictor import Predictor
from seg.models.base import pad_to_multiple
from seg.models.factory import DISPLAY_NAMES
from seg.models.fcn import FCN, VARIANTS
from seg.system.worker_pool import SafeContext

SIZES = ((256, 512), (512, 1024), (1024, 2048))
"""Height and width of the images."""

Precision = Literal["fp32", "bf16"]
CLASSES = len(cityscapes.CLASSES)
ENCODER, ALL = "the bare encoder", "all three masks"
TORCHVISION = "torchvision fcn_resnet50"
UNET, DEEPLAB, VGG = "SMP Unet, ResNet-50", "SMP DeepLabV3+, ResNet-50", "FCN-8s, VGG-16"
BASELINES = (TORCHVISION, UNET, DEEPLAB, VGG)
MODELS = (*(DISPLAY_NAMES[v] for v in VARIANTS), ALL)

LatencyCase = tuple[str, Precision, tuple[int, int]]
"""A measurement: a name of `ENCODER`, `MODELS` or `BASELINES`, a precision, and a size (height, width)."""


@dataclass(frozen=True)
class LatencyResult:
    """The measurements of one network at one size and precision."""

    name: str
    precision: Precision
    size: tuple[int, int]  # height, width
    seconds: float  # median, from the image to the masks
    memory_bytes: int | None  # peak over the loaded network; None if unknown
    flops: int  # multiplications and additions of its convolutions
    mfu: float  # model FLOPs utilization: the share of this machine's matrix throughput in this precision
    relative_to_encoder: float  # time over that of the bare encoder in the same precision
    relative_to_torchvision: float  # time over that of torchvision's fcn_resnet50 in fp32; below 1 is faster


def latency_cases(sizes: Sequence[tuple[int, int]], device: torch.device) -> list[LatencyCase]:
    """All measurements: every network in fp32, and in bf16 if the device is fast in it."""
    precisions: list[Precision] = ["fp32", "bf16"] if bf16_is_fast(device) else ["fp32"]
    return [(name, p, size) for size in sizes for name in (ENCODER, *MODELS, *BASELINES) for p in precisions]


def measure(
    wanted: Sequence[LatencyCase],
    repeats: int = 5,
    device: Device = "auto",
    on_progress: Callable[[int, int], object] | None = None,
) -> list[LatencyResult]:
    """Measure networks in turns, so that other work on the machine slows all of them alike.

    Args:
        wanted: the measurements.
        repeats: repetitions after one to warm up; the median counts.
        device: ``auto`` is a GPU if there is one.
        on_progress: called with the number of steps done and of all.
    """
    on, total = pick_device(device), (repeats + 2) * len(wanted)
    networks = {
        key: build(*key, on) for key in dict.fromkeys((name, precision) for name, precision, _ in wanted)
    }
    times: dict[LatencyCase, list[float]] = {kind: [] for kind in wanted}
    for turn in range(repeats + 1):
        for number, kind in enumerate(wanted):
            seconds = _run(networks[kind[:2]], kind, on)
            if turn:  # the first one warms up
                times[kind].append(seconds)
            if on_progress:
                on_progress(turn * len(wanted) + number + 1, total)
    flops = {kind: _flops(networks[kind[:2]], kind, on) for kind in wanted}
    rates = {
        precision: matmul_throughput(precision, on) for precision in dict.fromkeys(kind[1] for kind in wanted)
    }
    del networks
    gc.collect()
    peaks = {}
    for number, kind in enumerate(wanted):
        peaks[kind] = _peak(kind, on)
        if on_progress:
            on_progress((repeats + 1) * len(wanted) + number + 1, total)
    medians = {kind: median(seconds) for kind, seconds in times.items()}
    return [
        LatencyResult(
            *kind,
            seconds=medians[kind],
            memory_bytes=peaks[kind],
            flops=flops[kind],
            mfu=flops[kind] / medians[kind] / rates[kind[1]],
            relative_to_encoder=medians[kind] / medians.get((ENCODER, *kind[1:]), float("nan")),
            relative_to_torchvision=medians[kind] / medians.get((TORCHVISION, "fp32", kind[2]), float("nan")),
        )
        for kind in wanted
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
    for name, precision in dict.fromkeys((row.name, row.precision) for row in rows):
        own = [row for row in rows if (row.name, row.precision) == (name, precision)]
        figure.add_scatter(
            x=[row.size[0] * row.size[1] / 1e6 for row in own],
            y=[1000 * row.seconds for row in own],
            name=f"{name}, {precision}",
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


Runner = Callable[[Tensor], Any]
"""A function of an image, in channels_last on the device, that computes masks or features."""


def build(name: str, precision: Precision, device: torch.device) -> Runner:
    """An untrained network by its name; bf16 runs under autocast."""
    bf16 = precision == "bf16"
    if name in MODELS or name == VGG:
        variants = {ALL: VARIANTS, VGG: ("8s",)}.get(name) or [
            v for v in VARIANTS if DISPLAY_NAMES[v] == name
        ]
        model = FCN(CLASSES, ("8s",), backbone="vgg16") if name == VGG else FCN(CLASSES)
        for layer in (
            layer for layer in model.children() if isinstance(layer, nn.Conv2d)
        ):  # the score layers
            nn.init.normal_(layer.weight, std=0.02)  # at their initial zeros, all classes are equal
        predictor = Predictor.for_inference(model, 1, device, bf16)

        def run_model(image: Tensor) -> list[np.ndarray]:
            return [
                to_mask(logits, *image.shape[-2:])[0]
                for logits in predictor.forward(image, variants).values()
            ]

        return run_model
    import segmentation_models_pytorch as smp  # slow to import
    from torchvision.models.segmentation import fcn_resnet50

    net = {
        ENCODER: lambda: smp.encoders.get_encoder("resnet50", weights=None),
        TORCHVISION: lambda: fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES),
        UNET: lambda: smp.Unet("resnet50", encoder_weights=None, classes=CLASSES),
        DEEPLAB: lambda: smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=CLASSES),
    }[name]()
    net = net.to(device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def run_baseline(image: Tensor) -> Tensor | list[Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = net(image)
        if name == ENCODER:
            return output
        return (output["out"] if name == TORCHVISION else output).argmax(1).cpu()

    return run_baseline


def _run(network: Runner, kind: LatencyCase, device: torch.device) -> float:
    image = pad_to_multiple(torch.rand(1, 3, *kind[2], device=device)).to(memory_format=torch.channels_last)
    synchronize(device)
    start = time.perf_counter()
    network(image)
    synchronize(device)
    return time.perf_counter() - start


def _flops(network: Runner, kind: LatencyCase, device: torch.device) -> int:
    with FlopCounterMode(display=False) as counted:
        _run(network, kind, device)
    return counted.get_total_flops()


def _peak(kind: LatencyCase, device: torch.device) -> int | None:
    """Peak memory over the loaded network in bytes, measured in its own process, since freed memory may be
    kept."""
    with ProcessPoolExecutor(1, mp_context=SafeContext()) as pool:
        return pool.submit(_peak_here, kind, str(device)).result()


def _peak_here(kind: LatencyCase, name: str) -> int | None:
    device = torch.device(name)
    network = build(*kind[:2], device)
    small = (kind[0], kind[1], (64, 64))
    _run(network, small, device)  # excludes what libraries keep from their first use on
    return peak(lambda: _run(network, kind, device), device)


def peak(run: Callable[[], object], device: torch.device) -> int | None:
    """Peak memory of a call over what is in use before it, in bytes; None if unknown.

    Call it in a process of its own: memory that one call has freed may be kept for the next.
    """
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        run()
        return None

    def high_water_mark() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    reset.write_text("5")  # resets the high-water mark: proc(5)
    before = high_water_mark()
    run()
    return max(0, high_water_mark() - before)  # the kernel counts with some slack
