"""Batches of uploaded photos: `Batch.ingest` stores files and zips, `process_next` segments one photo, and
`process_video` a video.

A batch is stored in a private folder that is deleted with it; only names, sizes and class shares are in
memory. A photo is done when all of its files are written, so an interruption neither loses nor repeats one. A
bad file does not stop the others. The folder contains:

    photos/00012                the uploaded file, if its header is that of a picture
    masks/STEM.VARIANT.png      a mask, as ``python -m seg predict`` writes it
    masks/STEM.json             its metadata, likewise
    small/00012.VARIANT.jpg     a thumbnail of the photo with its mask
    videos/00012.video.mp4      the results of a video, as ``python -m seg predict`` writes them
"""

import io
import os
import shutil
import tempfile
import time
import weakref
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from seg.data import archives, file_types, label_import, photo_files
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.image_io import PhotoError, check_header, exif_orientation, read_photo, reduced_from
from seg.data.photo_files import FileKind
from seg.data.video import VideoError
from seg.inference import mask_io, prediction_files
from seg.inference.directory import metadata
from seg.inference.prediction import Prediction
from seg.inference.private_dir import PrivateDir
from seg.inference.video_run import (
    DEFAULT_RATE,
    Predict,
    VideoProgress,
    VideoRun,
    VideoSettings,
    result_files,
)
from seg.system.atomic_io import write_atomic
from seg.system.csv_table import csv_bytes
from seg.system.file_names import is_system_file, sanitize_name, unique_name

PHOTOS = 2000
"""Maximum number of files in a batch."""


BYTES = 4 * 2**30
"""Maximum size of all photos of a batch in bytes."""


SMALL = 360
"""Maximum width and height of a thumbnail in pixels."""


OPACITY = 0.6
"""Opacity of the masks on thumbnails."""


MAX_VIDEO_FRAMES = 3000
"""Analyzed frames of a video: ten minutes at five a second. A small file can be hours long."""

PREFIX = "street-fcn-"
"""Prefix of the folders of batches in the system's folder for temporary files."""


ALL_BYTES = 20 * 2**30
"""Maximum size of the photos of all batches of this process."""

MIN_FREE_BYTES = 2 * 2**30
"""Space on the disk that batches leave free for their masks and for other programs."""


@dataclass(frozen=True)
class BatchSettings:
    """The settings that determine the masks of a batch."""

    weights: str  # name
    digest: str  # sha256 of the weights file
    variants: tuple[str, ...]
    tta: bool = False
    classes: ClassSet = CITYSCAPES
    rate: float = DEFAULT_RATE  # analyzed frames in a second of video


@dataclass(frozen=True)
class EntryResult:
    """The size and the class shares of a segmented photo, or the mean shares of a video and the size of its
    side-by-side video."""

    width: int
    height: int
    shares: dict[str, dict[str, float]]  # {variant: {class: share}}, as `mask_io.shares`
    is_reduced: bool = False  # while the photo was read


@dataclass
class Entry:
    """A file of a batch.

    Attributes:
        name: the name that the user knows.
        stem: a safe, unique path below masks/ for its predictions. It is empty until the photo is segmented,
            so that a file that cannot be used takes no name from one that can.
        error: a sentence that says why the file cannot be used; empty otherwise.
        taken: whether the file is stored in photos/.
        result: None until the photo is segmented.
        is_video: whether the file is a video.
    """

    name: str
    stem: str = ""
    error: str = ""
    taken: bool = True
    result: EntryResult | None = None
    is_video: bool = False

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """Class shares by variant; empty until the photo is segmented."""
        return self.result.shares if self.result else {}


_BATCHES: "weakref.WeakSet[Batch]" = weakref.WeakSet()


