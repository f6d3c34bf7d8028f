"""The command line: python -m seg COMMAND. Each command is a dataclass whose fields are its options."""

import os
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Column, Table
from tyro.conf import Positional, arg, subcommand

from seg import (
    bench,
    ceiling,
    checkpoint,
    cluster,
    cost,
    dataset,
    encoder,
    evaluate,
    export,
    folder,
    growth,
    labels,
    photo,
    predict,
    publish,
    recipe,
    resolution,
    runs,
    scenes,
    scoring,
    stopping,
    team,
    train,
    weights,
)
from seg import table as comparison
from seg.files import why
from seg.networks import TITLES


class _Console(Console):
    """Prints what others have named, but nothing in it that a terminal would take for an order."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(_tame(one) if isinstance(one, str) else one for one in objects), **how)


def _tame(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "\ufffd", text)


console = _Console()
wide = _Console(width=max(console.width, 180))  # for tables of many columns: the terminal may wrap them, Rich would cut them


ALREADY = {
    "weights": "This recipe is trained already: the weights {name} came of it.",
    "finished": "This recipe is trained already in {name}. Publish it: python -m seg publish {name} --name NAME.",
    "unfinished": "This recipe was begun in {name}. Go on with it: python -m seg train --resume {name}.",
}

LOG = 60
"""Seconds between two lines of progress where the output is no terminal."""

SENTENCES = 20
"""So many photos that failed are told singly."""


class CommandError(ValueError):
    """A command that cannot be carried out as it was given; the message says why."""


@dataclass(frozen=True)
class Fetch:
    """Download the Cityscapes Image Pairs from Kaggle (115 MB)."""

    to: Path = recipe.TrainConfig.data
    """Folder to place them in, new or empty."""

    def run(self) -> None:
        console.print(f"{dataset.fetch(self.to)} holds the pairs. Look at them: python -m seg data check {self.to}")


@dataclass(frozen=True)
class Check:
    """Count and verify the pairs of a data set, decode them once, and print each class's share of the pixels."""

    folder: Positional[Path]
    """The data set: train/1.jpg … and val/1.jpg …"""
    split: Literal["train", "val"] | None = None
    """Only this split."""

    def run(self) -> None:
        table = Table("class", title=f"share of the pixels that have a class, decoder {labels.DECODER_VERSION}")
        columns, totals = [], []
        for name in (self.split,) if self.split else dataset.SPLITS:
            self._verify(name)
            split = _load(self.folder, name)
            shares, ignored = dataset.class_shares(split.labels)
            table.add_column(f"{name} ({len(split)} pairs)", justify="right")
            columns.append([f"{share:.3%}" for share in shares])
            totals.append(f"{ignored:.3%}")
            console.print(f"{name}: {len(split)} pairs, digest {split.digest}", soft_wrap=True)
        for row in zip(labels.NAMES, *columns, strict=True):
            table.add_row(*row)
        table.add_section()
        table.add_row("ignored, of all pixels", *totals)
        console.print(table)

    def _verify(self, name: str) -> None:
        with _telling(f"verifying {name}") as told:
            damaged = dataset.damaged(dataset.find(self.folder, name), told)
        for sentence in damaged:
            console.print(f"[red]damaged[/] {escape(sentence)}", soft_wrap=True)
        if damaged:
            raise CommandError(f"{len(damaged)} of the pairs in {self.folder / name} are damaged.")


@dataclass(frozen=True, kw_only=True)
class Render(scenes.Wishes):
    """Render street scenes with exact labels as a data set of pairs; what is not said of them is left to chance."""

    to: Path
    """Folder to write to, new or empty."""
    train: int = 300
    """How many pairs to train on."""
    val: int = 50
    """How many to score on."""
    seed: int = 0
    """Other seeds give other scenes."""

    def run(self) -> None:
        if min(self.train, self.val) < 1:
            raise CommandError("--train and --val must be at least 1.")
        wishes = scenes.Wishes(**{f.name: getattr(self, f.name) for f in fields(scenes.Wishes)})
        with _telling("rendering") as told:
            scenes.write_pairs(self.to, self.train, self.val, self.seed, told, wishes)
        console.print(f"{self.to}: {self.train} pairs in train, {self.val} in val, exact labels in exact/")


