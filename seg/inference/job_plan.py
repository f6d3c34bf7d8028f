"""Which photos a prediction reads and where it writes their masks: `plan_jobs`.

A file of a folder or zip becomes a job if it is a photo (see `photo_files`). A file that is not a readable
picture never takes the name of a mask from one that is.
"""

import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seg.data import archives, file_types, photo_files
from seg.data.image_io import PhotoError
from seg.data.photo_files import FileKind
from seg.errors import StreetFCNError, printable
from seg.inference import prediction_files
from seg.system.file_names import is_system_file, sanitize_name

PROGRESS = 1000
"""Number of files between two progress reports."""


class PhotosError(StreetFCNError, ValueError):
    """Photos that cannot be predicted together; the message says why and how to fix it."""


class Job(NamedTuple):
    """A photo to predict.

    Attributes:
        source: path of the picture file, or of the zip that holds it.
        target: path prefix of its predictions, for `prediction_files.write`.
        member: its name in the zip; empty for a file.
    """

    source: str
    target: str
    member: str = ""

    @property
    def name(self) -> str:
        """The path for messages and tables."""
        return printable(f"{self.source}/{self.member}" if self.member else self.source)


@dataclass(frozen=True)
class JobResult:
    """The outcome of a job.

    Attributes:
        job: the job.
        error: a sentence that says why there are no masks; empty if the photo is finished.
        seconds: time of the stages decode, model and write; empty if the photo failed.
        note: a sentence for the user if the photo was reduced while it was read, else empty.
    """

    job: Job
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """The jobs of a prediction, and the files that have none.

    Attributes:
        jobs: the photos to predict.
        failed: folders that cannot be listed, and photos that cannot be predicted.
        ignored: number of files that are no photos, by `photo_files.group`.
    """

    jobs: list[Job] = field(default_factory=list)
    failed: list[JobResult] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


class _Candidate(NamedTuple):
    job: Job
    kind: FileKind


def plan_jobs(
    photos: Iterable[Path], out: Path, on_progress: Callable[[int], object] = lambda planned: None
) -> Plan:
    """Plan a job for each photo. The structure of folders and zips is preserved below `out`.

    Args:
        photos: picture files, zips and folders.
        out: the output folder.
        on_progress: called with the number of files so far.

    Raises:
        PhotosError: if a path does not exist, a folder has no photos, or the masks would mix with the photos.
        ArchiveError: if a zip cannot be read.
    """
    plan = Plan()
    by_target: dict[str, list[_Candidate]] = {}  # some file systems ignore case
    listed = 0

    def report_unlisted(error: OSError) -> None:
        message = (
            f"This folder cannot be listed ({error.strerror}), so its photos are skipped. Check its"
            " permissions."
        )
        plan.failed.append(JobResult(Job(os.fsdecode(error.filename), ""), message))

    for path in photos:
        if not path.exists():
            raise PhotosError(f"There is no file or folder {path}.")
        if path.is_dir() and path.resolve().is_relative_to(out.resolve()):
            raise PhotosError(
                f"The masks of {path} would lie among its photos. Choose another folder with --out."
            )
        before = len(by_target), len(plan.failed), plan.ignored.copy()
        for candidate in _list_candidates(path, out, plan, report_unlisted):
            rivals = by_target.setdefault(candidate.job.target.casefold(), [])
            if candidate.job not in [rival.job for rival in rivals]:  # else the same file was named twice
                rivals.append(candidate)
                listed += 1
                if listed % PROGRESS == 0:
                    on_progress(listed)
        if before[:2] == (len(by_target), len(plan.failed)) and path.is_dir():
            raise PhotosError(_no_photos_message(path, plan.ignored - before[2]))
    for candidates in by_target.values():
        _settle(candidates, plan, by_target)
    return plan


