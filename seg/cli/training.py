"""Commands for trainings: train, cost, runs, publish."""

from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from rich.markup import escape
from rich.table import Column, Table
from tyro.conf import Positional, arg

from seg import paths
from seg.cli.console import (
    CommandError,
    check_height,
    check_outputs,
    console,
    error_message,
    progress_bar,
    save_json,
    wide,
)
from seg.cli.metric_tables import print_ignored, print_metrics
from seg.data.decode_cache import HELD_OUT
from seg.evaluation.evaluate import format_score
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import evaluated_on
from seg.models.registry import list_weights
from seg.publishing import publish
from seg.system.folders import broken_links
from seg.system.status_file import at_work, write_status
from seg.training import cost_estimate, lifecycle, run_status
from seg.training.config import TrainConfig
from seg.training.lineage import find_equivalent
from seg.training.run import PUBLISHING, RunError

EXISTING_MESSAGES = {
    "weights": "This recipe is trained already: it produced the weights {name}.",
    "finished": (
        "This recipe is trained already in {name}. Publish it: python -m seg publish {name} --name NAME."
    ),
    "unfinished": "This recipe was started in {name}. Resume it: python -m seg train --resume {name}.",
}


def _config_of(options: TrainConfig) -> TrainConfig:
    """The settings among the options of a command; a run that is named to start from becomes its folder."""
    config = TrainConfig(**{f.name: getattr(options, f.name) for f in fields(TrainConfig)})
    if config.init_from and config.init_from not in list_weights():
        with suppress(RunError):  # else it is reported as unknown weights
            config = replace(config, init_from=str(run_status.find_run(Path(config.init_from))))
    return config


@dataclass(frozen=True)
class Train(TrainConfig):
    """Train a network, or continue a run: --resume RUN alone."""

    again: bool = False
    """Train again even if an equivalent training exists."""
    resume: Path | None = None
    """Run to resume with its own settings, as folder or as name that `runs` lists; no other option is
    allowed."""

    def run(self) -> None:
        if self.resume is None:
            config = _config_of(self)
            for existing in () if self.again else find_equivalent(config, config.out.parent):
                message = EXISTING_MESSAGES[existing.kind].format(name=existing.name)
                raise CommandError(f"{message} To train it again, add --again.")
            lifecycle.train(config)
            return
        if self != Train(resume=self.resume):
            raise CommandError(
                "--resume allows no other option: a run keeps its settings. Resume it without them. For more"
                " epochs of a finished run, start a new run from its result:"
                f" python -m seg train --init-from {self.resume} --epochs N --out NEW_RUN."
            )
        lifecycle.resume(run_status.find_run(self.resume))


@dataclass(frozen=True)
class Cost(TrainConfig):
    """Estimate the time and memory of a training by a few of its steps; nothing is kept."""

    json: Path | None = None
    """File for the estimate as JSON."""

    def run(self) -> None:
        check_outputs(self.json)
        estimate = cost_estimate.measure(_config_of(self))
        for line in cost_estimate.format_lines(estimate):
            console.print(line, soft_wrap=True, highlight=False)
        save_json(self.json, asdict(estimate))


@dataclass(frozen=True)
class Publish:
    """Evaluate a finished run and publish it: float16 parameters and a card."""

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The run, as folder or as name that `runs` lists."""
    name: str
    """Name of the weights; it must be new."""
    height: int | None = None
    """Working height in pixels; by default the best of five on the held-out samples."""
    data: Path | None = None
    """Folder of the data set; by default the one that the run was trained on."""
    tta: Annotated[bool, arg(aliases=["--best"])] = False
    """Evaluate with multi-scale + flip (TTA) as well."""

    def run(self) -> None:
        check_height(self.height)
        run_folder = run_status.find_run(self.run_folder)
        with progress_bar("reading") as bar:

            def on_progress(stage: str, done: int, total: int) -> None:
                bar(done, total, f"evaluating: {stage}")
                report("running", what=f"evaluating: {stage}", done=done, total=total)

            def report(status: str, **more: str | int) -> None:  # for the app, which watches the run's folder
                if run_folder.is_dir():
                    write_status(run_folder, PUBLISHING, {"name": self.name, "status": status, **more})

            with at_work(run_folder, PUBLISHING) if run_folder.is_dir() else nullcontext():
                try:
                    card = publish.publish(
                        run_folder, self.name, self.height, self.data, self.tta, on_progress
                    )
                except BaseException as error:
                    report("failed", message=error_message(error))
                    raise
                report("finished")
        for height, mean_ious in card.height_search.items():
            by_variant = ", ".join(
                f"{DISPLAY_NAMES[variant]} {format_score(value)}" for variant, value in mean_ious.items()
            )
            console.print(
                f"{height} pixels high: mean IoU {by_variant} on the held-out samples", soft_wrap=True
            )
        print_metrics(
            f"{self.name} on {evaluated_on(card.metrics)}",
            card.metrics["variants"],
        )
        print_ignored(card.metrics.get("ignored"))
        if card.height_search and card.metrics["split"] == HELD_OUT:
            console.print("The working height was chosen on the same samples, which favors these metrics.")
        if self.tta:
            print_metrics("the same, multi-scale + flip (TTA)", card.metrics["tta"])
        console.print(f"published {paths.weights() / self.name} ({card.bytes / 1e6:.1f} MB)", soft_wrap=True)


@dataclass(frozen=True)
class Runs:
    """List the trainings and their states."""

    folder: Positional[Path | None] = None
    """Folder that contains the runs; by default that of the app."""

    def run(self) -> None:
        runs = self.folder or paths.runs()
        statuses, faults = run_status.list_statuses(runs)
        for sentence in (*broken_links(runs), *faults):
            console.print(escape(sentence), soft_wrap=True)
        if not statuses and faults:
            return
        if not statuses:
            raise CommandError(f"There are no runs in {runs}. Start one: python -m seg train --help.")
        table = Table(
            Column("run", no_wrap=True),
            "state",
            "step",
            "left",
            "mean IoU on the held-out samples",
            "what happened",
        )
        for status in statuses:
            scores = " ".join(
                f"{DISPLAY_NAMES[v]} {format_score(score.get('mean_iou'), 3)}"
                for v, score in status.metrics.items()
            )
            running = status.eta_seconds is not None and status.state == "running"
            eta = f"{status.eta_seconds / 60:.0f} min" if status.eta_seconds is not None and running else ""
            step = f"{status.step} of {status.steps}" if status.steps else str(status.step)
            table.add_row(escape(status.folder.name), status.state, step, eta, scores, escape(status.message))
        wide.print(table)
