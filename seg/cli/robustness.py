"""The command robustness: accuracy on corrupted photos."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.table import Table
from tyro.conf import Positional

from seg import paths
from seg.cli.console import (
    CommandError,
    check_outputs,
    check_page,
    check_variants,
    console,
    load_held_out,
    load_split_with_progress,
    progress_bar,
    save_json,
)
from seg.data.datasets import check_classes
from seg.errors import printable
from seg.evaluation import robustness
from seg.evaluation.corruptions import STRENGTHS
from seg.evaluation.evaluate import format_score
from seg.evaluation.robustness import Robustness as Results
from seg.evaluation.robustness_html import write_html
from seg.inference.device import Device
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.models.registry import read_card


@dataclass(frozen=True)
class Robustness:
    """Evaluate published weights on photos with fog, noise, blur and other corruptions."""

    name: Positional[str]
    """Name of the weights."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the data set."""
    split: Literal["val", "held-out"] = "val"
    """Split to evaluate on; held-out: the last samples of train, which the training did not use."""
    variants: tuple[str, ...] = ()
    """Variants to print and plot; by default the finest. All are evaluated."""
    limit: int = 100
    """Number of samples, evenly spread over the split; each takes 25 predictions."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    json: Path | None = None
    """File for the results of all variants as JSON."""
    html: Path | None = None
    """File for a page with plots, ending in .html."""

    def run(self) -> None:
        if self.limit < 1:
            raise CommandError("--limit must be at least 1.")
        check_page(self.html, "--html")
        check_outputs(self.html, self.json)
        predictor = Predictor.from_pretrained(self.name, self.device, precision="fp32")
        check_variants(predictor.model.variants, self.variants)
        split = (
            load_held_out(self.name, self.data)
            if self.split == "held-out"
            else load_split_with_progress(self.data, "val")
        )
        indices = robustness.evenly_spaced(len(split), self.limit)
        check_classes(predictor.classes, split, self.name)
        with progress_bar("evaluating") as on_progress:
            by_variant = robustness.evaluate_corrupted(predictor, split, indices, on_progress)
        if predictor.note:
            console.print(predictor.note)
        results = Results(
            version=robustness.ROBUSTNESS_VERSION,
            weights=self.name,
            sha256=read_card(self.name).sha256,
            data=printable(str(self.data)),
            split=split.name,
            digest=split.digest,
            images=len(indices),
            working_height=predictor.working_height,
            variants=by_variant,
        )
        robustness.save(results)
        variants = self.variants or predictor.model.variants[-1:]
        _print(results, variants)
        save_json(self.json, results.model_dump())
        if self.html:
            write_html(results, variants, self.html)
            console.print(f"drawn to {self.html}", soft_wrap=True)


def _print(results: Results, variants: Sequence[str]) -> None:
    """Print a table of each variant, a row per corruption."""
    for variant in variants:
        of_variant = results.variants[variant]
        table = Table(
            "mean IoU by strength",
            *map(str, STRENGTHS),
            "mean",
            "relative loss",
            title=f"{DISPLAY_NAMES[variant]} ({results.weights}) on {results.images} samples of "
            f"{results.data} {results.split}",
        )
        table.add_row("clean", *("" for _ in STRENGTHS), format_score(of_variant.clean), "")
        table.add_section()
        for corruption, scores in of_variant.corrupted.items():
            means = of_variant.mean_of(corruption), of_variant.relative_loss_of(corruption)
            table.add_row(corruption, *map(format_score, scores), format_score(means[0]), _percent(means[1]))
        table.add_section()
        means = of_variant.mean, of_variant.relative_loss
        table.add_row("all", *("" for _ in STRENGTHS), format_score(means[0]), _percent(means[1]))
        console.print(table)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
