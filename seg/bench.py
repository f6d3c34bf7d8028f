"""How fast prediction is beside its rivals, all measured in one run on this machine, in turns.

Ours is what `seg.predict` does with an image, from image to masks. Rivals are built by their libraries' documented calls:
torchvision's ``fcn_resnet50``, segmentation-models-pytorch's ``Unet`` and ``DeepLabV3Plus`` with ResNet-50; FCN on VGG-16 is this
project's. Times hardly depend on parameters: untrained networks serve.
"""

import gc
import multiprocessing
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

from seg import labels, preprocess
from seg.fcn import FCN, VARIANTS, pad_to_multiple
from seg.networks import TITLES
from seg.predict import Device, Predictor, bf16_is_fast, pick_device

SIZES = ((256, 512), (512, 1024), (1024, 2048))
"""Height and width of the images."""

Precision = Literal["fp32", "bf16"]
CLASSES = len(labels.CLASSES)
ENCODER, ALL = "the bare encoder", "all three masks"
TORCHVISION = "torchvision fcn_resnet50"
UNET, DEEPLAB, VGG = "SMP Unet, ResNet-50", "SMP DeepLabV3+, ResNet-50", "FCN-8s, VGG-16"
RIVALS = (TORCHVISION, UNET, DEEPLAB, VGG)
OURS = (*(TITLES[v] for v in VARIANTS), ALL)

Kind = tuple[str, Precision, tuple[int, int]]
"""What is measured: a name of `ENCODER`, `OURS` and `RIVALS`, a precision, a size."""


@dataclass(frozen=True)
class Row:
    """One network at one size and precision."""

    name: str
    precision: Precision
    size: tuple[int, int]  # height, width
    seconds: float  # median, from the image to the masks
    memory_bytes: int | None  # peak over the loaded network; None where it cannot be told
    flops: int  # multiplications and additions of its convolutions
    share: float  # of the matrix rate that this machine reaches in this precision
    to_encoder: float  # times the bare encoder, in the same precision
    to_torchvision: float  # times torchvision's fcn_resnet50 in fp32; below 1 is faster


def kinds(sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Kind]:
    """All that is measured: everything in fp32, as documented, and in bf16 where the device is fast in it."""
    precisions: list[Precision] = ["fp32", "bf16"] if bf16_is_fast(device) else ["fp32"]
    return [(name, p, size) for size in sizes for name in (ENCODER, *OURS, *RIVALS) for p in precisions]


def measure(
    wanted: Sequence[Kind], repeats: int = 5, device: Device = "auto", told: Callable[[int, int], None] | None = None
) -> list[Row]:
    """A row for each kind; times are taken in turns, so that other work on the machine slows all alike."""
    on, total = pick_device(device), (repeats + 2) * len(wanted)
    networks = {key: build(*key, on) for key in dict.fromkeys((name, precision) for name, precision, _ in wanted)}
    taken: dict[Kind, list[float]] = {kind: [] for kind in wanted}
    for turn in range(repeats + 1):
        for number, kind in enumerate(wanted):
            seconds = _run(networks[kind[:2]], kind, on)
            if turn:  # the first one warms up
                taken[kind].append(seconds)
            if told:
                told(turn * len(wanted) + number + 1, total)
    flops = {kind: _flops(networks[kind[:2]], kind, on) for kind in wanted}
    rates = {precision: matrix_rate(precision, on) for precision in dict.fromkeys(kind[1] for kind in wanted)}
    del networks
    gc.collect()
    peaks = {}
    for number, kind in enumerate(wanted):
        peaks[kind] = _peak(kind, on)
        if told:
            told((repeats + 1) * len(wanted) + number + 1, total)
    middle = {kind: median(seconds) for kind, seconds in taken.items()}
    return [
        Row(
            *kind,
            seconds=middle[kind],
            memory_bytes=peaks[kind],
            flops=flops[kind],
            share=flops[kind] / middle[kind] / rates[kind[1]],
            to_encoder=middle[kind] / middle.get((ENCODER, *kind[1:]), float("nan")),
            to_torchvision=middle[kind] / middle.get((TORCHVISION, "fp32", kind[2]), float("nan")),
        )
        for kind in wanted
    ]


