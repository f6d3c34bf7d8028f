"""Commands for published weights: list, show, verify, calibrate, export, quantize."""

import sys
from dataclasses import dataclass, field
from json import dumps, loads
from pathlib import Path
from typing import Annotated

from rich.table import Column, Table
from tyro.conf import Positional, subcommand

from seg import paths
from seg.cli.calibration import Calibrate
from seg.cli.console import CommandError, console, load_split_with_progress, progress_bar, wide
from seg.evaluation.evaluate import format_score
from seg.inference.quantization import quantize
from seg.jobs import displayed_command
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import METRIC_SETS, WeightsError, evaluated_on, to_json
from seg.models.registry import list_weights, no_weights_message, read_card, verify_weights
from seg.publishing import export
from seg.publishing.parity import parity
from seg.system.folders import broken_links


@dataclass(frozen=True)
class Quantize:
    """Quantize published weights to int8 for `predict --engine onnx` or `openvino`, on this machine."""

    name: Positional[str]
    """Name of the weights."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the data set; the last photos of train, which trainings hold out, calibrate the ranges."""
    count: int = 60
    """Number of photos."""

    def run(self) -> None:
        if self.count < 1:
            raise CommandError("--count must be at least 1.")
        load_split_with_progress(self.data, "train")
        with progress_bar("reading photos") as on_progress:
            file = quantize(self.name, self.data, self.count, on_progress)
        console.print(f"{file}: {file.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
        data = [] if self.data == paths.default_dataset() else ["--data", str(self.data)]
        command = ["evaluate", self.name, *data, "--engine", "openvino", "--precision", "int8"]
        console.print(f"Its accuracy: {displayed_command(command)}", soft_wrap=True)


@dataclass(frozen=True)
class Export:
    """Export published weights to ONNX or torch.export, and compare them with PyTorch."""

    name: Positional[str]
    """Name of the weights."""
    out: Path
    """File to write: .onnx, or .pt2 for torch-export."""
    format: export.Format = "onnx"
    """onnx, or torch-export: an exported program of PyTorch."""
    variants: tuple[str, ...] = ()
    """Variants to export, one output each; by default all of the weights."""
    photo_in: bool = False
    """Include the preprocessing: uint8 RGB at working size in, train ids out; else a normalized image in,
    logits out."""
    data: Path | None = None
    """Folder of the pairs whose val photos are compared; by default rendered scenes."""
    count: int = 20
    """Number of photos to compare; 0 for none."""

    def run(self) -> None:
        if self.count < 0:
            raise CommandError("--count must be at least 0.")
        if self.data and self.count:
            load_split_with_progress(self.data, "val")  # reports an unusable data set before the export
        module = export.export(self.name, self.out, self.format, self.variants, self.photo_in)
        console.print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
        if not self.count:
            return
        card = read_card(self.name)
        with progress_bar("comparing") as on_progress:
            exported = export.open_exported(self.out, self.format)
            rows, own_seconds, file_seconds = parity(
                exported, module, card.working_height, self.data, self.count, on_progress, card.class_set
            )
        of = f"val of {self.data}" if self.data else "rendered scenes"
        table = Table(
            "",
            "largest difference of logits",
            "pixels that differ",
            "mean IoU, PyTorch",
            "mean IoU, file",
            title=f"{self.out.name} beside PyTorch in fp32, {rows[0].photos} photos, {of}",
        )
        for row in rows:
            table.add_row(
                DISPLAY_NAMES[row.variant],
                "–" if row.max_difference is None else f"{row.max_difference:.2g}",
                f"{row.disagreement:.4%}",
                *map(format_score, row.mean_iou),
            )
        console.print(table)
        console.print(
            f"median of a photo {card.working_height} high: PyTorch {1000 * own_seconds:.0f} ms, the file"
            f" {1000 * file_seconds:.0f} ms"
        )


def _published() -> list[str]:
    """The names of all published weights. Raises `WeightsError` if there are none."""
    names = list_weights()
    if not names:
        raise WeightsError(no_weights_message())
    return names


@dataclass(frozen=True)
class List:
    """List the published weights."""

    def run(self) -> None:
        names = _published()
        table = Table(
            Column("name", no_wrap=True), "variants", "mean IoU", "evaluated on", "parameters", "file"
        )
        broken = broken_links(paths.weights())
        for name in names:
            try:
                card = read_card(name)
            except WeightsError as error:
                broken.append(str(error))
                continue
            scores = card.metrics.get("variants", {})
            table.add_row(
                name,
                " ".join(card.variants),
                " ".join(format_score(scores.get(v, {}).get("mean_iou"), 3) for v in card.variants),
                evaluated_on(card.metrics),
                f"{card.parameters / 1e6:.1f} M",
                f"{card.bytes / 1e6:.1f} MB",
            )
        wide.print(table)
        if broken:
            raise CommandError(" ".join(broken))


@dataclass(frozen=True)
class Show:
    """Print the model card as JSON."""

    name: Positional[str]
    """Name of the weights."""
    full: bool = False
    """Include the confusion matrices, which are long."""

    def run(self) -> None:
        card = loads(to_json(read_card(self.name)))
        for key in () if self.full else METRIC_SETS:
            for scores in card["metrics"].get(key, {}).values():
                del scores["confusion"]
        sys.stdout.write(dumps(card, indent=1) + "\n")


@dataclass(frozen=True)
class Verify:
    """Check the files of weights against the hashes on their cards."""

    name: Positional[str | None] = None
    """Name of the weights; by default all."""

    def run(self) -> None:
        names, broken = [self.name] if self.name else _published(), []
        for name in names:
            try:
                card = verify_weights(name)
            except WeightsError as error:
                broken.append(str(error))
                continue
            console.print(f"{name}: sha256 {card.sha256} is right, {card.bytes} bytes", soft_wrap=True)
        if broken:
            raise CommandError(" ".join(broken))


@dataclass(frozen=True)
class Weights:
    """List, show, verify or calibrate published weights."""

    action: (
        Annotated[List, subcommand("list")]
        | Annotated[Show, subcommand("show")]
        | Annotated[Verify, subcommand("verify")]
        | Annotated[Calibrate, subcommand("calibrate")]
    )

    def run(self) -> None:
        self.action.run()