@dataclass(frozen=True)
class Data:
    """Fetch, check or render a data set of pairs."""

    action: (
        Annotated[Fetch, subcommand("fetch")] | Annotated[Check, subcommand("check")] | Annotated[Render, subcommand("render")]
    )

    def run(self) -> None:
        self.action.run()


@dataclass(frozen=True)
class Train(recipe.TrainConfig):
    """Train the networks, or go on with a run: --resume RUN alone."""

    parent: Annotated[str, arg(aliases=["--init-from"])] = ""
    """Go on from these: published weights, or a finished run's folder. What fits is copied; --encoder-weights is not used."""
    again: bool = False
    """Train a recipe once more that is trained already."""
    resume: Path | None = None
    """A run's folder: go on with it, with its own settings."""

    def run(self) -> None:
        if self.resume is None:
            config = recipe.TrainConfig(**{f.name: getattr(self, f.name) for f in fields(recipe.TrainConfig)})
            for one in () if self.again else recipe.trained(config, config.out.parent):
                raise CommandError(f"{ALREADY[one.kind].format(name=one.name)} To train it once more, add --again.")
            train.train(config)
            return
        if self != Train(resume=self.resume):
            raise CommandError("--resume goes alone: a run keeps the settings that it began with.")
        train.resume(self.resume)


@dataclass(frozen=True)
class Cost(recipe.TrainConfig):
    """Say what a training would cost before it starts: a few of its steps are measured, and nothing is kept."""

    json: Path | None = None
    """File to write it to."""

    def run(self) -> None:
        config = recipe.TrainConfig(**{f.name: getattr(self, f.name) for f in fields(recipe.TrainConfig)})
        found = cost.measure(config)
        for line in cost.words(found):
            console.print(line, soft_wrap=True, highlight=False)
        if self.json:
            self.json.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(self.json, asdict(found))


@dataclass(frozen=True)
class Evaluate:
    """Score published weights on a data set: one confusion matrix over the split, labels at their own 256x256."""

    name: Positional[str]
    """The weights' name."""
    data: Path = recipe.TrainConfig.data
    """Folder of the pairs."""
    split: Literal["train", "val"] = "val"
    """Which part of the data."""
    variants: tuple[str, ...] = ()
    """Which to score; all that the weights have, if none is named."""
    limit: int | None = None
    """Score only the first LIMIT pairs."""
    height: int | None = None
    """Working height in pixels; the card's, if none is given."""
    best: bool = False
    """Best quality: the mean of three sizes, each also mirrored; several times slower."""
    truth: evaluate.Truth = "decoded"
    """decoded, or nearest: plain nearest colours, for comparison with figures published elsewhere."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""
    json: Path | None = None
    """File to write everything to, confusion matrices included."""
    keep: bool = False
    """Keep the counts of every photo for the Scores page; of a whole split, as the card says."""

    def run(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise CommandError("--limit must be at least 1.")
        if self.keep and (self.limit or self.height or self.best or self.variants or self.truth != "decoded"):
            raise CommandError("--keep goes with a whole split, all variants and the card's own height.")
        _check_height(self.height)
        predictor = predict.Predictor.of(self.name, self.device)
        split = _load(self.data, self.split)
        variants = self.variants or predictor.model.variants
        _check_variants(predictor.model.variants, variants)
        indices = range(len(split))[: self.limit]
        sha256 = weights.read_card(self.name).sha256
        folder = scoring.place(sha256, split.digest)

        began = time.time()

        def say(status: str, **more: str | int) -> None:  # for the page that started it
            if self.keep:
                folder.mkdir(parents=True, exist_ok=True)
                facts = {"status": status, "total": len(indices), "since": began, **more}
                checkpoint.Run(folder).note(scoring.NOTE, facts)

        with _telling("scoring") as bar:

            def told(done: int, total: int) -> None:
                bar(done, total)
                say("running", done=done)

            try:
                found = evaluate.tally(
                    predictor, split, variants, indices, self.height, self.truth, self.best, progress=told
                )  # fmt: skip
            except BaseException as error:
                say("failed", message=_in_words(error))
                raise
        if predictor.note:
            console.print(predictor.note)
        rows = {variant: evaluate.report(tally) for variant, tally in found.items()}
        quality = ", best quality" if self.best else ""
        _print_scores(f"{self.name} on {len(indices)} pairs of {self.data} {self.split}{quality}", rows)
        answer = {
            "weights": self.name,
            "sha256": sha256,
            "data": str(self.data),
            "digest": split.digest,
            "split": self.split,
            "images": len(indices),
            "truth": self.truth,
            "working_height": self.height or predictor.working_height,
            "best_quality": self.best,
            "variants": rows,
        }
        if self.keep:
            scoring.keep(folder, answer, found)
            say("finished")
        if self.json:
            self.json.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(self.json, answer)


@dataclass(frozen=True)
class Publish:
    """Score a finished run on val and make weights of it: its parameters, float16 where that changes no score, and a card."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run's folder."""
    name: str
    """Name of the weights, new."""
    height: int | None = None
    """Working height to name on the card; if none is given, the best of five on the pairs held out of train."""
    data: Path | None = None
    """Where the pairs are now; where the training had them, if none is given."""
    best: bool = False
    """Score the best quality too."""

    def run(self) -> None:
        _check_height(self.height)
        with _telling("reading") as bar:

            def told(what: str, done: int, total: int) -> None:
                bar(done, total, f"scoring: {what}")
                say("running", what=f"scoring: {what}", done=done, total=total)

            def say(status: str, **more: str | int) -> None:  # for who watches the run's folder
                if self.run_folder.is_dir():
                    checkpoint.Run(self.run_folder).note("publishing", {"name": self.name, "status": status, **more})

            try:
                card = publish.publish(self.run_folder, self.name, self.height, self.data, self.best, told)
            except BaseException as error:
                say("failed", message=_in_words(error))
                raise
            say("finished")
        for height, scores in card.heights_tried.items():
            words = ", ".join(f"{TITLES[variant]} {score:.4f}" for variant, score in scores.items())
            console.print(f"{height} pixels high: mean IoU {words} on the pairs held out of train", soft_wrap=True)
        _print_scores(f"{self.name} on {card.metrics['images']} pairs of {card.metrics['split']}", card.metrics["variants"])
        if self.best:
            _print_scores("the same, best quality", card.metrics["best"])
        console.print(f"published {weights.FOLDER / self.name} ({card.bytes / 1e6:.1f} MB)", soft_wrap=True)


