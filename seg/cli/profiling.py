"""Commands that measure time and memory: benchmark, profile-size."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from tyro.conf import Positional

from seg.cli.console import CommandError, check_outputs, check_page, console, progress_bar, save_json, wide
from seg.data import image_io
from seg.inference.device import CPU, Device, pick_device
from seg.inference.engines import REQUIREMENTS
from seg.models.registry import DEFAULT_WEIGHTS
from seg.profiling import engine_networks, image_size, latency
from seg.training.run import write_atomic

MAX_BATCH_SIZE = 256


@dataclass(frozen=True)
class Benchmark:
    """Measure time and memory of every network beside its baselines."""

    sizes: tuple[str, ...] = tuple(f"{h}x{w}" for h, w in latency.SIZES)
    """Image sizes as HEIGHTxWIDTH."""
    repeats: int = 5
    """Repetitions, after one to warm up; the median counts."""
    batch_sizes: tuple[int, ...] = (1,)
    """Images at once, for all three masks in PyTorch."""
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
        if not self.batch_sizes or not all(1 <= batch <= MAX_BATCH_SIZE for batch in self.batch_sizes):
            raise CommandError(f"--batch-sizes are from 1 to {MAX_BATCH_SIZE}.")
        check_page(self.plot, "--plot")
        check_outputs(self.plot, self.json)
        device, with_engines = pick_device(self.device), engine_networks.are_installed()
        if not with_engines and device == CPU:
            console.print(f"Engines are not measured. To add them: pip install -r {REQUIREMENTS}")
        with progress_bar("measuring") as on_progress:
            cases = latency.latency_cases(sizes, device, self.batch_sizes, with_engines)
            rows = latency.measure(cases, self.repeats, self.device, on_progress)
        wide.print(_latency_table(rows, latency.machine(device)))
        save_json(self.json, [asdict(row) for row in rows])
        if self.plot:
            self.plot.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.plot, latency.draw(rows).to_html().encode())


def _latency_table(rows: Sequence[latency.LatencyResult], title: str) -> Table:
    columns = ("network", "precision", "size", "batch", "ms per image", "images/s", "× encoder")
    table = Table(*columns, "× torchvision fp32", "peak MB", "GFLOP", "MFU", title=title)
    for number, row in enumerate(rows):
        table.add_row(
            *(row.name, row.precision, "x".join(map(str, row.size)), str(row.batch)),
            f"{1000 * row.seconds:.0f}",
            f"{1 / row.seconds:.1f}",
            _formatted(row.relative_to_encoder, ".2f"),
            _formatted(row.relative_to_torchvision, ".3f"),
            "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}",
            f"{row.flops / 1e9:.0f}",
            _formatted(row.mfu, ".0%"),
            end_section=[row.size] != [after.size for after in rows[number + 1 : number + 2]],
        )
    return table


def _formatted(value: float | None, spec: str) -> str:
    return "–" if value is None else f"{value:{spec}}"


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
        check_outputs(self.plot)
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
