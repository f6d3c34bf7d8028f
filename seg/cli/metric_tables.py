"""Tables of metrics on the console: those of an evaluation, and differences between networks."""

from collections.abc import Sequence

from rich.table import Table

from seg.cli.console import console, wide
from seg.evaluation import evaluate
from seg.evaluation.leaderboard import Comparison
from seg.models.factory import DISPLAY_NAMES


def print_metrics(title: str, rows: dict[str, dict]) -> None:
    """Print the reports of some variants; the label sets follow the metrics on the unambiguous pixels."""
    table = Table("", *(DISPLAY_NAMES[v] for v in rows), title=title)
    reports = list(rows.values())
    unambiguous = "on unambiguous pixels" if "all_labelled" in reports[0] else "on labelled pixels"
    label_sets = {key: name for key, name in evaluate.LABEL_SETS.items() if key in reports[0]}
    for name, of_set in (
        (unambiguous, reports),
        *((f"on {name}", [report[key] for report in reports]) for key, name in label_sets.items()),
    ):
        table.add_row(name, *("" for _ in reports), style="bold")
        _add_means(table, of_set)
        table.add_section()
    if label_sets:
        table.add_row(unambiguous, style="bold")
    for sizes in zip(*(r["by_size"] for r in reports), strict=True):
        table.add_row(
            evaluate.size_bin_label(sizes[0]), *(evaluate.format_score(size["iou"]) for size in sizes)
        )
    groups = ["category_iou", "iou"]
    if list(reports[0]["category_iou"]) == list(reports[0]["iou"]):  # every class is a category of its own
        groups = groups[1:]
    for group in groups:
        table.add_section()
        for name in reports[0][group]:
            table.add_row(name, *(evaluate.format_score(r[group][name]) for r in reports))
    console.print(table)


def _add_means(table: Table, reports: Sequence[dict]) -> None:
    """Add the rows of the metrics over all classes, with their intervals."""
    for key in ("pixel_accuracy", "mean_accuracy", "mean_iou"):
        table.add_row(_metric_name(key), *(evaluate.format_score(r[key]) for r in reports))
        intervals = [evaluate.format_interval(r["intervals"].get(key)) for r in reports]
        if any(r["intervals"] for r in reports):
            table.add_row("  95 % interval", *intervals, style="dim")
    table.add_row(
        _metric_name("frequency_weighted_iou"),
        *(evaluate.format_score(r["frequency_weighted_iou"]) for r in reports),
    )
    width = reports[0].get("boundary_width")
    table.add_row(
        "boundary IoU" + (f", {width} pixels wide" if width else ""),
        *(evaluate.format_score(r["boundary_iou"]) for r in reports),
    )
    table.add_row(
        _metric_name("calibration_error"),
        *(evaluate.format_score(r.get("calibration_error")) for r in reports),
    )


def _metric_name(key: str) -> str:
    return key.replace("_", " ").replace("iou", "IoU")


def print_ignored(ignored: dict | None) -> None:
    """Print which labelled pixels are ambiguous; nothing if there is no such count."""
    if ignored is not None:
        reasons = ", ".join(f"{reason} {share:.2%}" for reason, share in ignored["by_reason"].items())
        console.print(
            f"{ignored['share']:.2%} of the labelled pixels are ambiguous ({reasons}). “All labelled pixels”"
            " uses their most likely class."
        )


def print_paired_differences(rows: list[dict]) -> None:
    """Print the differences of `evaluate.paired_differences`, if there are any."""
    if not rows:
        return
    table = Table("mean IoU on the same photos", "pixels", "difference", "95 % interval")
    for row in rows:
        table.add_row(
            f"{DISPLAY_NAMES[row['first']]} − {DISPLAY_NAMES[row['second']]}",
            evaluate.LABEL_SETS.get(row["pixels"], row["pixels"]),
            *difference_cells(row["mean_iou"], row["low"], row["high"]),
        )
    console.print(table)


def print_comparisons(rows: Sequence[Comparison]) -> None:
    """Print the differences between published networks, if there are any."""
    if not rows:
        return
    columns = ("unambiguous pixels", "95 % interval", "all labelled pixels", "95 % interval")
    table = Table("mean IoU on the same photos", *columns)
    for row in rows:
        cells = (
            cell
            for difference in (row.unambiguous, row.all_labelled)
            for cell in difference_cells(difference.mean_iou, difference.low, difference.high)
        )
        names = (f"{DISPLAY_NAMES[variant]} ({name})" for name, variant in (row.first, row.second))
        table.add_row(" − ".join(names), *cells)
    wide.print(table)


def difference_cells(difference: float, low: float | None, high: float | None) -> tuple[str, str]:
    """Format a difference and its interval, which is None for few photos."""
    return f"{difference:+.4f}", evaluate.format_difference_interval(low, high)