def machine(device: torch.device) -> str:
    """What it is measured on, in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, PyTorch {torch.__version__}"
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def draw(rows: Sequence[Row]) -> go.Figure:
    """Milliseconds against megapixels, a line for each network and precision."""
    figure = go.Figure()
    for name, precision in dict.fromkeys((row.name, row.precision) for row in rows):
        own = [row for row in rows if (row.name, row.precision) == (name, precision)]
        figure.add_scatter(
            x=[row.size[0] * row.size[1] / 1e6 for row in own],
            y=[1000 * row.seconds for row in own],
            name=f"{name}, {precision}",
            mode="lines+markers",
            line={"dash": "solid" if precision == "bf16" else "dot", "width": 3 if name in OURS else 1.5},
        )
    figure.update_xaxes(title="megapixels of the image", type="log")
    figure.update_yaxes(title="ms", type="log")
    return figure.update_layout(title="Time of an image", template="plotly_white", height=720)


def matrix_rate(precision: Precision, device: torch.device, side: int = 2048) -> float:
    """Multiplications and additions a second of a product of two square matrices: the best of some."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        torch.matmul(one, other)
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


Bench = Callable[[Tensor], Any]
"""An image, in channels_last on the device -> masks, or the encoder's features."""


def build(name: str, precision: Precision, device: torch.device) -> Bench:
    """A network by its name, untrained; in bf16 under autocast."""
    import segmentation_models_pytorch as smp  # slow to import
    from torchvision.models.segmentation import fcn_resnet50

    bf16 = precision == "bf16"
    if name in OURS or name == VGG:
        variants = {ALL: VARIANTS, VGG: ("8s",)}.get(name) or [v for v in VARIANTS if TITLES[v] == name]
        model = FCN(CLASSES, ("8s",), backbone="vgg16") if name == VGG else FCN(CLASSES)
        for layer in (layer for layer in model.children() if isinstance(layer, nn.Conv2d)):  # the scores
            nn.init.normal_(layer.weight, std=0.02)  # as they begin, all classes would win nowhere
        predictor = Predictor.folded(model, 1, device, bf16)

        def ours(image: Tensor) -> list[np.ndarray]:
            found = predictor.look(image, variants).values()
            return [preprocess.to_mask(logits, *image.shape[-2:])[0] for logits in found]

        return ours
    net = {
        ENCODER: lambda: smp.encoders.get_encoder("resnet50", weights=None),
        TORCHVISION: lambda: fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES),
        UNET: lambda: smp.Unet("resnet50", encoder_weights=None, classes=CLASSES),
        DEEPLAB: lambda: smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=CLASSES),
    }[name]()
    net = net.to(device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def theirs(image: Tensor) -> Tensor | list[Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found = net(image)
        if name == ENCODER:
            return found
        return (found["out"] if name == TORCHVISION else found).argmax(1).cpu()

    return theirs


def _run(network: Bench, kind: Kind, device: torch.device) -> float:
    image = pad_to_multiple(torch.rand(1, 3, *kind[2], device=device)).to(memory_format=torch.channels_last)
    _wait(device)
    began = time.perf_counter()
    network(image)
    _wait(device)
    return time.perf_counter() - began


def _flops(network: Bench, kind: Kind, device: torch.device) -> int:
    with FlopCounterMode(display=False) as counted:
        _run(network, kind, device)
    return counted.get_total_flops()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(kind: Kind, device: torch.device) -> int | None:
    """The most memory over the loaded network, in bytes: measured in a process of its own, since freed memory may be kept."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak_here, kind, str(device)).result()


def _peak_here(kind: Kind, name: str) -> int | None:
    device = torch.device(name)
    network = build(*kind[:2], device)
    small = (kind[0], kind[1], (64, 64))
    _run(network, small, device)  # what libraries keep from their first use on is no part of it
    return peak(lambda: _run(network, kind, device), device)


def peak(run: Callable[[], object], device: torch.device) -> int | None:
    """The most memory that `run` takes over what is held before it, in bytes; None where that cannot be told.

    Ask in a process of its own: what one run has freed may be kept for the next.
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

    def high() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    reset.write_text("5")  # the high-water mark begins anew: proc(5)
    before = high()
    run()
    return max(0, high() - before)  # the system counts with some slack