@dataclass(frozen=True)
class Predict:
    """Photos or folders of photos -> DIR/<stem>.<variant>.png, an indexed mask of the photo's size, and DIR/<stem>.json.

    Photos that are finished are not done again: the same command goes on where it was stopped.
    """

    photos: Positional[tuple[Path, ...]]
    """Picture files, or folders, whose structure is kept."""
    out: Path
    """Folder to write to."""
    weights: str = weights.DEFAULT
    """The weights' name."""
    variants: tuple[str, ...] = ()
    """Which to predict; all that the weights have, if none is named."""
    height: int | None = None
    """Working height in pixels; the card's, if none is given."""
    best: bool = False
    """Best quality: the mean of three sizes, each also mirrored; several times slower."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""
    again: bool = False
    """Do finished photos once more."""
    workers: int | None = None
    """Processes that read photos and write masks beside a network; if not given, one for each core, eight at most; with Ray 1."""
    engine: Literal["local", "ray"] = "local"
    """local: one network in this process. ray: several on a Ray cluster, that of RAY_ADDRESS, or else one started here."""
    networks: int | None = None
    """With ray: how many networks; if not given, one for each GPU, where there are none one for each core."""

    def run(self) -> None:
        stopping.once(signal.SIGTERM)  # failed.csv is written first
        _check_height(self.height)
        if not self.photos:
            raise CommandError("Name at least one photo or folder.")
        if self.out.exists() and not self.out.is_dir():
            raise CommandError(f"{self.out} is a file; --out names a folder.")
        if min(self.workers or 1, self.networks or 1) < 1 or self.workers == 0 or self.networks == 0:
            raise CommandError("--workers and --networks must be at least 1.")
        if self.networks and self.engine != "ray":
            raise CommandError("--networks goes with --engine ray.")
        card = weights.read_card(self.weights)
        variants = self.variants or tuple(card.variants)
        _check_variants(card.variants, variants)
        height = self.height or card.working_height
        settings = folder.Settings(self.weights, card.sha256, variants, height, card.working_rule, self.best)
        with Progress(*Progress.get_default_columns()[:1], MofNCompleteColumn(), console=console, transient=True) as bar:
            task = bar.add_task("listing", total=None)
            jobs, refused = folder.plan(self.photos, self.out, lambda found: bar.update(task, completed=found))
            bar.reset(task, description="looking for finished ones", total=len(jobs))
            if self.again:
                folder.forget(jobs)
            left = folder.unfinished(jobs, settings, lambda seen: bar.update(task, completed=seen))
        if left or refused:
            failed = self._follow(len(left) + len(refused), self._outcomes(refused, left, settings))
        else:
            failed = 0
            folder.report([], self.out)  # what failed once may be gone
        before = f", {len(jobs) - len(left)} of them before" if len(left) < len(jobs) else ""
        total = len(jobs) + len(refused)
        console.print(f"{total - failed} of {total} photos are done{before}, in {self.out}", soft_wrap=True)
        if failed:
            raise CommandError(f"{failed} of {total} files could not be predicted.")

    def _outcomes(
        self, refused: list[folder.Outcome], jobs: list[folder.Job], settings: folder.Settings
    ) -> Generator[folder.Outcome]:
        yield from refused
        if not jobs:
            return
        if self.engine == "ray":
            yield from cluster.run(jobs, settings, weights.FOLDER, self.device, self.workers or 1, self.networks)
            return
        with folder.Pipeline(self.workers or min(8, os.cpu_count() or 1)) as pipeline:
            predictor, told = predict.Predictor.of(self.weights, self.device), ""
            for outcome in pipeline.run(jobs, predictor, settings):
                if predictor.note != told:
                    console.print(told := predictor.note)
                yield outcome

    def _follow(self, total: int, outcomes: Generator[folder.Outcome]) -> int:
        """Shows how the work goes on and sums it up -> how many photos failed."""
        failed: list[folder.Outcome] = []
        seconds: dict[str, float] = defaultdict(float)
        rate = ""
        began = told = time.monotonic()
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}", TimeRemainingColumn())
        try:
            with closing(outcomes), Progress(*columns, console=console) as bar:
                task = bar.add_task("predicting", total=total, rate="")
                for number, outcome in enumerate(outcomes, 1):
                    if outcome.error:
                        failed.append(outcome)
                        self._lament(bar.console, outcome, len(failed))
                    for part, took in outcome.seconds.items():
                        seconds[part] += took
                    now = time.monotonic()
                    rate = f"{(number - len(failed)) / (now - began):.2f} photos a second"
                    bar.update(task, completed=number, rate=rate)
                    if not console.is_terminal and now > told + LOG:
                        left = timedelta(seconds=round((now - began) / number * (total - number)))
                        console.print(f"{number} of {total}, {rate}, {left} left", highlight=False)
                        told = now
        except (KeyboardInterrupt, OSError):
            console.print("Finished photos are kept; the same command goes on with the others.")
            raise
        finally:
            folder.report(failed, self.out)
            if seconds:
                parts = ", ".join(f"{part} {took / sum(seconds.values()):.0%}" for part, took in seconds.items())
                console.print(f"{rate}; time of a photo: {parts}", highlight=False)
        return len(failed)

    def _lament(self, to: Console, outcome: folder.Outcome, number: int) -> None:
        if number <= SENTENCES:
            to.print(
                f"[red]skipped[/] {escape(' '.join(outcome.job.source.splitlines()))}: {escape(outcome.error)}", soft_wrap=True
            )
        elif number == SENTENCES + 1:
            to.print(f"[red]skipped[/] more than {SENTENCES}; {self.out / folder.FAILED} will have them all", soft_wrap=True)


@dataclass(frozen=True)
class Comparison:
    """Print every published network and every control beside each other, with ceilings, and draw them as a page of HTML."""

    data: Path = recipe.TrainConfig.data
    """Folder of the pairs: ceilings are computed on its val."""
    controls: Path = Path("docs/controls")
    """Folder of the cards of networks that were scored for comparison only: NAME/card.json."""
    out: Path | None = None
    """File to draw to, ending in .html."""
    json: Path | None = None
    """File to write everything to."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""

    def run(self) -> None:
        if not self.controls.is_dir() and self.controls != Comparison.controls:
            raise CommandError(f"There is no folder {self.controls}.")
        _check_page(self.out, "--out")
        published, controls = comparison.cards(self.controls)
        heights = sorted({*comparison.HEIGHTS, *(card.working_height for card in (*published, *controls))})
        split = _load(self.data, "val")
        about = f"{len(split)} labels of {self.data} val"
        with _telling("ceilings") as told:
            limits = ceiling.over_split(split, heights, comparison.STRIDES, told)
        with _telling("times") as told:
            seconds = comparison.measure(comparison.kinds((*published, *controls)), self.device, told)
        rows = comparison.rows(published, controls, limits, split.digest, seconds)
        grid = Table("input", *(f"stride {s}" for s in comparison.STRIDES), title=f"ceilings: mean IoU of {about}")
        for height in heights:
            grid.add_row(f"{height}x{2 * height}", *(f"{limits[height, s]:.4f}" for s in comparison.STRIDES))
        console.print(grid)
        table = Table(*comparison.head(rows))
        for row in rows:
            table.add_row(*comparison.cells(row))
        wide.print(table)
        elsewhere = sorted(
            {card.name for card in (*published, *controls) if card.metrics.get("digest", split.digest) != split.digest}
        )
        if elsewhere:
            console.print(f"scored on other pairs than these, so that no ceiling stands beside: {', '.join(elsewhere)}")
        if self.out:
            words = (
                f"Each row was scored at its own height, on the pairs that its card names; ceilings are the mean IoU of {about}."
            )
            comparison.write(rows, limits, words, self.out)
            console.print(f"drawn to {self.out}", soft_wrap=True)
        if self.json:
            found = {"ceilings": [{"height": h, "stride": s, "mean_iou": v} for (h, s), v in limits.items()]}
            self.json.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(self.json, found | {"rows": [asdict(row) for row in rows]})


