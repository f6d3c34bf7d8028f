"""Commands that measure accuracy: evaluate, leaderboard, resolution."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.table import Table
from tyro.conf import Positional, arg

from seg import paths
from seg.cli import photo_evaluation
from seg.cli.console import (
    CommandError,
    check_height,
    check_outputs,
    check_page,
    check_variants,
    console,
    error_message,
    load_split_with_progress,
    progress_bar,
    save_json,
    wide,
)
from seg.cli.metric_tables import print_comparisons, print_ignored, print_metrics, print_paired_differences
from seg.data.datasets import check_classes, check_split, split_digest, split_files
from seg.data.image_set import find_image_set
from seg.errors import printable
from seg.evaluation import evaluate, grid_reference, resolution_study, store
from seg.evaluation import leaderboard as comparison
from seg.evaluation.leaderboard_html import write_html
from seg.inference.device import Device
from seg.inference.engines import Engine, Precision
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.models.registry import read_card
from seg.system.status_file import at_work, write_status


@dataclass(frozen=True)
class Evaluate:
    """Evaluate published weights on a data set, with labels at 256x256, or on photos of another one."""

    name: Positional[str]
    """Name of the weights."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the data set."""
    split: Literal["train", "val"] = "val"
    """Split to evaluate on."""
    variants: tuple[str, ...] = ()
    """Variants to evaluate; by default all of the weights."""
    limit: int | None = None
    """Evaluate only the first LIMIT samples."""
    height: int | None = None
    """Working height in pixels; by default the card's."""
    tta: Annotated[bool, arg(aliases=["--best"])] = False
    """Multi-scale + flip (TTA): average three scales, each also mirrored; several times slower."""
    ground_truth: Annotated[evaluate.GroundTruth, arg(aliases=["--truth"])] = "decoded"
    """decoded, or nearest: nearest-color decoding, for comparison with results that were computed so."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    engine: Engine = "torch"
    """What computes the network: torch; onnx (ONNX Runtime) or openvino, on the CPU; auto: openvino on a CPU
    if it is installed."""
    precision: Precision = "fp32"
    """fp32, whose results are the same on every machine; bf16; or int8 after `quantize`."""
    json: Path | None = None
    """File for all results as JSON, confusion matrices included."""
    keep: bool = False
    """Keep the counts of every photo for the Evaluation page; only for a whole split at the card's
    settings."""
    photos: Path | None = None
    """Folder of photos NAME.jpg with labels NAME.png of another data set; instead of --data."""
    classes: Path | None = None
    """JSON file that maps the classes of these labels; see docs/command-line.md."""

    def run(self) -> None:
        self._check()
        check_outputs(self.json)
        if self.photos and self.classes:
            photo_evaluation.evaluate(
                self.name, self.photos, self.classes, self.variants, self.height, self.device, self.json
            )
            return
        predictor = Predictor.from_pretrained(
            self.name, self.device, precision=self.precision, engine=self.engine
        )
        files = split_files(self.data, self.split)
        check_split(self.data, self.split, slice(self.limit))
        check_variants(predictor.model.variants, self.variants)
        if self.ground_truth != "decoded" and find_image_set(self.data) is not None:
            raise CommandError("--ground-truth goes with pairs only.")
        sha256 = read_card(self.name).sha256
        folder = store.store_dir(sha256, split_digest(self.data, self.split))
        if not self.keep:
            self._evaluate(predictor, len(files), sha256, folder)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with at_work(folder, store.NOTE):
            self._evaluate(predictor, len(files), sha256, folder)

    def _evaluate(self, predictor: Predictor, pairs: int, sha256: str, folder: Path) -> None:
        """Evaluate, print and store the results; `folder` is that of `store.store_dir`."""
        variants = self.variants or predictor.model.variants
        indices = range(pairs)[: self.limit]
        start = time.time()

        def report(status: str, **more: str | int) -> None:  # for the page that started it
            if self.keep:
                write_status(
                    folder, store.NOTE, {"status": status, "total": len(indices), "since": start, **more}
                )

        try:
            split = load_split_with_progress(self.data, self.split)
            check_classes(predictor.classes, split, self.name)
            with progress_bar("evaluating") as bar:

                def on_progress(done: int, total: int) -> None:
                    bar(done, total)
                    report("running", done=done)

                counts = evaluate.accumulate(
                    predictor,
                    split,
                    variants,
                    indices,
                    self.height,
                    self.ground_truth,
                    self.tta,
                    on_progress=on_progress,
                )
        except BaseException as error:
            report("failed", message=error_message(error))
            raise
        if predictor.note:
            console.print(predictor.note)
        results = {
            "weights": self.name,
            "sha256": sha256,
            "data": printable(str(self.data)),
            "digest": split.digest,
            "split": self.split,
            "images": len(indices),
            "truth": self.ground_truth,
            "version": evaluate.EVALUATION_VERSION,
            "working_height": self.height or predictor.working_height,
            "best_quality": self.tta,
            "engine": self.engine,
            "precision": self.precision,
            "temperature": {} if self.tta else predictor.temperatures,
            "ignored": evaluate.ignored_pixels(split, indices) if self.ground_truth == "decoded" else None,
            "variants": {variant: evaluate.report(counted) for variant, counted in counts.items()},
            "paired_differences": evaluate.paired_differences(counts),
        }
        self._print(results)
        if self.keep:
            store.save(folder, results, counts)
            report("finished")
        save_json(self.json, results)

    def _print(self, results: dict[str, Any]) -> None:
        quality = ", multi-scale + flip (TTA)" if self.tta else ""
        title = f"{self.name} on {results['images']} photos of {self.data} {self.split}{quality}"
        print_metrics(title, results["variants"])
        print_ignored(results["ignored"])
        print_paired_differences(results["paired_differences"])

    def _check(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise CommandError("--limit must be at least 1.")
        if self.keep and (
            self.limit or self.height or self.tta or self.variants or self.ground_truth != "decoded"
        ):
            raise CommandError("--keep goes with a whole split, all variants and the card's own height.")
        if (self.keep or self.photos) and (self.engine, self.precision) != ("torch", "fp32"):
            raise CommandError("--engine and --precision do not go with --keep or --photos.")
        if (self.photos is None) != (self.classes is None):
            raise CommandError("--photos and --classes go together.")
        if self.photos and (self.keep or self.limit or self.tta or self.ground_truth != "decoded"):
            raise CommandError("--photos goes with --variants, --height, --device and --json only.")
        check_height(self.height)


@dataclass(frozen=True)
class Leaderboard:
    """Compare all published networks and baselines; draw them as an HTML page."""

    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the pairs; the cell-share references are computed on its val."""
    baselines: Annotated[Path | None, arg(aliases=["--controls"])] = None
    """Folder of the baselines' cards, NAME/card.json; by default those of Street FCN."""
    out: Path | None = None
    """File for the page, ending in .html."""
    json: Path | None = None
    """File for all results as JSON."""
    device: Device = "auto"
    """auto: a GPU if there is one."""

    def run(self) -> None:
        if self.baselines and not self.baselines.is_dir():
            raise CommandError(f"There is no folder {self.baselines}.")
        check_page(self.out, "--out")
        check_outputs(self.out, self.json)
        split = load_split_with_progress(self.data, "val")
        published, baselines = comparison.cards(self.baselines or paths.baselines(), classes=split.classes)
        cards = (*published, *baselines)
        if not cards:
            raise CommandError(f"No published weights predict the classes of {self.data}.")
        working_heights = sorted({card.working_height for card in published})
        heights = sorted({*comparison.HEIGHTS, *(card.working_height for card in cards)})
        about = f"{len(split)} labels of {self.data} val"
        with progress_bar("cell-share references") as on_progress:
            references = grid_reference.reference_scores(
                split, heights, comparison.STRIDES, on_progress, working_heights
            )
        with progress_bar("times") as on_progress:
            seconds = comparison.measure(comparison.timing_cases(cards), self.device, on_progress)
        rows = comparison.rows(published, baselines, references, split.digest, seconds)
        self._print_references(references, heights, about)
        self._print_rows(rows)
        compared = comparison.comparisons(published)
        print_comparisons(compared)
        methods = comparison.about_methods(published)
        for note in (methods, *comparison.notes(cards, split.digest)):
            console.print(note, soft_wrap=True, highlight=False)
        if self.out:
            note = (
                "Each row was evaluated at its own height, on the samples that its card names; the cell-share"
                f" references of the output grids are the mean IoU of {about}. {methods}"
            )
            write_html(rows, references, note, self.out)
            console.print(f"drawn to {self.out}", soft_wrap=True)
        grid_references = [{"height": h, "stride": s, **asdict(v)} for (h, s), v in references.items()]
        results = {"grid_references": grid_references, "rows": [asdict(row) for row in rows]}
        save_json(self.json, results | {"comparisons": [asdict(row) for row in compared]})

    @staticmethod
    def _print_references(
        references: dict[tuple[int, int], grid_reference.GridReference], heights: list[int], about: str
    ) -> None:
        grid = Table(
            "input",
            *(f"stride {stride}" for stride in comparison.STRIDES),
            title=f"cell-share reference of the output grids: mean IoU of {about}",
        )
        for height in heights:
            values = (references[height, stride].cell_shares for stride in comparison.STRIDES)
            grid.add_row(f"{height}x{2 * height}", *map(evaluate.format_score, values))
        console.print(grid)
        table = Table(
            "input",
            "stride",
            "cell shares",
            "optimized scores",
            title=f"{grid_reference.SAMPLE} of these labels; optimized scores bound the maximum from below",
        )
        for (height, stride), reference in references.items():
            if reference.sample_optimized is not None:
                both = (reference.sample_cell_shares, reference.sample_optimized)
                table.add_row(f"{height}x{2 * height}", str(stride), *map(evaluate.format_score, both))
        console.print(table)

    @staticmethod
    def _print_rows(rows: list[comparison.LeaderboardRow]) -> None:
        table = Table(*comparison.header(rows))
        for row in rows:
            table.add_row(*comparison.format_row(row))
        wide.print(table)
        finest = comparison.finest(rows)
        classes = Table(
            "class", *(row.network for row in finest), title="IoU by class, finest variant of each network"
        )
        for name in finest[0].report["iou"] if finest else ():
            classes.add_row(name, *(evaluate.format_score(row.report["iou"][name]) for row in finest))
        console.print(classes)