@dataclass(eq=False)
class Batch:
    """Uploaded photos and their predictions.

    Attributes:
        settings: the weights and how they are applied.
        entries: the files, in order.
        seconds: time that inference has taken so far.
        total_bytes: size of all stored photos.
        note: the latest `Prediction.note` that was not empty.
        ignored: number of files that are no photos, as in `job_plan.Plan`.
    """

    settings: BatchSettings
    entries: list[Entry] = field(default_factory=list)
    seconds: float = 0.0
    total_bytes: int = 0
    note: str = ""
    ignored: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.folder = PrivateDir(Path(tempfile.gettempdir()), PREFIX)
        _BATCHES.add(self)
        self._stems: set[str] = set()
        self._other_pictures: list[Entry] = []
        for name in ("photos", "masks", "small", "videos"):
            (self.path / name).mkdir()

    @property
    def path(self) -> Path:
        """The folder of the batch."""
        return self.folder.path

    @property
    def done(self) -> list[int]:
        """Indices of the segmented entries."""
        return [i for i, entry in enumerate(self.entries) if entry.result]

    @property
    def photos_done(self) -> list[int]:
        """Indices of the segmented photos."""
        return [i for i in self.done if not self.entries[i].is_video]

    @property
    def videos_done(self) -> list[int]:
        """Indices of the segmented videos."""
        return [i for i in self.done if self.entries[i].is_video]

    @property
    def failed(self) -> list[int]:
        """Indices of the entries that cannot be used."""
        return [i for i, entry in enumerate(self.entries) if entry.error]

    @property
    def waiting(self) -> list[int]:
        """Indices of the entries that are still to be segmented."""
        return [i for i, entry in enumerate(self.entries) if not entry.result and not entry.error]

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds for the remaining photos; None until one is processed."""
        processed = sum(1 for entry in self.entries if entry.taken and (entry.result or entry.error))
        return self.seconds / processed * len(self.waiting) if processed else None

    def photo_file(self, number: int) -> Path:
        """Return the path of an uploaded file."""
        return self.path / "photos" / f"{number:05d}"

    def mask_file(self, number: int, variant: str) -> Path:
        """Return the path of a mask, an indexed PNG."""
        return self._target(number, f".{variant}.png")

    def small_file(self, number: int, variant: str) -> Path:
        """Return the path of a thumbnail, a JPEG of the photo with its mask."""
        return self.path / "small" / f"{number:05d}.{variant}.jpg"

    def ingest(
        self, files: Iterable[tuple[str, BinaryIO]], check: Callable[[bytes], None] = check_header
    ) -> Iterator[float]:
        """Store files and the contents of zips. A file that cannot be used becomes an entry with an error; it
        is not stored.

        Args:
            files: names and open binary files.
            check: checks the header of a photo as `check_header` does.

        Yields:
            The number of files ingested so far, with fractions for the contents of a zip.

        Raises:
            OSError: if the disk is full.
        """
        for ingested, (name, file) in enumerate(files):
            if len(self.entries) > PHOTOS:  # the last entry reports that there were more
                return
            head = file.read(4)
            file.seek(0)
            if archives.is_zip(head):
                try:
                    for fraction, member in archives.members(file):
                        self._add(member, check)
                        yield ingested + fraction
                except archives.ArchiveError as error:
                    self._add(archives.Member(name, b"", str(error)), check)
            elif not is_system_file(name):
                self._add(archives.Member(name, file.read()), check, allow_video=True)
            yield ingested + 1.0
        # a raw file beside the picture that the camera made of it is no photo more
        stems = {os.path.splitext(entry.name)[0].casefold() for entry in self.entries if entry.taken}
        for entry in self._other_pictures:
            stem, suffix = os.path.splitext(entry.name)
            if stem.casefold() in stems:
                self.ignored[suffix.lower()] += 1
            else:
                self.entries.append(entry)

    def _add(self, file: archives.Member, check: Callable[[bytes], None], allow_video: bool = False) -> None:
        name = " ".join("".join(c if c.isprintable() else " " for c in file.name).split()) or "photo"
        kind = FileKind.PHOTO if file.error else photo_files.classify(file.name, file.data)
        is_video = allow_video and file_types.video_container(file.data) is not None
        if kind in (FileKind.OTHER, FileKind.MASK) and not is_video:
            self.ignored[photo_files.group(file.name, kind)] += 1
            return
        if kind is FileKind.OTHER_PICTURE:
            self._other_pictures.append(Entry(name, error=photo_files.unsupported_message(name), taken=False))
            return
        error = file.error
        if len(self.entries) >= PHOTOS:
            if len(self.entries) > PHOTOS:
                return
            error = f"This file and all later ones are left out: {PHOTOS:,} are the most at a time."
        elif not error and self.total_bytes + len(file.data) > BYTES:
            error = f"This file is left out: all photos together may have {BYTES // 2**30} GB."
        elif not error and not self._has_room(len(file.data)):
            error = "This file is left out: the server has no room for more photos now. Try again later."
        if not error and not is_video:  # a video is checked when it is read
            try:
                check(file.data)
            except PhotoError as refusal:
                error = str(refusal)
        if not error:
            write_atomic(self.photo_file(len(self.entries)), file.data)
            self.total_bytes += len(file.data)
        self.entries.append(Entry(name, error=error, taken=not error, is_video=is_video))

    def _has_room(self, size: int) -> bool:
        """Return whether the batches of all users, and the disk, leave room for some bytes more."""
        stored = sum(batch.total_bytes for batch in list(_BATCHES))
        return stored + size <= ALL_BYTES and shutil.disk_usage(self.path).free - size >= MIN_FREE_BYTES

    def process_next(
        self,
        predict: Callable[[Image.Image], Prediction],
        read: Callable[[bytes], Image.Image] = read_photo,
    ) -> None:
        """Segment the next waiting photo.

        Args:
            predict: segments a photo. Its MemoryError or RuntimeError becomes the error of the entry; after
                any other exception the photo still waits.
            read: reads a photo as `read_photo` does.

        Raises:
            OSError: if the disk is full; the photo then still waits.
        """
        number = self.waiting[0]
        entry, start = self.entries[number], time.perf_counter()
        try:
            photo = read(self.photo_file(number).read_bytes())
            is_reduced = reduced_from(photo) is not None
            photo = label_import.photo_of_pair(photo) or photo
            prediction = predict(photo)
        except (PhotoError, MemoryError, RuntimeError) as error:
            entry.error = _failure(error, "photo")
        else:
            entry.stem = entry.stem or unique_name(sanitize_name(entry.name), self._stems)
            self._write_thumbnails(number, photo, prediction)
            facts = metadata(prediction, self.settings.digest, entry.name, self.settings.tta)
            facts["exif_orientation"] = exif_orientation(photo)
            classes = self.settings.classes
            prediction_files.write(str(self._target(number, "")), prediction.masks, facts, classes=classes)
            shares = {variant: mask_io.shares(mask, classes) for variant, mask in prediction.masks.items()}
            entry.result = EntryResult(photo.width, photo.height, shares, is_reduced)
            self.note = prediction.note or self.note
        self.seconds += time.perf_counter() - start

    def process_video(self, predict: Predict) -> Generator[VideoProgress]:
        """Segment the next waiting file, a video; to close the iterator interrupts it, and a later call
        resumes.

        Args:
            predict: segments a frame. Its MemoryError or RuntimeError becomes the error of the entry; after
                any other exception the video still waits.

        Yields:
            The progress, after each frame.

        Raises:
            OSError: if the disk is full; the video then still waits.
        """
        number = self.waiting[0]
        entry, start, settings = self.entries[number], time.perf_counter(), self.settings
        run = VideoRun(
            self.photo_file(number),
            str(self.path / "videos" / f"{number:05d}"),
            VideoSettings(
                *(settings.weights, settings.digest, settings.variants, None),
                *(settings.tta, False, settings.rate, MAX_VIDEO_FRAMES),
            ),
            settings.classes,
        )
        try:
            yield from run.run(predict)
        except (VideoError, MemoryError, RuntimeError) as error:
            entry.error = _failure(error, "video")
        else:
            summary = run.summary()
            entry.result = EntryResult(summary["width"], summary["height"], summary["shares"])
        finally:
            self.seconds += time.perf_counter() - start

    def video_results(self, number: int) -> tuple[Path, Path, Path]:
        """Return the side-by-side video, the table and the summary of a segmented video."""
        return result_files(str(self.path / "videos" / f"{number:05d}"))

    def reset(self, settings: BatchSettings) -> None:
        """Delete all predictions, so that the photos can be segmented with other settings."""
        self.settings, self.seconds, self.note = settings, 0.0, ""
        self._stems.clear()
        for entry in self.entries:
            entry.result, entry.stem = None, ""
            if entry.taken:
                entry.error = ""
        for name in ("masks", "small", "videos"):
            shutil.rmtree(self.path / name)
            (self.path / name).mkdir()

    def csv(self) -> bytes:
        """Return a CSV table with the class shares (0-1) of each mask, the mean shares of each video, and the
        error of each failed file."""
        names = self.settings.classes.names
        rows: list[list] = [["name", "variant", "width", "height", *names, "mask", "error"]]
        for entry in self.entries:
            if entry.result:
                for variant, shares in entry.result.shares.items():
                    by_class = [f"{shares.get(name, 0):.6f}" for name in names]
                    size = (entry.result.width, entry.result.height)
                    mask = "" if entry.is_video else f"{entry.stem}.{variant}.png"
                    rows.append([entry.name, variant, *size, *by_class, mask, ""])
            elif entry.error:
                rows.append([entry.name, "", "", "", *[""] * len(names), "", entry.error])
        return csv_bytes(rows)

    def write_zips(self, folder: Path, most: int) -> Iterator[float]:
        """Write masks, their JSON files and the CSV into zips, without keeping them in memory.

        Args:
            folder: where to write ``masks.zip``, or ``masks-01.zip`` and so on.
            most: maximum size of a zip in bytes; the files of one photo must be smaller.

        Yields:
            The fraction of photos written so far (0-1).

        Raises:
            OSError: if the disk is full.
        """
        indices, archive, free_bytes = self.photos_done, None, 0
        zip_paths: list[Path] = []
        try:
            for written, number in enumerate(indices, 1):
                files = [self.mask_file(number, variant) for variant in self.settings.variants]
                files.append(self._target(number, ".json"))
                names = [file.relative_to(self.path / "masks").as_posix() for file in files]
                # a zip stores the name of a file and up to 100 bytes about it, both twice
                needed = sum(
                    file.stat().st_size + 2 * len(name.encode()) + 200
                    for file, name in zip(files, names, strict=True)
                )
                if archive is not None and needed > free_bytes:
                    archive.close()
                    archive = None
                if archive is None:
                    zip_paths.append(folder / f"masks-{len(zip_paths) + 1:02d}.zip")
                    archive, free_bytes = zipfile.ZipFile(zip_paths[-1], "x"), most - 100
                    if len(zip_paths) == 1:
                        table = self.csv()
                        archive.writestr("shares.csv", table, compress_type=zipfile.ZIP_DEFLATED)
                        free_bytes -= len(table) + 200
                for file, name in zip(files, names, strict=True):
                    is_compressed = file.suffix == ".png"
                    archive.write(file, name, zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED)
                free_bytes -= needed
                yield written / len(indices)
        finally:
            if archive is not None:
                archive.close()
        if len(zip_paths) == 1:
            zip_paths[0].rename(folder / "masks.zip")

    def _target(self, number: int, suffix: str) -> Path:
        return self.path / "masks" / f"{self.entries[number].stem}{suffix}"

    def _write_thumbnails(self, number: int, photo: Image.Image, prediction: Prediction) -> None:
        scale = min(1, SMALL / max(photo.size))
        size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
        small_photo = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        for variant, mask in prediction.masks.items():
            small_mask = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
            out = io.BytesIO()
            blend = mask_io.overlay(np.asarray(small_photo), small_mask, OPACITY, self.settings.classes)
            Image.fromarray(blend).save(out, "JPEG", quality=88)
            write_atomic(self.small_file(number, variant), out.getvalue())


def _failure(error: Exception, kind: str) -> str:
    """Return why a file could not be segmented; its `kind` is photo or video."""
    if isinstance(error, MemoryError):
        return f"There is not enough memory for this {kind}. Make it smaller and try again."
    if isinstance(error, RuntimeError):
        reason = (str(error).splitlines() or ["no reason given"])[0]
        return f"Segmenting this {kind} failed ({reason})."
    return str(error)
