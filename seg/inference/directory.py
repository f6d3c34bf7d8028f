"""Resumable prediction of large image folders, with prefetching and asynchronous writes.

`job_plan` lists the photos, `pending_jobs` keeps the unfinished ones, and a `Pipeline` runs them. A photo is
finished when its JSON file describes it. Only the list of names grows with the number of photos.
"""

import errno
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seg.data import preprocess
from seg.data.classes import ClassSet
from seg.data.image_io import READING_SECONDS, PhotoError, exif_orientation, reduction_note
from seg.inference import prediction_files
from seg.inference.job_plan import PROGRESS, Job, JobResult
from seg.inference.prediction import Prediction
from seg.inference.predictor import Predictor
from seg.models.factory import DISPLAY_NAMES
from seg.system.atomic_io import write_atomic
from seg.system.csv_table import csv_bytes
from seg.system.worker_pool import WORKER_KILLED_MESSAGE, defer_sigterm, shutdown_pool, start_pool

MAX_BUFFERED_BYTES = 2**30
"""Limit in bytes for prefetched photos, and also for masks that are not yet written."""

GPU_BATCH_SIZE = 16
"""Photos in one pass of the network on a GPU."""

FAILURES_CSV = "failed.csv"
"""Name of the file that lists the photos that failed in the last run."""


@dataclass(frozen=True)
class PredictSettings:
    """The settings that determine the masks of a photo."""

    weights: str  # name
    digest: str  # sha256 of the weights file
    variants: tuple[str, ...]
    working_height: int
    resize_mode: preprocess.ResizeMode
    tta: bool = False
    label_ids: bool = False  # whether the masks are written with Cityscapes label ids, too
    confidence: bool = False  # whether the confidences are written
    int8: bool = False  # whether quantized weights compute the masks

    @property
    def extra_files(self) -> list[prediction_files.ExtraFile]:
        """The files that are written beside each mask."""
        kinds: dict[prediction_files.ExtraFile, bool] = {
            "labelIds": self.label_ids,
            "confidence": self.confidence,
        }
        return [kind for kind, is_wanted in kinds.items() if is_wanted]


def default_batch_size(predictor: Predictor) -> int:
    """Return the number of photos in one pass of the network: a CPU gains nothing from several."""
    return GPU_BATCH_SIZE if predictor.device.type == "cuda" else 1


def pending_jobs(
    jobs: list[Job], settings: PredictSettings, on_progress: Callable[[int], object] = lambda checked: None
) -> list[Job]:
    """Return the unfinished jobs: those without results, or with results of another photo or other settings.

    Args:
        jobs: the jobs to check.
        settings: the settings that finished jobs must have.
        on_progress: called with the number of jobs checked so far.
    """
    pending = []
    for number, job in enumerate(jobs, 1):
        if not is_finished(job, settings):
            pending.append(job)
        if number % PROGRESS == 0:
            on_progress(number)
    return pending


def is_finished(job: Job, settings: PredictSettings) -> bool:
    """Return whether the masks exist and were made from this very photo with these settings."""
    try:
        with open(f"{job.target}.json", "rb") as file:
            stored = json.load(file)
        height, width = preprocess.working_size(
            stored["width"], stored["height"], settings.working_height, settings.resize_mode
        )
        expected = {
            "file": prediction_files.file_fingerprint(job.source),
            "weights_sha256": settings.digest,
            "working_size": {"width": width, "height": height},
            "best_quality": settings.tta,
        }
        return (
            all(stored[key] == value for key, value in expected.items())
            and stored.get("int8", False) == settings.int8
            and stored["shares"].keys() >= set(settings.variants)
            and all(os.path.getsize(f"{job.target}.{variant}.png") for variant in settings.variants)
            and all(
                prediction_files.extra_file(job.target, variant, kind).stat().st_size
                for variant in settings.variants
                for kind in settings.extra_files
            )
        )
    except Exception:  # if the file is damaged in any way, the photo is predicted again
        return False


def invalidate(jobs: Iterable[Job]) -> None:
    """Mark finished jobs as unfinished by deleting their JSON files."""
    for job in jobs:
        Path(f"{job.target}.json").unlink(missing_ok=True)


