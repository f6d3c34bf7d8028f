"""Commands that measure time and memory: benchmark, profile-size."""

from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from tyro.conf import Positional

from seg.cli.console import CommandError, check_page, progress_bar, save_json, wide
from seg.data import image_io
from seg.inference.device import Device, pick_device
from seg.models.registry import DEFAULT_WEIGHTS
from seg.profiling import image_size, latency
from seg.training.run import write_atomic


@dataclass(frozen=True)
class Benchmark:
    """Measure time and memory of every network beside its baselines."""

    sizes: tuple[str, ...] = tuple(f"{h}x{w}" for h, w in latency.SIZES)
    """Image sizes as HEIGHTxWIDTH."""
    repeats: int = 5
    """Repetitions, after one to warm up; the median counts."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    json: Path | None = None
    """File for all results as JSON."""
    plot: Path | None = None
    """File for a plot of time against size, ending in .html."""

    def run(self) -> None:
        if self.repeats < 1:
            raise CommandError("--repeats must be at least 1.")
        try:
            sizes = [(int(height), int(width)) for height, width in (size.split("x") for size in self.sizes)]
        except ValueError:
            sizes = []
        if not sizes or any(not 32 <= min(size) <= max(size) <= 8192 for size in sizes):
            raise CommandError("--sizes are HEIGHTxWIDTH, as 512x1024, with sides from 32 to 8192.")
        check_page(self.plot, "--plot")
        with progress_bar("measuring") as on_progress:
            cases = latency.latency_cases(sizes, pick_device(self.device))
            rows = latency.measure(cases, self.repeats, self.device, on_progress)
        heads = (
            "network",
            "precision",
            "size",
            "ms",
            "× encoder",
            "× torchvision fp32",
            "peak MB",
            "GFLOP",
            "MFU",
        )
        table = Table(*heads, title=latency.machine(pick_device(self.device)))
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            table.add_row(
                row.name,
                row.precision,
                "x".join(map(str, row.size)),
                f"{1000 * row.seconds:.0f}",
                f"{row.relative_to_encoder:.2f}",
                f"{row.relative_to_torchvision:.3f}",
                "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}",
                f"{row.flops / 1e9:.0f}",
                f"{row.mfu:.0%}",
                end_section=after is not None and after.size != row.size,
            )
        wide.print(table)
        save_json(self.json, [asdict(row) for row in rows])
        if self.plot:
            self.plot.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.plot, latency.draw(rows).to_html().encode())


@dataclass(frozen=True)
class ProfileSize:
    """Measure latency and memory by image size."""

    name: Positional[str] = DEFAULT_WEIGHTS
    """Name of the weights."""
    megapixels: tuple[float, ...] = image_size.MEGAPIXELS
    """Photo sizes in megapixels; the aspect ratio is 3:2."""
    repeats: int = 3
    """Repetitions; the median counts."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    plot: Path | None = None
    """File for a plot, ending in .html."""

    def run(self) -> None:
        most = image_io.MAX_MEGAPIXELS
        if (
            self.repeats < 1
            or not self.megapixels
            or not all(0.01 <= size <= most for size in self.megapixels)
        ):
            raise CommandError(
                f"--repeats must be at least 1, and --megapixels from 0.01 to {most}: larger photos are"
                " refused."
            )
        check_page(self.plot, "--plot")
        with progress_bar("measuring") as on_progress:
            rows = image_size.measure(self.name, self.megapixels, self.repeats, self.device, on_progress)
        parts = list(rows[0].seconds)
        device = pick_device(self.device)
        table = Table(
            "megapixels", "photo", "working image", *(f"{part}, ms" for part in parts), "all, ms", "peak MB"
        )
        for row in rows:
            shown = [
                f"{1000 * seconds:.0f}" for seconds in (*row.seconds.values(), sum(row.seconds.values()))
            ]
            memory = "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}"
            sizes = ("x".join(map(str, size)) for size in (row.size, row.working_size))
            table.add_row(f"{row.megapixels:g}", *sizes, *shown, memory)
        table.title = latency.machine(device)
        wide.print(table)
        if self.plot:
            self.plot.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.plot, image_size.draw(rows).to_html().encode())
