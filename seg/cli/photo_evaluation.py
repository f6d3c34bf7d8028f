"""The parts of evaluate and resolution that work on photos of another data set."""

from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from seg.cli.console import check_variants, console, progress_bar, save_json
from seg.cli.metric_tables import difference_cells
from seg.errors import printable
from seg.evaluation import labelled_photos, resolution_study
from seg.evaluation.evaluate import format_interval, format_score
from seg.inference.device import Device
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES

HEIGHTS = (256, 320, 384, 448, 512, 560, 640)
"""Working heights that `resolution` compares."""


def evaluate(
    name: str,
    folder: Path,
    classes: Path,
    variants: tuple[str, ...],
    height: int | None,
    device: Device,
    json: Path | None,
) -> None:
    """Evaluate weights on the photos of a folder, print the metrics and write them to `json`, if given.

    Raises:
        StreetFCNError: if the weights, the photos or the class mapping cannot be used.
    """
    mapping, photos = labelled_photos.read_mapping(classes), labelled_photos.find_photos(folder)
    predictor = Predictor.from_pretrained(name, device, precision="fp32")
    check_variants(predictor.model.variants, variants)
    predictor = predictor.with_resolution(height or predictor.working_height, predictor.resize_mode)
    with progress_bar("evaluating") as on_progress:
        results = labelled_photos.evaluate_photos(
            predictor, photos, mapping, variants or predictor.model.variants, on_progress
        )
    reports = labelled_photos.report(results, mapping)
    title = f"{name} on {len(photos)} photos of {mapping.name}, {predictor.working_height} pixels high"
    table = Table("", *(DISPLAY_NAMES[variant] for variant in reports), title=title)
    for key in ("pixel_accuracy", "mean_accuracy", "mean_iou"):
        label = key.replace("_", " ").replace("iou", "IoU")
        table.add_row(label, *(format_score(report[key]) for report in reports.values()))
        intervals = [format_interval(report["intervals"].get(key)) for report in reports.values()]
        table.add_row("  95 % interval", *intervals, style="dim")
    table.add_section()
    for class_name in mapping.classes:
        table.add_row(class_name, *(format_score(report["iou"][class_name]) for report in reports.values()))
    console.print(table)
    about = {
        "weights": name,
        "photos": printable(str(folder)),
        "data_set": mapping.name,
        "images": len(photos),
    }
    save_json(json, about | {"working_height": predictor.working_height, "variants": reports})


def resolution(name: str, folder: Path, classes: Path, device: Device, json: Path | None) -> None:
    """Compare working resolutions on the photos of a folder, and print mean IoU, time and differences.

    Raises:
        StreetFCNError: if the weights, the photos or the class mapping cannot be used.
    """
    mapping, photos = labelled_photos.read_mapping(classes), labelled_photos.find_photos(folder)
    predictor = Predictor.from_pretrained(name, device)
    with progress_bar("evaluating") as on_progress:
        rows = resolution_study.study_photos(predictor, photos, mapping, HEIGHTS, on_progress)
    variant = DISPLAY_NAMES[predictor.model.variants[-1]]
    table = Table(
        *("height", "resize mode", "size", "mean IoU", "difference", "95 % interval", "ms"),
        title=f"{variant} on {len(photos)} photos of {mapping.name}; differences from the first row",
    )
    for row in rows:
        difference = difference_cells(row.difference.mean_iou, row.difference.low, row.difference.high)
        table.add_row(
            str(row.working_height),
            row.resize_mode,
            f"{row.size[1]}x{row.size[0]}",
            format_score(row.mean_iou),
            *difference,
            f"{1000 * row.seconds:.0f}",
        )
    console.print(table)
    save_json(json, {"weights": name, "data_set": mapping.name, "rows": [asdict(row) for row in rows]})
