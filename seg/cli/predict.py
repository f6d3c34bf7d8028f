"""The command that segments photos and videos."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from tyro.conf import Positional, arg

from seg.cli import predict_video
from seg.cli.console import CommandError, check_height, check_variants, console
from seg.data import photo_files
from seg.data.cityscapes import CITYSCAPES
from seg.inference import directory, ray_engine
from seg.inference.device import Device
from seg.inference.engines import Engine, Precision
from seg.inference.job_plan import Job, JobResult, plan_jobs
from seg.inference.predictor import Predictor
from seg.inference.video_run import DEFAULT_RATE, VideoSettings
from seg.models.model_card import ModelCard
from seg.models.registry import DEFAULT_WEIGHTS, read_card, registry_of
from seg.system import signals

MIN_RATE, MAX_RATE = 0.01, 240
"""Range of --fps."""

LOG_SECONDS = 60
"""Between two lines of progress if the output is not a terminal."""

MAX_REPORTED_FAILURES = 20
"""Failed photos that are reported one by one."""

MAX_REPORTED_NOTES = 20
"""Reduced photos that are reported one by one; the JSON file of each says so, too."""


@dataclass(frozen=True)
class Predict:
    """Segment photos, folders and zips of photos, or videos, and write their masks.

    Finished photos are skipped, so the same command resumes an interrupted run, also within a video.
    """

    photos: Positional[tuple[Path, ...]]
    """Picture files, videos (MP4, MOV, WebM, MKV, AVI), folders or zips; the structure of folders is kept.
    Videos in folders and zips are left out."""
    out: Path
    """Folder to write to."""
    weights: str = DEFAULT_WEIGHTS
    """Name of the weights."""
    variants: tuple[str, ...] = ()
    """Variants to predict; by default all of the weights."""
    height: int | None = None
    """Working height in pixels; by default the card's."""
    tta: Annotated[bool, arg(aliases=["--best"])] = False
    """Multi-scale + flip (TTA): average three scales, each also mirrored; several times slower."""
    label_ids: bool = False
    """Write each mask with Cityscapes label ids as well, for the Cityscapes benchmark:
    STEM.VARIANT.labelIds.png, 8-bit gray."""
    confidence: bool = False
    """Write the confidence of each pixel as well: STEM.VARIANT.confidence.png, 16-bit gray, 65535 is 1."""
    device: Device = "auto"
    """auto: a GPU if there is one."""
    again: bool = False
    """Segment finished photos again."""
    workers: int | None = None
    """Processes per network that read photos and write masks; by default one per core, at most eight; with
    Ray one."""
    engine: Literal["auto", "torch", "onnx", "openvino", "ray", "local"] = "torch"
    """What computes the network: torch; onnx (ONNX Runtime) or openvino, on the CPU; auto: openvino on a CPU
    if it is installed, else torch; ray: torch in several networks on the cluster of RAY_ADDRESS, or on a
    local one. local is a former name of torch."""
    precision: Precision = "auto"
    """fp32, bf16, or int8 after `quantize`. auto: the faster one of fp32 and bf16."""
    batch_size: Literal["auto"] | int = "auto"
    """Photos of equal working size in one pass of the network. auto: 16 on a GPU, 1 on a CPU or Apple GPU.
    Not with ray."""
    fps: float = DEFAULT_RATE
    """Frames that are analyzed in each second of a video; the side-by-side video has as many."""
    networks: int | None = None
    """With ray, the number of networks; by default one per GPU, or one per core without GPUs."""

    def run(self) -> None:
        signals.once(signal.SIGTERM)  # failed.csv is written first
        self._check_options()
        photos, videos = predict_video.split_videos(self.photos)
        if videos:
            self._check_video_options()
        video_jobs = predict_video.plan_videos(videos, self.out)
        card = read_card(self.weights)
        variants = self.variants or tuple(card.variants)
        check_variants(card.variants, variants)
        if self.label_ids and card.class_set != CITYSCAPES:
            raise CommandError(f"--label-ids writes Cityscapes ids, and {self.weights} has other classes.")
        messages = []
        if photos:
            messages.append(self._predict_photos(photos, card, variants))
        if video_jobs:
            messages.append(self._predict_videos(video_jobs, card, variants))
        if any(messages):
            raise CommandError(" ".join(filter(None, messages)))

    def _check_options(self) -> None:
        check_height(self.height)
        if not self.photos:
            raise CommandError("Name at least one photo, folder or video.")
        if self.out.exists() and not self.out.is_dir():
            raise CommandError(f"{self.out} is a file; --out names a folder.")
        if min(self.workers or 1, self.networks or 1) < 1 or self.workers == 0 or self.networks == 0:
            raise CommandError("--workers and --networks must be at least 1.")
        if self.batch_size != "auto" and self.batch_size < 1:
            raise CommandError("--batch-size is auto, or at least 1.")
        if self.batch_size != "auto" and self.engine == "ray":
            raise CommandError("--batch-size goes with the other engines than ray.")
        if self.networks and self.engine != "ray":
            raise CommandError("--networks goes with --engine ray.")
        if self.precision != "auto" and self.engine == "ray":
            raise CommandError("--precision goes with the other engines than ray.")
        if not MIN_RATE <= self.fps <= MAX_RATE:
            raise CommandError(f"--fps must be from {MIN_RATE} to {MAX_RATE}.")

    def _check_video_options(self) -> None:
        if self.engine == "ray":
            raise CommandError("Videos go with the other engines than ray.")
        if self.label_ids or self.confidence:
            raise CommandError("--label-ids and --confidence go with photos, and not with videos.")

    def _predict_videos(
        self, jobs: list[predict_video.VideoJob], card: ModelCard, variants: tuple[str, ...]
    ) -> str:
        """Segment the videos. Returns an error message if some failed, else an empty string."""
        settings = VideoSettings(
            *(self.weights, card.sha256, variants, self.height or card.working_height),
            *(self.tta, self.precision == "int8", self.fps),
        )
        failed = predict_video.predict_videos(jobs, settings, self._load_predictor(), self.again)
        return f"{failed} of {len(jobs)} videos could not be predicted." if failed else ""

    def _load_predictor(self) -> Predictor:
        engine: Engine = "torch" if self.engine == "local" or self.engine == "ray" else self.engine
        return Predictor.from_pretrained(self.weights, self.device, precision=self.precision, engine=engine)

    def _predict_photos(self, photos: tuple[Path, ...], card: ModelCard, variants: tuple[str, ...]) -> str:
        """Segment the photos. Returns an error message if some failed, else an empty string."""
        height = self.height or card.working_height
        settings = directory.PredictSettings(
            *(self.weights, card.sha256, variants, height, card.resize_mode),
            *(self.tta, self.label_ids, self.confidence, self.precision == "int8"),
        )
        with Progress(
            *Progress.get_default_columns()[:1], MofNCompleteColumn(), console=console, transient=True
        ) as bar:
            task = bar.add_task("listing", total=None)
            plan = plan_jobs(photos, self.out, lambda listed: bar.update(task, completed=listed))
            jobs, refused = plan.jobs, plan.failed
            bar.reset(task, description="checking for finished photos", total=len(jobs))
            if self.again:
                directory.invalidate(jobs)
            pending = directory.pending_jobs(
                jobs, settings, lambda checked: bar.update(task, completed=checked)
            )
        if pending or refused:
            failed = self._track_progress(
                len(pending) + len(refused), self._results(refused, pending, settings)
            )
        else:
            failed = 0
            directory.write_failures([], self.out)  # earlier failures may be gone
        before = f", {len(jobs) - len(pending)} of them before" if len(pending) < len(jobs) else ""
        total = len(jobs) + len(refused)
        console.print(f"{total - failed} of {total} photos are done{before}, in {self.out}", soft_wrap=True)
        if plan.ignored:
            listed = photo_files.describe_counts(plan.ignored)
            console.print(f"left out, since they are no photos: {listed}", soft_wrap=True)
        return f"{failed} of {total} files could not be predicted." if failed else ""

    def _results(
        self, refused: list[JobResult], jobs: list[Job], settings: directory.PredictSettings
    ) -> Generator[JobResult]:
        """Load the network, which does not count as time of a photo, and return the results to come."""
        if not jobs or self.engine == "ray":
            return self._ray_results(refused, jobs, settings)
        return self._local_results(refused, jobs, settings, self._load_predictor())

    def _ray_results(
        self, refused: list[JobResult], jobs: list[Job], settings: directory.PredictSettings
    ) -> Generator[JobResult]:
        yield from refused
        if jobs:
            registry, workers = registry_of(self.weights).absolute(), self.workers or 1
            yield from ray_engine.run(jobs, settings, registry, self.device, workers, self.networks)

    def _local_results(
        self,
        refused: list[JobResult],
        jobs: list[Job],
        settings: directory.PredictSettings,
        predictor: Predictor,
    ) -> Generator[JobResult]:
        yield from refused
        printed_note = ""
        with directory.Pipeline(self.workers or min(8, os.cpu_count() or 1)) as pipeline:
            batch_size = None if self.batch_size == "auto" else self.batch_size
            for result in pipeline.run(jobs, predictor, settings, batch_size):
                if predictor.note != printed_note:
                    console.print(printed_note := predictor.note)
                yield result

    def _track_progress(self, total: int, results: Generator[JobResult]) -> int:
        """Show the progress and a summary. Returns the number of failed photos."""
        failed: list[JobResult] = []
        notes = 0
        seconds: dict[str, float] = defaultdict(float)
        rate = ""
        start = logged = time.monotonic()
        columns = (
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            "{task.fields[rate]}",
            TimeRemainingColumn(),
        )
        try:
            with closing(results), Progress(*columns, console=console) as bar:
                task = bar.add_task("predicting", total=total, rate="")
                for number, result in enumerate(results, 1):
                    if result.error:
                        failed.append(result)
                        self._report_failure(bar.console, result, len(failed))
                    if result.note:
                        notes += 1
                        self._report_note(bar.console, result, notes)
                    for part, part_seconds in result.seconds.items():
                        seconds[part] += part_seconds
                    now = time.monotonic()
                    rate = f"{(number - len(failed)) / (now - start):.2f} photos a second"
                    bar.update(task, completed=number, rate=rate)
                    if not console.is_terminal and now > logged + LOG_SECONDS:
                        left = timedelta(seconds=round((now - start) / number * (total - number)))
                        console.print(f"{number} of {total}, {rate}, {left} left", highlight=False)
                        logged = now
        except (KeyboardInterrupt, OSError):
            console.print("Finished photos are kept; the same command resumes with the others.")
            raise
        finally:
            directory.write_failures(failed, self.out)
            if seconds:
                parts = ", ".join(
                    f"{part} {value / sum(seconds.values()):.0%}" for part, value in seconds.items()
                )
                console.print(f"{rate}; time of a photo: {parts}", highlight=False)
        return len(failed)

    def _report_note(self, to: Console, outcome: JobResult, number: int) -> None:
        if number <= MAX_REPORTED_NOTES:
            to.print(f"{escape(' '.join(outcome.job.name.splitlines()))}: {outcome.note}", soft_wrap=True)
        elif number == MAX_REPORTED_NOTES + 1:
            to.print(f"More than {MAX_REPORTED_NOTES} photos were reduced; their JSON files say so.")

    def _report_failure(self, to: Console, outcome: JobResult, number: int) -> None:
        if number <= MAX_REPORTED_FAILURES:
            to.print(
                f"[red]skipped[/] {escape(' '.join(outcome.job.name.splitlines()))}: {escape(outcome.error)}",
                soft_wrap=True,
            )
        elif number == MAX_REPORTED_FAILURES + 1:
            to.print(
                f"[red]skipped[/] more than {MAX_REPORTED_FAILURES}; {self.out / directory.FAILURES_CSV} will"
                " have them all",
                soft_wrap=True,
            )