def _no_photos_message(folder: Path, ignored: Counter[str]) -> str:
    if not ignored:
        return f"The folder {folder} is empty, apart from hidden files. Choose a folder with photos."
    listed = photo_files.describe_counts(ignored)
    return f"There are no photos in {folder}, only other files ({listed}). Choose a folder with photos."


def _list_candidates(
    path: Path, out: Path, plan: Plan, on_error: Callable[[OSError], None]
) -> Iterator[_Candidate]:
    """Yield what may be a photo; count the other files in `plan.ignored`."""
    if path.is_dir():
        for source, relative in _walk(path, out, on_error):
            if kind := _picture_kind(relative, _read_head(source), plan.ignored):
                yield _Candidate(Job(source, os.path.join(out, os.path.splitext(relative)[0])), kind)
    elif archives.is_zip(_read_head(str(path))):
        for member in archives.list_members(path, file_types.HEAD_BYTES):
            job = Job(str(path), os.path.join(out, sanitize_name(member.name)), member.name)
            if member.error:
                plan.failed.append(JobResult(job, member.error))
            elif kind := _picture_kind(member.name, member.data, plan.ignored):
                yield _Candidate(job, kind)
    else:  # what the user names is a photo in any case
        yield _Candidate(Job(str(path), os.path.join(out, path.stem)), FileKind.PHOTO)


def _walk(path: Path, out: Path, on_error: Callable[[OSError], None]) -> Iterator[tuple[str, str]]:
    """Yield each file in a folder but not in `out`, and its relative path. Links to folders are followed."""
    visited = {os.path.realpath(out)}
    for folder, subfolders, names in os.walk(path, onerror=on_error, followlinks=True):
        if os.path.realpath(folder) in visited:  # a link may lead to a folder that was listed already
            subfolders.clear()
            continue
        visited.add(os.path.realpath(folder))
        subfolders[:] = sorted(name for name in subfolders if not is_system_file(name))
        relative = os.path.relpath(folder, path)
        for name in sorted(names):
            if not is_system_file(name):
                yield os.path.join(folder, name), os.path.normpath(os.path.join(relative, name))


def _read_head(source: str) -> bytes:
    """Return the first bytes of a file; none if it cannot be read or is a device, where reading may wait."""
    try:
        if os.path.isfile(source):
            with open(source, "rb") as file:
                return file.read(file_types.HEAD_BYTES)
    except OSError:
        pass
    return b""


def _picture_kind(name: str, head: bytes, ignored: Counter[str]) -> FileKind | None:
    """Return the kind of a picture; count other files in `ignored` and return None."""
    kind = photo_files.classify(name, head)
    if kind not in (FileKind.OTHER, FileKind.MASK):
        return kind
    ignored[photo_files.group(name, kind)] += 1
    return None


def _settle(candidates: list[_Candidate], plan: Plan, taken: Container[str]) -> None:
    """Plan the files that claim one name: the first that can be read gets it, the others their full name."""
    photos = [job for job, kind in candidates if kind is FileKind.PHOTO]
    chosen = photos[0] if len(photos) == 1 else None
    for job, kind in candidates:
        if kind is FileKind.OTHER_PICTURE:
            if photos:  # a raw file beside the picture that the camera made of it
                plan.ignored[photo_files.group(job.name, kind)] += 1
            else:
                plan.failed.append(JobResult(job, photo_files.unsupported_message(job.name)))
        elif job == chosen or len(candidates) == 1:
            plan.jobs.append(job)
        elif kind is FileKind.PHOTO and chosen:
            full = job._replace(target=f"{job.target}{os.path.splitext(job.name)[1]}")
            if full.target.casefold() in taken:
                message = f"Its masks would overwrite those of another photo. Rename {job.name}."
                plan.failed.append(JobResult(job, message))
            else:
                plan.jobs.append(full)
        else:
            try:
                prediction_files.read(job.source, job.member)
            except PhotoError as error:
                plan.failed.append(JobResult(job, str(error)))
            else:
                plan.jobs.append(job)
                chosen = job