@dataclass(frozen=True)
class Resolution:
    """Mean IoU against working height for photos of several shapes and sizes, by which a card's rule is chosen."""

    name: Positional[str]
    """The weights' name."""
    data: Path = recipe.TrainConfig.data
    """Folder of the pairs: their val is cut to other shapes."""
    count: int = 50
    """Photos of each shape and size."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""

    def run(self) -> None:
        if self.count < 1:
            raise CommandError("--count must be at least 1.")
        predictor = predict.Predictor.of(self.name, self.device)
        split = _load(self.data, "val")
        with _telling("scoring") as told:
            rows = resolution.study(predictor, split, self.count, told)
        heights = sorted({height for row in rows for height in row["by_height"]})
        table = Table(
            "photos", "shape", "width", *map(str, heights), "rule: height", "rule: cover",
            title=f"mean IoU of {TITLES[predictor.model.variants[-1]]} by working height, {self.count} photos a row",
        )  # fmt: skip
        for row in rows:
            cells = (evaluate.figure(row["by_height"].get(height)) for height in heights)
            rules = (f"{row['by_rule'][rule]:.4f}" for rule in ("height", "cover"))
            table.add_row(row["source"], row["shape"], str(row["width"]), *cells, *rules)
        wide.print(table)


@dataclass(frozen=True)
class Bench:
    """Time, memory and ratios of every network beside its rivals, measured here in one run, in turns."""

    sizes: tuple[str, ...] = tuple(f"{h}x{w}" for h, w in bench.SIZES)
    """HEIGHTxWIDTH of the images."""
    repeats: int = 5
    """Of which the median is taken, after one to warm up."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""
    json: Path | None = None
    """File to write everything to."""
    plot: Path | None = None
    """File to draw time against size to, ending in .html."""

    def run(self) -> None:
        if self.repeats < 1:
            raise CommandError("--repeats must be at least 1.")
        try:
            sizes = [(int(height), int(width)) for height, width in (size.split("x") for size in self.sizes)]
        except ValueError:
            sizes = []
        if not sizes or any(not 32 <= min(size) <= max(size) <= 8192 for size in sizes):
            raise CommandError("--sizes are HEIGHTxWIDTH, as 512x1024, with sides from 32 to 8192.")
        _check_page(self.plot, "--plot")
        with _telling("measuring") as told:
            rows = bench.measure(bench.kinds(sizes, predict.pick_device(self.device)), self.repeats, self.device, told)
        heads = (
            "network",
            "precision",
            "size",
            "ms",
            "× encoder",
            "× torchvision fp32",
            "peak MB",
            "GFLOP",
            "of the matrix rate",
        )
        table = Table(*heads, title=bench.machine(predict.pick_device(self.device)))
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            table.add_row(
                row.name, row.precision, "x".join(map(str, row.size)), f"{1000 * row.seconds:.0f}", f"{row.to_encoder:.2f}",
                f"{row.to_torchvision:.3f}", "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}",
                f"{row.flops / 1e9:.0f}", f"{row.share:.0%}", end_section=after is not None and after.size != row.size,
            )  # fmt: skip
        wide.print(table)
        if self.json:
            self.json.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_json(self.json, [asdict(row) for row in rows])
        if self.plot:
            self.plot.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_atomic(self.plot, bench.draw(rows).to_html().encode())