@dataclass(frozen=True)
class Resolution:
    """Measure mean IoU by working height, aspect ratio and resize mode."""

    name: Positional[str]
    """Name of the weights."""
    data: Path = field(default_factory=paths.default_dataset)
    """Folder of the pairs; its val photos are cropped to other shapes."""
    count: int = 50
    """Number of photos of each shape and size."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    photos: Path | None = None
    """Folder of photos NAME.jpg with labels NAME.png of another data set; instead of --data."""
    classes: Path | None = None
    """JSON file that maps the classes of these labels; see docs/command-line.md."""
    json: Path | None = None
    """File for the results of --photos as JSON."""

    def run(self) -> None:
        if self.count < 1:
            raise CommandError("--count must be at least 1.")
        if (self.photos is None) != (self.classes is None):
            raise CommandError("--photos and --classes go together.")
        check_outputs(self.json)
        if self.photos and self.classes:
            photo_evaluation.resolution(self.name, self.photos, self.classes, self.device, self.json)
            return
        predictor = Predictor.from_pretrained(self.name, self.device)
        split = load_split_with_progress(self.data, "val")
        if not split.is_pairs:
            raise CommandError("This measurement needs pairs; use --photos and --classes for other photos.")
        with progress_bar("evaluating") as on_progress:
            rows = resolution_study.study(predictor, split, self.count, on_progress)
        variant = DISPLAY_NAMES[predictor.model.variants[-1]]
        heights = sorted({height for row in rows for height in row["by_height"]})
        table = Table(
            "photos",
            "shape",
            "width",
            *map(str, heights),
            "fit height",
            "cover",
            title=f"mean IoU of {variant} by working height, {self.count} photos per row",
        )
        for row in rows:
            cells = (evaluate.format_score(row["by_height"].get(height)) for height in heights)
            rules = (evaluate.format_score(row["by_rule"][rule]) for rule in ("fit_height", "cover"))
            table.add_row(row["source"], row["shape"], str(row["width"]), *cells, *rules)
        wide.print(table)
