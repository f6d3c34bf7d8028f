"""Folders of photos -> folders of masks: a million of them, over as many sittings as it takes.

Photos are read ahead of the network, and masks written behind it, by other processes. A photo is finished when its JSON says so;
what was interrupted goes on from there. Nothing here grows with the number of photos but the list of their names.
"""

import csv
import errno
import io
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seg import archive, preprocess, results
from seg.crew import KILLED, crew, dismiss, to_the_end
from seg.files import write_atomic
from seg.networks import TITLES
from seg.photo import PhotoError
from seg.predict import Prediction, Predictor

HELD = 2**30
"""Bytes of photos read ahead, and as many of masks not yet written, beyond which no more are begun."""

FAILED = "failed.csv"
"""The file that lists the photos of the last sitting that failed."""

PROGRESS = 1000
"""So many files are listed or looked at between two words of progress."""


class PhotosError(ValueError):
    """Photos that cannot be predicted together; the message says why."""


class Job(NamedTuple):
    """A photo to be done."""

    source: str  # the picture file
    target: str  # what is written begins with this path: `results.write`


@dataclass(frozen=True)
class Settings:
    """All that decides what a photo's masks are."""

    weights: str  # their name
    digest: str  # of their file
    variants: tuple[str, ...]
    working_height: int
    rule: preprocess.Rule
    best: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a photo."""

    job: Job
    error: str = ""  # why there are no masks, a sentence
    seconds: dict[str, float] = field(default_factory=dict)  # decode, model, write; of a finished photo


def plan(photos: Iterable[Path], out: Path, told: Callable[[int], None] = lambda found: None) -> tuple[list[Job], list[Outcome]]:
    """Picture files and folders -> a job for each file, and what fails before it begins; `told` hears how many jobs so far.

    A folder's structure is kept below `out`. Folders that cannot be listed fail, and photos whose masks would have the names of
    another's. Raises `PhotosError` for what does not exist and for folders without files.
    """
    jobs: list[Job] = []
    failed: list[Outcome] = []
    seen: dict[str, str] = {}

    def unlisted(error: OSError) -> None:
        why = f"This folder cannot be listed ({error.strerror}), so its photos are left out; see to it that you may read it."
        failed.append(Outcome(Job(str(error.filename), ""), why))

    for given in photos:
        if not given.exists():
            raise PhotosError(f"There is no file or folder {given}.")
        if given.is_dir() and given.resolve().is_relative_to(out.resolve()):
            raise PhotosError(f"The masks of {given} would lie among its photos. Name another folder with --out.")
        empty, before = True, len(failed)
        for source, stem in _files(given, out, unlisted):
            empty, job = False, Job(source, os.path.join(out, stem))
            other = seen.setdefault(job.target.casefold(), source)  # not every file system tells A from a
            if other != source:
                failed.append(Outcome(job, f"Its masks would have the names of those of {other}; rename one of the two."))
            elif other is source:  # else it was named twice
                jobs.append(job)
                if len(jobs) % PROGRESS == 0:
                    told(len(jobs))
        if empty and len(failed) == before:
            raise PhotosError(f"The folder {given} has no files.")
    return jobs, failed


def _files(given: Path, out: Path, unlisted: Callable[[OSError], None]) -> Iterator[tuple[str, str]]:
    """A file, or those in a folder, each with its path below the folder, without ending; none of those that lie in `out`."""
    if not given.is_dir():
        yield str(given), given.stem
        return
    kept_out = os.path.realpath(out)
    for at, folders, names in os.walk(given, onerror=unlisted):
        folders[:] = sorted(
            name for name in folders if not archive.is_silent(name) and os.path.realpath(os.path.join(at, name)) != kept_out
        )
        below = os.path.relpath(at, given)
        for name in sorted(names):
            if not archive.is_silent(name):
                yield os.path.join(at, name), os.path.normpath(os.path.join(below, os.path.splitext(name)[0]))


def unfinished(jobs: list[Job], settings: Settings, told: Callable[[int], None] = lambda seen: None) -> list[Job]:
    """The jobs that are still to be done: those without results, or with results of another photo or of other settings."""
    left = []
    for number, job in enumerate(jobs, 1):
        if not is_finished(job, settings):
            left.append(job)
        if number % PROGRESS == 0:
            told(number)
    return left


def is_finished(job: Job, settings: Settings) -> bool:
    """Whether a photo's masks are there, made of this very photo with these settings."""
    try:
        with open(f"{job.target}.json", "rb") as file:
            said = json.load(file)
        height, width = preprocess.working_size(said["width"], said["height"], settings.working_height, settings.rule)
        wanted = {
            "file": results.stamp(job.source),
            "weights_sha256": settings.digest,
            "working_size": {"width": width, "height": height},
            "best_quality": settings.best,
        }
        return (
            all(said[key] == value for key, value in wanted.items())
            and said["shares"].keys() >= set(settings.variants)
            and all(os.path.getsize(f"{job.target}.{variant}.png") for variant in settings.variants)
        )
    except Exception:  # whatever is wrong with the file, the photo is done again
        return False