@dataclass(frozen=True)
class Growth:
    """Time and memory of a photo, from its file to all masks at its own size, against its megapixels."""

    name: Positional[str] = weights.DEFAULT
    """The weights' name."""
    megapixels: tuple[float, ...] = growth.MEGAPIXELS
    """Of the photos, 3:2."""
    repeats: int = 3
    """Of which the median is taken."""
    device: predict.Device = "auto"
    """auto: the GPU where there is one."""
    plot: Path | None = None
    """File to draw to, ending in .html."""

    def run(self) -> None:
        most = photo.MAX_MEGAPIXELS
        if self.repeats < 1 or not self.megapixels or not all(0.01 <= size <= most for size in self.megapixels):
            raise CommandError(f"--repeats must be at least 1, and --megapixels from 0.01 to {most}: larger photos are refused.")
        _check_page(self.plot, "--plot")
        with _telling("measuring") as told:
            rows = growth.measure(self.name, self.megapixels, self.repeats, self.device, told)
        parts = list(rows[0].seconds)
        device = predict.pick_device(self.device)
        table = Table("megapixels", "photo", "working image", *(f"{part}, ms" for part in parts), "all, ms", "peak MB")
        for row in rows:
            shown = [f"{1000 * seconds:.0f}" for seconds in (*row.seconds.values(), sum(row.seconds.values()))]
            memory = "–" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.0f}"
            sizes = ("x".join(map(str, size)) for size in (row.size, row.working_size))
            table.add_row(f"{row.megapixels:g}", *sizes, *shown, memory)
        table.title = bench.machine(device)
        wide.print(table)
        if self.plot:
            self.plot.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write_atomic(self.plot, growth.draw(rows).to_html().encode())


