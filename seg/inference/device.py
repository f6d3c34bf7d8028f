"""Choice of the device and its precision, and detection of out-of-memory errors."""

import contextlib
import platform
import time
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from torch import nn

from seg import paths
from seg.errors import StreetFCNError
from seg.system.atomic_io import write_json
from seg.system.json_file import read_json_object

Device = Literal["auto", "cpu", "cuda", "mps"]

CPU = torch.device("cpu")


class DeviceError(StreetFCNError, ValueError):
    """The requested device does not exist on this machine."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether a GPU or the machine ran out of memory.

    PyTorch raises a plain RuntimeError in most of these cases, so its message is examined.
    """
    phrases = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
    )


def lacks_operation(error: BaseException) -> bool:
    """Return whether an Apple GPU (MPS) lacks an operation or a data type.

    PyTorch raises several types of errors in this case, and each message names MPS.
    """
    return isinstance(error, (RuntimeError, TypeError)) and "MPS" in str(error) and not out_of_memory(error)


def pick_device(name: Device) -> torch.device:
    """Return the PyTorch device for inference.

    Args:
        name: ``cpu``, ``cuda``, ``mps`` (Apple GPUs), or ``auto`` for the GPU if there is one.

    Raises:
        DeviceError: if a GPU is requested that PyTorch does not find.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "cuda" and not has_cuda:
        raise DeviceError(
            "This machine has no CUDA device that PyTorch can use. Choose --device cpu, or auto."
        )
    if name == "mps" and not has_mps:
        raise DeviceError("This machine has no Apple GPU that PyTorch can use. Choose --device cpu, or auto.")
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")


def pick_training_device(name: Device) -> torch.device:
    """Return the PyTorch device for training: that of `pick_device`, but ``auto`` never is an Apple GPU.

    A prediction continues on the CPU where MPS lacks an operation; a training would end.

    Raises:
        DeviceError: if a GPU is requested that PyTorch does not find.
    """
    device = pick_device(name)
    return CPU if name == "auto" and device.type == "mps" else device


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@cache
def bf16_is_fast(device: torch.device) -> bool:
    """Return whether a device computes faster in bfloat16 than in fp32.

    GPUs from NVIDIA do since Ampere. Apple GPUs compute in fp32 here, because bfloat16 has not been measured
    on any. A CPU is measured once, and the cache folder keeps the result.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return False
    capabilities: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # missing in older PyTorch
    features = sorted(name for name, available in capabilities.items() if available is True)
    cpu_model = ", ".join([platform.machine(), *features, f"PyTorch {torch.__version__}"])
    file, measured = paths.cache() / "bf16.json", {}
    with contextlib.suppress(OSError, ValueError):
        measured = read_json_object(file)
    if cpu_model not in measured:
        fp32, bf16 = convolution_seconds((torch.float32, torch.bfloat16))
        measured[cpu_model] = bf16 < 0.9 * fp32  # a smaller gain is not worth the rounding
        with contextlib.suppress(OSError):  # if the cache is not writable, the next process measures again
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, measured)
    return measured[cpu_model]


@torch.inference_mode()
def convolution_seconds(precisions: Sequence[torch.dtype], repeats: int = 25) -> list[float]:
    """Measure a typical convolution of ResNet-50 on the CPU.

    Args:
        precisions: the dtypes to measure, in turns.
        repeats: number of turns. Beside five busy processes, five turns gave a wrong order once in twelve
            times.

    Returns:
        The shortest time in seconds for each dtype.
    """
    fastest = [float("inf")] * len(precisions)
    for _ in range(repeats):
        for number, precision in enumerate(precisions):
            conv = nn.Conv2d(256, 256, 3, padding=1, dtype=precision).to(memory_format=torch.channels_last)
            features = torch.ones(1, 256, 32, 64, dtype=precision).to(memory_format=torch.channels_last)
            start = time.perf_counter()
            conv(features)
            fastest[number] = min(fastest[number], time.perf_counter() - start)
    return fastest