def metadata(prediction: Prediction, digest: str, name: str, tta: bool) -> dict[str, Any]:
    """Return the metadata of a prediction for `prediction_files.write`.

    ``width`` and ``height`` are those of the masks. If the photo was reduced, ``original_width`` and
    ``original_height`` are those of its file.

    Args:
        prediction: the prediction.
        digest: sha256 of the weights file.
        name: name of the photo.
        tta: whether test-time augmentation was used.
    """
    height, width = next(iter(prediction.masks.values())).shape
    original = prediction.reduced_from
    return {
        "photo": name,
        "width": width,
        "height": height,
        **({"original_width": original[1], "original_height": original[0]} if original else {}),
        "working_size": {"width": prediction.working_size[1], "height": prediction.working_size[0]},
        "best_quality": tta,
        "seconds": prediction.seconds,
        "device": prediction.device,
        "weights_sha256": digest,
    }


def write_failures(failed: Iterable[JobResult], out: Path) -> None:
    """Write `FAILURES_CSV` with the reason for each photo that failed, or delete it if none failed.

    Args:
        failed: the results of the photos that failed.
        out: the output folder.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = [(result.job.name, result.error) for result in failed]
    if not rows:
        (out / FAILURES_CSV).unlink(missing_ok=True)
        return
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / FAILURES_CSV, csv_bytes([("photo", "error"), *rows]))


class Pipeline:
    """Worker processes that read photos and write masks while this process runs the network.

    Use it as a context manager. The workers do not load PyTorch. If one dies, at most the photo that caused
    it fails.

    Args:
        workers: number of worker processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers, self._max_ahead = workers, 2 * workers
        self._pool = start_pool(workers)

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        shutdown_pool(self._pool)  # running writes finish first

    def run(
        self,
        jobs: Iterable[Job],
        predictor: Predictor,
        settings: PredictSettings,
        batch_size: int | None = None,
    ) -> Iterator[JobResult]:
        """Run jobs in order. A photo that fails does not stop the others.

        Args:
            jobs: the photos to predict.
            predictor: the network.
            settings: must be those of the predictor.
            batch_size: the most photos in one pass of the network, which have one working size and are
                neighbors in the order; by default `default_batch_size`. With test-time augmentation each
                photo has its own passes.

        Yields:
            One result for each job.

        Raises:
            OSError: if masks cannot be written, for example because the disk is full.
        """
        limit = 1 if settings.tta else batch_size or default_batch_size(predictor)
        writing: deque[_Writing] = deque()
        batch: list[_Photo] = []
        working_size: tuple[int, int] | None = None  # of the photos of the batch
        for item in self._photos(jobs, writing):
            if isinstance(item, JobResult):
                yield item
                continue
            size = predictor.working_size(item.photo, settings.working_height)
            if batch and size != working_size:
                yield from self._predict(batch, predictor, settings, writing)
                batch = []
            working_size = size
            batch.append(item)
            if len(batch) == limit:
                yield from self._predict(batch, predictor, settings, writing)
                batch = []
        if batch:
            yield from self._predict(batch, predictor, settings, writing)
        while writing:
            yield self._finish_write(writing.popleft())

    def _photos(self, jobs: Iterable[Job], writing: "deque[_Writing]") -> "Iterator[_Photo | JobResult]":
        """Read photos ahead. Yields each in order, or the result of one that cannot be read."""
        reading: deque[_Reading] = deque()
        remaining = iter(jobs)
        while True:
            while (
                len(reading) < self._max_ahead
                and sum(map(_buffered_bytes, reading)) < MAX_BUFFERED_BYTES
                and (job := next(remaining, None))
            ):
                reading.append(_Reading(job, self._submit(prediction_files.read, job.source, job.member)))
            if not reading:
                return
            job = reading[0].job
            item: _Photo | JobResult
            try:
                item = _Photo(job, *self._read_one(reading.popleft(), [*reading, *writing]))
            except (PhotoError, MemoryError) as error:
                item = JobResult(job, str(error))
            yield item

    def _predict(
        self,
        batch: "list[_Photo]",
        predictor: Predictor,
        settings: PredictSettings,
        writing: "deque[_Writing]",
    ) -> Iterator[JobResult]:
        """Predict photos and start to write their masks. Yields the results that are finished by then."""
        photos, start = [item.photo for item in batch], time.perf_counter()
        options = (settings.variants, settings.working_height, settings.confidence)
        try:
            if settings.tta:
                predictions = [predictor.predict(photo, *options, tta=True) for photo in photos]
            else:
                predictions = predictor.predict_batch(photos, *options)
        except MemoryError as error:
            if len(batch) == 1:
                yield JobResult(batch[0].job, str(error))
            else:  # only the photos that are too large fail
                for item in batch:
                    yield from self._predict([item], predictor, settings, writing)
            return
        model_seconds = (time.perf_counter() - start) / len(batch)
        for (job, photo, fingerprint, decode_seconds), prediction in zip(batch, predictions, strict=True):
            facts = metadata(prediction, settings.digest, os.path.basename(job.name), settings.tta)
            facts |= {"file": fingerprint, "exif_orientation": exif_orientation(photo)}
            facts |= {"int8": True} if settings.int8 else {}
            facts["seconds"] = prediction.seconds | {"decode": decode_seconds}
            stale_variants = sorted(DISPLAY_NAMES.keys() - prediction.masks.keys())
            extras = settings.label_ids, prediction.confidences, prediction.classes
            write_args = (job.target, prediction.masks, facts, stale_variants, *extras)
            future = self._submit(defer_sigterm, prediction_files.write, *write_args)
            seconds = {"decode": decode_seconds, "model": model_seconds}
            writing.append(_Writing(job, future, write_args, seconds, reduction_note(photo)))
            while writing and (
                writing[0].future.done()
                or len(writing) > self._max_ahead
                or sum(map(_buffered_bytes, writing)) > MAX_BUFFERED_BYTES
            ):
                yield self._finish_write(writing.popleft())

    def _submit(self, function: Callable, *args: Any) -> Future:
        for _ in range(3):
            with suppress(BrokenProcessPool):
                return self._pool.submit(function, *args)
            self._pool.shutdown()  # a worker died, which ended the others
            self._pool = start_pool(self._workers)
        raise ChildProcessError(WORKER_KILLED_MESSAGE)

    def _read_one(
        self, task: "_Reading", concurrent_tasks: "list[_Reading | _Writing]"
    ) -> tuple[Image.Image, dict[str, int], float]:
        """Return what `prediction_files.read` returned, and repeat it alone if a worker died."""
        try:
            return task.future.result()
        except BrokenProcessPool:
            # any of the concurrent tasks may have killed the worker: read this photo alone
            wait([concurrent.future for concurrent in concurrent_tasks])
        for _ in range(2):  # the first attempt can fail because of an earlier death that was not yet noticed
            with suppress(BrokenProcessPool):
                return self._submit(prediction_files.read, task.job.source, task.job.member).result()
        raise PhotoError(
            "The process that reads this photo ended three times: reading takes more than"
            f" {READING_SECONDS} seconds, or memory ran out. Save the photo again as JPEG or PNG."
        )

    def _finish_write(self, task: "_Writing") -> JobResult:
        try:
            try:
                write_seconds = task.future.result()
            except BrokenProcessPool:
                write_seconds = prediction_files.write(*task.args)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # other errors, such as a full disk, affect all photos
                raise
            return JobResult(
                task.job, "Its name is too long to derive the names of the masks from it; rename it."
            )
        return JobResult(task.job, seconds=task.seconds | {"write": write_seconds}, note=task.note)


_WriteArguments = tuple[
    str, dict[str, np.ndarray], dict[str, Any], list[str], bool, dict[str, np.ndarray], ClassSet
]
"""The arguments of `prediction_files.write`, in its order."""


class _Reading(NamedTuple):
    job: Job
    future: Future


class _Photo(NamedTuple):
    job: Job
    photo: Image.Image
    fingerprint: dict[str, int]
    decode_seconds: float


class _Writing(NamedTuple):
    job: Job
    future: Future
    args: _WriteArguments
    seconds: dict[str, float]
    note: str


def _buffered_bytes(task: _Reading | _Writing) -> int:
    """Return the size of the pixels that a task keeps in this process."""
    if isinstance(task, _Writing):
        _, masks, _, _, _, confidences, _ = task.args
        return sum(array.nbytes for arrays in (masks, confidences) for array in arrays.values())
    if not task.future.done() or task.future.exception():
        return 0
    photo = task.future.result()[0]
    return 3 * photo.width * photo.height