@dataclass(frozen=True)
class Export:
    """Write published weights as one file that other programs run, with a report of how far its answers are PyTorch's."""

    name: Positional[str]
    """The weights' name."""
    out: Path
    """File to write: .onnx, or .pt2 for torch-export."""
    format: export.Format = "onnx"
    """onnx, or torch-export: PyTorch's own exported program."""
    variants: tuple[str, ...] = ()
    """Which to export; all that the weights have, if none is named. One output each."""
    photo_in: bool = False
    """Put the preprocessing inside: uint8 RGB at working resolution in, train ids out; else a normalised image in, logits out."""
    data: Path | None = None
    """Folder of the pairs whose val photos are compared; rendered streets, if none is given."""
    count: int = 20
    """Photos to compare; 0 for none."""

    def run(self) -> None:
        if self.count < 0:
            raise CommandError("--count must be at least 0.")
        if self.data and self.count:
            _load(self.data, "val")  # what is wrong with it is said before the file is made
        module = export.export(self.name, self.out, self.format, self.variants, self.photo_in)
        console.print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
        if not self.count:
            return
        height = weights.read_card(self.name).working_height
        with _telling("comparing") as told:
            rows, own, other = export.parity(export.opened(self.out, self.format), module, height, self.data, self.count, told)
        of = f"val of {self.data}" if self.data else "rendered streets"
        table = Table("", "largest difference of logits", "pixels that differ", "mean IoU, PyTorch", "mean IoU, file",
                      title=f"{self.out.name} beside PyTorch in fp32, {rows[0].photos} photos, {of}")  # fmt: skip
        for row in rows:
            table.add_row(
                TITLES[row.variant], "–" if row.largest is None else f"{row.largest:.2g}", f"{row.disagreeing:.4%}",
                *(f"{score:.4f}" for score in row.mean_iou),
            )  # fmt: skip
        console.print(table)
        console.print(f"median of a photo {height} high: PyTorch {1000 * own:.0f} ms, the file {1000 * other:.0f} ms")


