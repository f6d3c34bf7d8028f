"""Segmentation of a video: a side-by-side video, class shares over time, and the flicker of each network.

A `VideoRun` writes, for the target ``OUT/drive``::

    drive.video.mp4             the photo and the masks of the analyzed frames
    drive.video.csv             class shares and flicker of each frame and variant
    drive.video.json            settings and summary; it is written last

Until then, finished segments are in the folder ``.drive.video``, with which an interrupted run resumes. The
memory hardly depends on the length of the video.

A pixel flickers if its class differs from that in the analyzed frame before, although the photo hardly
changed there: by at most `STILL` of 255 levels in each channel. The flicker of a variant is the share of
these pixels among all that hardly changed.
"""

import csv
import json
import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.isolated_video import IsolatedVideo
from seg.data.video import FrameSource, VideoError
from seg.inference.prediction import Prediction
from seg.inference.prediction_files import file_fingerprint
from seg.inference.video_writer import Layout, SegmentWriter, arrange, compose, join, video_size
from seg.models.factory import DISPLAY_NAMES
from seg.system.atomic_io import new_file, write_atomic, write_json
from seg.system.csv_table import csv_bytes

DEFAULT_RATE = 5.0
"""Analyzed frames a second. A network takes a quarter of a second to a second for a frame on a CPU, so a
minute of video takes one to five."""

STILL = 8
"""Levels of 255 by which a channel of a pixel may change without the pixel counting as changed. It is above
the noise of a compressed video and below the edges of objects."""

SEGMENT_FRAMES = 50
"""Frames in a segment: as many are lost at most if the process is killed."""

Predict = Callable[[Image.Image, tuple[int, int]], Prediction]
"""Segments a photo; the masks have the given height and width."""


@dataclass(frozen=True)
class VideoSettings:
    """The settings that determine the results of a video.

    Attributes:
        weights: their name.
        digest: sha256 of the weights file.
        variants: the variants, in the order of their pictures.
        working_height: in pixels; None for that of the weights.
        tta: whether test-time augmentation is used.
        int8: whether quantized weights compute the masks.
        rate: analyzed frames a second.
        max_frames: frames after which the analysis ends; None for all.
    """

    weights: str
    digest: str
    variants: tuple[str, ...]
    working_height: int | None = None
    tta: bool = False
    int8: bool = False
    rate: float = DEFAULT_RATE
    max_frames: int | None = None


class VideoProgress(NamedTuple):
    """How far a run is: analyzed frames, their seconds of video, and the duration that the file states."""

    frames: int
    seconds: float
    duration: float | None

    @property
    def fraction(self) -> float:
        """The share of the video that is done, 0 to 1; 0 if the file states no duration."""
        return min(1.0, self.seconds / self.duration) if self.duration else 0.0


class FrameResult(NamedTuple):
    """The results of a frame; the fields of a line in a segment's JSON file.

    Attributes:
        seconds: its time in the video.
        still: share of pixels whose photo hardly changed since the frame before; 0 for the first frame.
        flicker: by variant, the share of these whose class changed; None if there are none.
        shares: by variant, the share of each class in the order of train ids.
    """

    seconds: float
    still: float
    flicker: dict[str, float | None]
    shares: dict[str, list[float]]


