"""The command compare: two networks on the same photos."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.table import Table
from tyro.conf import Positional

from seg import paths
from seg.cli.console import (
    CommandError,
    check_outputs,
    check_page,
    console,
    load_split_with_progress,
    progress_bar,
    save_json,
    wide,
)
from seg.data.decode_cache import DecodedSplit
from seg.errors import printable
from seg.evaluation import comparison_html
from seg.evaluation.compared_counts import seconds_per_photo, source_counts
from seg.evaluation.comparison import Difference, NetworkComparison
from seg.evaluation.comparison import compare as compare_counts
from seg.evaluation.comparison_html import ComparisonFacts
from seg.evaluation.mask_sources import MaskSource, open_source
from seg.evaluation.photo_traits import load_traits
from seg.inference.device import Device


@dataclass(frozen=True)
class Compare:
    """Compare two networks on the same photos: differences with intervals, slices, and worst regressions."""

    first: Positional[str]
    """Weights NAME or NAME:VARIANT, a folder of masks, or an ONNX file with a description; see
    docs/command-line.md."""
    second: Positional[str]
    """What it is compared with, likewise; all differences are the first minus the second."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the data set."""
    split: Literal["train", "val"] = "val"
    """Split to compare on."""
    limit: int | None = None
    """Compare only the first LIMIT photos."""
    regressions: int = 6
    """Number of photos on which the first is worst against the second that are listed."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    report: Path | None = None
    """File for a report with plots and pictures, ending in .html."""
    json: Path | None = None
    """File for all results as JSON."""

    def run(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise CommandError("--limit must be at least 1.")
        if self.regressions < 0:
            raise CommandError("--regressions must be at least 0.")
        check_page(self.report, "--report")
        check_outputs(self.report, self.json)
        sources = [open_source(text, self.device) for text in (self.first, self.second)]
        if sources[0].fingerprint == sources[1].fingerprint:
            raise CommandError(f"{self.first} and {self.second} are the same.")
        split = load_split_with_progress(self.data, self.split)
        count = min(self.limit or len(split), len(split))
        for source in sources:
            source.check(split, count)
        compared, facts = self._compare(sources, split, count)
        _print(compared, facts)
        self._print_regressions(compared, facts)
        save_json(self.json, self._results(sources, split, compared, facts))
        if self.report:
            chosen = compared.regressions(self.regressions)
            masks = [[source.mask(split, photo.index) for source in sources] for photo in chosen]
            comparison_html.write_html(
                compared, facts, split, list(zip(chosen, masks, strict=True)), self.report
            )
            console.print(f"drawn to {self.report}", soft_wrap=True)

    def _compare(
        self, sources: list[MaskSource], split: DecodedSplit, count: int
    ) -> tuple[NetworkComparison, ComparisonFacts]:
        first, second = (_counts(source, split, count) for source in sources)
        with progress_bar("measuring photos") as on_progress:
            traits = load_traits(split, on_progress)
        groups = traits.groups(range(count))
        facts = ComparisonFacts(
            titles=(sources[0].title, sources[1].title),
            about=f"{count:,} photos of {printable(str(self.data))} {split.name}, on the unambiguous pixels.",
            notes=[note for source in sources for note in source.notes(split.classes)],
            small_classes=traits.small_classes(split.classes.names),
            seconds=seconds_per_photo(sources, split, count),
            photos=[printable(file.name) for file in split.files],
        )
        return compare_counts(first, second, split.classes.names, groups), facts

    def _print_regressions(self, compared: NetworkComparison, facts: ComparisonFacts) -> None:
        worst = compared.regressions(self.regressions)
        if worst:
            table = Table("worst regressions", "first", "second", "difference")
            for photo in worst:
                scores = (f"{photo.first:.4f}", f"{photo.second:.4f}", f"{photo.difference:+.4f}")
                table.add_row(facts.photos[photo.index], *scores)
            wide.print(table)

    def _results(
        self,
        sources: list[MaskSource],
        split: DecodedSplit,
        compared: NetworkComparison,
        facts: ComparisonFacts,
    ) -> dict[str, Any]:
        networks = [
            {"name": printable(text), "title": source.title, "kind": source.kind, "seconds": seconds}
            for text, source, seconds in zip((self.first, self.second), sources, facts.seconds, strict=True)
        ]
        return {
            "first": networks[0],
            "second": networks[1],
            "data": printable(str(self.data)),
            "split": split.name,
            "digest": split.digest,
            "small_classes": list(facts.small_classes),
            "notes": list(facts.notes),
            "won": compared.won,
            "lost": compared.lost,
            "equal": compared.equal,
            "overall": asdict(compared.overall),
            "per_photo": asdict(compared.per_photo),
            "by_class": {name: asdict(row) for name, row in compared.by_class.items()},
            "slices": [
                {"group": row.group, "name": row.name, **asdict(row.difference)} for row in compared.slices
            ],
            "photos": [
                {"photo": facts.photos[photo.index], **asdict(photo), "difference": photo.difference}
                for photo in compared.photos
            ],
        }


def _counts(source: MaskSource, split: DecodedSplit, count: int) -> np.ndarray:
    with progress_bar(f"counting {source.title}") as on_progress:
        return source_counts(source, split, count, on_progress)


def _print(compared: NetworkComparison, facts: ComparisonFacts) -> None:
    first, second = facts.titles
    console.print(f"first: {first}\nsecond: {second}\n{facts.about}", soft_wrap=True, highlight=False)
    for note in facts.notes:
        console.print(note, soft_wrap=True, highlight=False)
    totals = {"mean IoU": compared.overall, "mean IoU of a photo": compared.per_photo}
    _print_table("all photos", totals)
    console.print(comparison_html.verdict(compared), soft_wrap=True, highlight=False)
    console.print(comparison_html.photos_sentence(compared), soft_wrap=True, highlight=False)
    times = (
        f"{name} {comparison_html.seconds_cell(seconds)}"
        for name, seconds in zip(("first", "second"), facts.seconds, strict=True)
    )
    console.print(f"time per photo: {', '.join(times)}", soft_wrap=True, highlight=False)
    _print_table("class", compared.by_class)
    _print_table("slice", {row.name: row.difference for row in compared.slices})
    console.print(comparison_html.slices_sentence(facts.small_classes), soft_wrap=True, highlight=False)


def _print_table(title: str, rows: Mapping[str, Difference]) -> None:
    table = Table(title, "photos", "first", "second", "difference", "95 % interval")
    for name, row in rows.items():
        table.add_row(name, *comparison_html.difference_cells(row))
    wide.print(table)
