"""Peak memory of a call."""

import gc
from collections.abc import Callable
from pathlib import Path

import torch


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