class VideoRun:
    """The segmentation of one video.

    Args:
        source: the video.
        target: path prefix of the results.
        settings: the settings.
        classes: the classes of the masks.
        video: the frames of the source; by default they are read by another process.
    """

    def __init__(
        self,
        source: Path,
        target: str,
        settings: VideoSettings,
        classes: ClassSet = CITYSCAPES,
        video: FrameSource | None = None,
    ) -> None:
        self._source, self._settings, self._classes = source, settings, classes
        self._video = video or IsolatedVideo(source)
        self.video_file, self.table_file, self.summary_file = result_files(target)
        self._work = self.video_file.with_name(f".{self.video_file.stem}")
        self._layout: Layout | None = None
        self._segments: list[tuple[Path, int]] = []  # files and their numbers of frames
        self._previous: tuple[np.ndarray, dict[str, np.ndarray]] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the results exist and were made from this very video with these settings."""
        try:
            stored = self.summary()
            files = (self.video_file, self.table_file)
            return stored["run"] == self._identity() and all(file.stat().st_size for file in files)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def summary(self) -> dict[str, Any]:
        """Return the content of the summary file.

        Raises:
            OSError: if there is none.
        """
        return json.loads(self.summary_file.read_bytes())

    def forget(self) -> None:
        """Delete the segments and mark finished results as unfinished."""
        self.summary_file.unlink(missing_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)

    def run(self, predict: Predict) -> Generator[VideoProgress]:
        """Analyze the video from where an interrupted run ended. To close the iterator interrupts the run and
        keeps all finished frames.

        Args:
            predict: segments a frame.

        Yields:
            The progress, after each frame.

        Raises:
            VideoError: if the file has no video that can be read.
            OSError: if a file cannot be written; finished segments are kept.
        """
        self.summary_file.parent.mkdir(parents=True, exist_ok=True)
        self._resume()
        notes: list[str] = []
        try:
            yield from self._analyze(predict)
        except VideoError as error:
            if not self._segments:
                shutil.rmtree(self._work, ignore_errors=True)
                raise
            notes.append(f"{error} The frames before are done.")
        self._write_results([*self._video.notes, *notes])

    def _identity(self) -> dict[str, Any]:
        settings = asdict(self._settings) | {"variants": list(self._settings.variants)}
        return {"file": file_fingerprint(str(self._source)), "settings": settings}

    def _resume(self) -> None:
        """Find the segments of an earlier run; delete those of another video or of other settings."""
        identity_file, self._segments = self._work / "run.json", []
        try:
            is_same = json.loads(identity_file.read_bytes()) == self._identity()
        except (OSError, ValueError):
            is_same = False
        if not is_same:
            identity = self._identity()  # fails before anything is written if the source is missing
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir()
            write_json(identity_file, identity)
            return
        with suppress(OSError, ValueError, TypeError):  # the first segment that is not whole ends the list
            while True:
                file = self._segment_file(len(self._segments))
                file.stat()
                self._segments.append((file, len(_read_rows(file))))

    def _segment_file(self, number: int) -> Path:
        return self._work / f"{number:06d}.mp4"

    def _analyze(self, predict: Predict) -> Generator[VideoProgress]:
        done = sum(count for _, count in self._segments)
        most = self._settings.max_frames
        if most is not None and done >= most:
            return
        skip = max(0, done - 1)  # the last finished frame is compared with the next one
        segment = _Segment()
        try:
            with closing(self._video.frames(self._settings.rate, skip)) as frames:
                for number, (seconds, pixels) in enumerate(frames, skip + 1):
                    pictures, result = self._analyze_frame(seconds, pixels, predict)
                    if number > done:
                        segment.add(pictures, result)
                        done = number
                    if len(segment.rows) == SEGMENT_FRAMES:
                        self._keep(segment)
                        segment = _Segment()
                    yield VideoProgress(done, seconds, self._video.seconds)
                    if done == most:
                        break
        except OSError:  # such as a full disk, where a part more cannot be written either
            raise
        except BaseException:
            with suppress(OSError):
                self._keep(segment)
            raise
        self._keep(segment)

    def _analyze_frame(
        self, seconds: float, pixels: np.ndarray, predict: Predict
    ) -> tuple[np.ndarray, FrameResult]:
        """Return the side-by-side picture of a frame and its numbers."""
        photo, variants = Image.fromarray(pixels), self._settings.variants
        layout = self._layout = self._layout or arrange(photo.width, photo.height, 1 + len(variants))
        masks = predict(photo, (layout.height, layout.width)).masks
        size = layout.width, layout.height
        small = np.asarray(photo.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
        pictures = {"Photo": small}
        pictures |= {DISPLAY_NAMES[v]: self._classes.colorize(masks[v]) for v in variants}
        still, flicker = flicker_of(self._previous, (small, masks))
        self._previous = small, masks
        shares = {v: _shares(masks[v], len(self._classes)) for v in variants}
        return compose(pictures, layout), FrameResult(
            round(seconds, 6), still, {v: flicker[v] for v in variants}, shares
        )

    def _keep(self, segment: "_Segment") -> None:
        """Write a segment. Its JSON file comes last, so a segment without one does not count."""
        if not segment.is_whole:
            return
        file = self._segment_file(len(self._segments))
        write_atomic(file, segment.finish())
        write_atomic(file.with_suffix(".json"), json.dumps(segment.rows).encode())
        self._segments.append((file, len(segment.rows)))

    def _write_results(self, notes: list[str]) -> None:
        self.summary_file.unlink(missing_ok=True)
        parts = ((file, [row.seconds for row in _read_rows(file)]) for file, _ in self._segments)
        join(parts, self.video_file, 1 / self._settings.rate)
        totals = _Totals(self._settings.variants, self._classes)
        with new_file(self.table_file) as temp_path, temp_path.open("wb") as table:
            for number, (file, _) in enumerate(self._segments):
                rows = _read_rows(file)
                table.write(_csv(rows, self._classes, with_head=not number))
                totals.add(rows)
        if totals.frames == self._settings.max_frames:
            notes = [*notes, f"The first {totals.frames:,} analyzed frames are done; that is the limit."]
        width, height = video_size(self.video_file)
        facts = {"run": self._identity(), "video": self._source.name, "width": width, "height": height}
        write_json(self.summary_file, facts | totals.summary() | {"notes": notes})
        shutil.rmtree(self._work, ignore_errors=True)


class _Segment:
    """Frames that are not written yet."""

    def __init__(self) -> None:
        self.rows: list[FrameResult] = []
        self._writer: SegmentWriter | None = None

    def add(self, pictures: np.ndarray, result: FrameResult) -> None:
        self._writer = self._writer or SegmentWriter(pictures.shape[1::-1])
        self._writer.add(pictures)
        self.rows.append(result)

    @property
    def is_whole(self) -> bool:
        """Whether there are frames, and no interruption came between a picture and its numbers."""
        return self._writer is not None and self._writer.count == len(self.rows)

    def finish(self) -> bytes:
        """Return the segment as a file; it has no frames after that."""
        writer, self._writer = self._writer, None
        assert writer
        return writer.finish()


class _Totals:
    """Sums over all frames."""

    def __init__(self, variants: tuple[str, ...], classes: ClassSet) -> None:
        self._classes, self.frames, self._seconds = classes, 0, 0.0
        self._shares = {variant: np.zeros(len(classes)) for variant in variants}
        self._still = dict.fromkeys(variants, 0.0)
        self._flicker = dict.fromkeys(variants, 0.0)

    def add(self, rows: list[FrameResult]) -> None:
        for row in rows:
            self.frames, self._seconds = self.frames + 1, row.seconds
            for variant, shares in row.shares.items():
                self._shares[variant] += shares
                flicker = row.flicker[variant]
                if flicker is not None:
                    self._still[variant] += row.still
                    self._flicker[variant] += flicker * row.still

    def summary(self) -> dict[str, Any]:
        """Return the number of frames, the time of the last one, and by variant the flickering share of all
        still pixels and the mean class shares."""
        flicker = {
            variant: round(self._flicker[variant] / still, 6) if still else None
            for variant, still in self._still.items()
        }
        shares = {variant: self._mean_shares(total) for variant, total in self._shares.items()}
        return {"frames": self.frames, "seconds": self._seconds, "flicker": flicker, "shares": shares}

    def _mean_shares(self, total: np.ndarray) -> dict[str, float]:
        means = total / self.frames
        order = np.argsort(-means, kind="stable")
        return {self._classes.names[k]: round(float(means[k]), 6) for k in order if means[k] > 0}


def _read_rows(segment: Path) -> list[FrameResult]:
    return [FrameResult(*row) for row in json.loads(segment.with_suffix(".json").read_bytes())]


def result_files(target: str) -> tuple[Path, Path, Path]:
    """Return the paths of the side-by-side video, the CSV table and the summary of a target."""
    return Path(f"{target}.video.mp4"), Path(f"{target}.video.csv"), Path(f"{target}.video.json")


def flicker_of(
    previous: tuple[np.ndarray, dict[str, np.ndarray]] | None,
    present: tuple[np.ndarray, dict[str, np.ndarray]],
) -> tuple[float, dict[str, float | None]]:
    """Compare a frame with the one before.

    Args:
        previous: its photo, H x W x 3 uint8, and its masks by variant; None for the first frame.
        present: those of the frame.

    Returns:
        The share of pixels whose photo hardly changed and, by variant, the share of these whose class
        changed; None if there are none.
    """
    photo, masks = present
    if previous is None:
        return 0.0, dict.fromkeys(masks)
    before, masks_before = previous
    difference = np.maximum(photo, before) - np.minimum(photo, before)
    is_still = (difference <= STILL).all(2)
    count = int(is_still.sum())
    flicker: dict[str, float | None] = dict.fromkeys(masks)
    if count:
        for variant, mask in masks.items():
            has_changed = (mask != masks_before[variant]) & is_still
            flicker[variant] = round(float(has_changed.sum() / count), 6)
    return round(count / is_still.size, 6), flicker


def _shares(mask: np.ndarray, classes: int) -> list[float]:
    counts = np.bincount(mask.ravel(), minlength=256)[:classes]
    return [round(float(count / mask.size), 6) for count in counts]


def _csv(rows: Iterable[FrameResult], classes: ClassSet, with_head: bool) -> bytes:
    """Return lines of the table; only its beginning has the head and the byte-order mark."""
    head = ["seconds", "variant", "flicker", "still", *classes.names]
    lines = [
        [f"{r.seconds:.3f}", v, "" if (f := r.flicker[v]) is None else f"{f:.6f}", f"{r.still:.6f}", *shares]
        for r in rows
        for v, shares in r.shares.items()
    ]
    content = csv_bytes([head, *lines] if with_head else lines)
    return content if with_head else content.removeprefix(b"\xef\xbb\xbf")


def read_table(table: Path, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the class shares of a variant from a table of `VideoRun`.

    Args:
        table: the CSV file.
        variant: the variant.

    Returns:
        The seconds of the N frames, and N x K shares.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        rows = [(float(line[0]), *map(float, line[4:])) for line in lines if line[1] == variant]
    values = np.array(rows)
    return values[:, 0], values[:, 1:]