@dataclass(frozen=True)
class Runs:
    """List the trainings in a folder: how far each is, and why it ended."""

    folder: Positional[Path] = runs.FOLDER
    """The folder that holds the runs' own."""

    def run(self) -> None:
        found = [runs.see(folder) for folder in runs.find(self.folder)]
        if not found:
            raise CommandError(f"There are no runs in {self.folder}. Begin one: python -m seg train --help.")
        table = Table(Column("run", no_wrap=True), "state", "step", "left", "mean IoU on the held-out pairs", "what happened")
        for one in found:
            scores = " ".join(f"{TITLES[v]} {score['mean_iou']:.3f}" for v, score in one.scores.items())
            left = f"{one.left / 60:.0f} min" if one.left is not None and one.state == "running" else ""
            step = f"{one.step} of {one.steps}" if one.steps else str(one.step)
            table.add_row(escape(one.folder.name), one.state, step, left, scores, escape(one.message))
        wide.print(table)


@dataclass(frozen=True)
class List:
    """List the published weights."""

    def run(self) -> None:
        table = Table(Column("name", no_wrap=True), "variants", "mean IoU", "parameters", "file")
        broken = []
        for name in weights.names():
            try:
                card = weights.read_card(name)
            except weights.WeightsError as error:
                broken.append(str(error))
                continue
            scores = card.metrics.get("variants", {})
            table.add_row(
                name,
                " ".join(card.variants),
                " ".join(f"{scores[v]['mean_iou']:.3f}" if v in scores else "–" for v in card.variants),
                f"{card.parameters / 1e6:.1f} M",
                f"{card.bytes / 1e6:.1f} MB",
            )
        console.print(table)
        if broken:
            raise CommandError(" ".join(broken))


@dataclass(frozen=True)
class Show:
    """Print the card of weights, as JSON."""

    name: Positional[str]
    """The weights' name."""
    full: bool = False
    """With the confusion matrices, which are long."""

    def run(self) -> None:
        card = loads(weights.to_json(weights.read_card(self.name)))
        for key in () if self.full else ("variants", "best"):
            for scores in card["metrics"].get(key, {}).values():
                del scores["confusion"]
        sys.stdout.write(dumps(card, indent=1) + "\n")


@dataclass(frozen=True)
class Verify:
    """Check that the files are the ones that their cards describe."""

    name: Positional[str | None] = None
    """The weights' name; all, if none is given."""

    def run(self) -> None:
        names, broken = [self.name] if self.name else weights.names(), []
        if not names:
            raise CommandError(f"There are no weights in {weights.FOLDER}. Restore the shipped ones, for example with git.")
        for name in names:
            try:
                card = weights.verify(name)
            except weights.WeightsError as error:
                broken.append(str(error))
                continue
            console.print(f"{name}: sha256 {card.sha256} is right, {card.bytes} bytes", soft_wrap=True)
        if broken:
            raise CommandError(" ".join(broken))


@dataclass(frozen=True)
class Weights:
    """List, show or verify published weights."""

    action: Annotated[List, subcommand("list")] | Annotated[Show, subcommand("show")] | Annotated[Verify, subcommand("verify")]

    def run(self) -> None:
        self.action.run()


Command = (
    Annotated[Data, subcommand("data")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Cost, subcommand("cost")]
    | Annotated[Runs, subcommand("runs")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Publish, subcommand("publish")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Weights, subcommand("weights")]
    | Annotated[Comparison, subcommand("table")]
    | Annotated[Resolution, subcommand("resolution")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Growth, subcommand("growth")]
    | Annotated[Export, subcommand("export")]
)

EXPECTED = (
    CommandError, photo.PhotoError, dataset.DatasetError, encoder.StartError, checkpoint.RunError, weights.WeightsError,
    predict.DeviceError, folder.PhotosError, cluster.ClusterError, recipe.TrainError, publish.PublishError, export.ExportError,
    team.TeamError, OSError,
)  # fmt: skip
"""What is told to the user in a sentence, as is that memory ran out; anything else is a fault of the program and keeps its
traceback."""