def forget(jobs: Iterable[Job]) -> None:
    """Has finished jobs count as unfinished."""
    for job in jobs:
        Path(f"{job.target}.json").unlink(missing_ok=True)


def facts(prediction: Prediction, digest: str, name: str, best: bool) -> dict[str, Any]:
    """What `results.write` writes beside the masks; `name` is the photo's, `digest` that of the weights' file."""
    first = next(iter(prediction.masks.values()))
    return {
        "photo": name,
        "width": first.shape[1],
        "height": first.shape[0],
        "working_size": {"width": prediction.working_size[1], "height": prediction.working_size[0]},
        "best_quality": best,
        "seconds": prediction.seconds,
        "device": prediction.device,
        "weights_sha256": digest,
    }


def report(failed: Iterable[Outcome], out: Path) -> None:
    """Writes `FAILED`, a row with the reason for each photo that failed; without any there is no such file."""
    rows = [(outcome.job.source, outcome.error) for outcome in failed]
    if not rows:
        (out / FAILED).unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text).writerows([("photo", "why"), *rows])
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / FAILED, text.getvalue().encode())


class Pipeline:
    """Processes that read photos and write masks while this one runs the network; for use in a ``with``.

    They are small and know nothing of the network. One that dies costs no more than the photo that it died of.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._crew = crew(workers)

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        dismiss(self._crew)  # a write that has begun comes to its end

    def run(self, jobs: Iterable[Job], predictor: Predictor, settings: Settings) -> Iterator[Outcome]:
        """Does the jobs in turn and yields what became of each; a photo that cannot be done does not stop the others.

        Raises OSError where nothing more can be written.
        """
        reading: deque[_Reading] = deque()
        writing: deque[_Writing] = deque()
        coming, ahead = iter(jobs), 2 * self._workers
        while True:
            while len(reading) < ahead and sum(map(_held, reading)) < HELD and (job := next(coming, None)):
                reading.append(_Reading(job, self._submit(results.read, job.source)))
            if not reading:
                break
            job = reading[0].job
            try:
                photo, stamp, decode = self._photo(reading.popleft(), [*reading, *writing])
                began = time.perf_counter()
                prediction = predictor.predict(photo, settings.variants, settings.working_height, best=settings.best)
                seconds = {"decode": decode, "model": time.perf_counter() - began}
            except (PhotoError, MemoryError) as error:
                yield Outcome(job, str(error))
                continue
            said = facts(prediction, settings.digest, os.path.basename(job.source), settings.best)
            said |= {"file": stamp, "seconds": prediction.seconds | {"decode": decode}}
            words = (job.target, prediction.masks, said, TITLES.keys() - prediction.masks.keys())
            writing.append(_Writing(job, self._submit(to_the_end, results.write, *words), words, seconds))
            while writing and (writing[0].future.done() or len(writing) > ahead or sum(map(_held, writing)) > HELD):
                yield self._written(writing.popleft())
        while writing:
            yield self._written(writing.popleft())

    def _submit(self, call: Callable, *words: Any) -> Future:
        for _ in range(3):
            with suppress(BrokenProcessPool):
                return self._crew.submit(call, *words)
            self._crew.shutdown()  # one of them died, and the others were ended
            self._crew = crew(self._workers)
        raise ChildProcessError(KILLED)

    def _photo(self, task: "_Reading", beside: "list[_Reading | _Writing]") -> tuple[Image.Image, dict[str, int], float]:
        try:
            return task.future.result()
        except BrokenProcessPool:
            wait([other.future for other in beside])  # of which photo it died, is known only when one is read alone
        for _ in range(2):  # the first time it may have been another's end, not yet noticed when this was sent there
            with suppress(BrokenProcessPool):
                return self._submit(results.read, task.job.source).result()
        raise PhotoError("Thrice the process that read it came to its end; perhaps there is not enough memory.")

    def _written(self, task: "_Writing") -> Outcome:
        try:
            try:
                took = task.future.result()
            except BrokenProcessPool:
                took = results.write(*task.words)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # anything else, a full disk say, would befall the other photos too
                raise
            return Outcome(task.job, "Its name is too long for the masks' names to be made of it; rename it.")
        return Outcome(task.job, seconds=task.seconds | {"write": took})


class _Reading(NamedTuple):
    job: Job
    future: Future


class _Writing(NamedTuple):
    job: Job
    future: Future
    words: tuple[str, dict[str, np.ndarray], dict[str, Any], set[str]]  # those of `results.write`
    seconds: dict[str, float]


def _held(task: _Reading | _Writing) -> int:
    """Bytes of pixels that wait in this process."""
    if isinstance(task, _Writing):
        return sum(mask.nbytes for mask in task.words[1].values())
    if not task.future.done() or task.future.exception():
        return 0
    photo = task.future.result()[0]
    return 3 * photo.width * photo.height