def main(args: list[str] | None = None) -> None:
    """Runs one command; ends with exit code 1 and a sentence where it cannot be carried out."""
    try:
        command = tyro.cli(
            Command,
            prog="python -m seg",
            description="Train, publish, score and use ResNet-50 FCN-32s, FCN-16s and FCN-8s for street photos.",
            args=_variants_last(sys.argv[1:] if args is None else args),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
        )
        command.run()
        sys.stdout.flush()
    except BrokenPipeError:  # who read what is printed, head say, has had enough: as Rich ends then, without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if not isinstance(error, EXPECTED) and not predict.out_of_memory(error):
            raise
        _Console(stderr=True).print(f"[bold red]error[/] {escape(_in_words(error))}", soft_wrap=True)
        sys.exit(1)


def _in_words(error: BaseException) -> str:
    if predict.out_of_memory(error):
        return "There is not enough memory. End what else needs it, or ask for less: smaller images, or --device cpu."
    return why(error) or "It was stopped."


def _variants_last(words: list[str]) -> list[str]:
    """``--variants 8s PHOTO`` -> ``PHOTO --variants 8s``: tyro would take all words up to the next option for variants.

    Raises `CommandError` for a variant that is none.
    """
    options = words[: words.index("--")] if "--" in words else words
    if "--variants" not in options:
        return words
    first = len(options) - 1 - options[::-1].index("--variants")
    last = next((at for at in range(first + 1, len(options)) if options[at] not in TITLES), len(options))
    if last == first + 1 < len(options) and not options[last].startswith("-"):
        raise CommandError(f"There is no variant {options[last]}; the variants are {', '.join(TITLES)}.")
    return options[:first] + options[last:] + options[first:last] + words[len(options) :]


def _load(data: Path, split: str) -> dataset.Split:
    with _telling(f"decoding {split}") as told:
        return dataset.load(data, split, told)


@contextmanager
def _telling(what: str) -> Iterator[Callable[..., None]]:
    """Shows how much of something is done: a bar on a terminal, elsewhere ten lines at most, beside the output."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what)

        def told(done: int, total: int, what: str = what) -> None:
            bar.update(task, description=what, completed=done, total=total)
            if not console.is_terminal and 10 * done // total > 10 * (done - 1) // total:
                print(f"{what}: {done} of {total}", file=sys.stderr)

        yield told


def _check_variants(known: Sequence[str], variants: Sequence[str]) -> None:
    missing = [v for v in variants if v not in known]
    if missing:
        raise CommandError(f"These weights have no {missing[0]}; they have {', '.join(known)}.")


def _check_page(file: Path | None, option: str) -> None:
    if file and file.suffix != ".html":
        raise CommandError(f"{option} writes a page: its name ends in .html, and {file.name} does not.")


def _check_height(height: int | None) -> None:
    if height is not None and not 32 <= height <= 2048:
        raise CommandError("--height must be from 32 to 2048.")


def _print_scores(title: str, rows: dict[str, dict]) -> None:
    table = Table("", *(TITLES[v] for v in rows), title=title)
    reports = list(rows.values())
    for key in ("pixel_accuracy", "mean_accuracy", "mean_iou"):
        table.add_row(key.replace("_", " ").replace("iou", "IoU"), *(f"{r[key]:.4f}" for r in reports))
        ends = [r["intervals"][key] for r in reports]
        table.add_row("  95 % interval", *(f"{low:.4f}–{high:.4f}" for low, high in ends), style="dim")
    for key in ("frequency_weighted_iou", "boundary_iou", "calibration_error"):
        table.add_row(key.replace("_", " ").replace("iou", "IoU"), *(evaluate.figure(r.get(key)) for r in reports))
    table.add_section()
    for sizes in zip(*(r["by_size"] for r in reports), strict=True):
        table.add_row(evaluate.size_words(sizes[0]), *(evaluate.figure(size["iou"]) for size in sizes))
    for group in ("category_iou", "iou"):
        table.add_section()
        for name in reports[0][group]:
            table.add_row(name, *(evaluate.figure(r[group][name]) for r in reports))
    console.print(table)
