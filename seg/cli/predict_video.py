"""Videos among the files of `predict`."""

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from seg.cli.console import CommandError, console
from seg.data import archives, file_types
from seg.data.video import VideoError
from seg.inference.predictor import Predictor
from seg.inference.video_run import VideoRun, VideoSettings, result_files

LOG_SECONDS = 60
"""Between two lines of progress if the output is not a terminal."""

_SUFFIXES = {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"}
"""A file named so that is neither a video nor a picture is reported as a video."""


@dataclass(frozen=True)
class VideoJob:
    """A video and the path prefix of its results."""

    source: Path
    target: str


def split_videos(paths: Iterable[Path]) -> tuple[tuple[Path, ...], list[Path]]:
    """Separate the videos among named files, by their content. Those in folders and zips are none.

    Returns:
        The other paths, and the videos, each once.
    """
    videos: dict[Path, None] = {}
    others = []
    for path in paths:
        if path.is_file() and _is_video(path):
            videos[path] = None
        else:
            others.append(path)
    return tuple(others), list(videos)


def _is_video(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(file_types.HEAD_BYTES)
    except OSError:
        return False  # the error is reported where the file is read
    if file_types.video_container(head):
        return True
    return path.suffix.lower() in _SUFFIXES and not (archives.is_zip(head) or file_types.picture_format(head))


def plan_videos(videos: list[Path], out: Path) -> list[VideoJob]:
    """Return the jobs of videos; one whose name is taken gets its full name.

    Raises:
        CommandError: if results would overwrite each other or a video.
    """
    jobs: dict[str, VideoJob] = {}
    sources = {video.resolve() for video in videos}
    for video in videos:
        free = [name for name in (video.stem, video.name) if name.casefold() not in jobs]
        if not free:
            raise CommandError(f"The results of two videos would have one name. Rename {video}.")
        target = str(out / free[0])
        if result_files(target)[0].resolve() in sources:
            raise CommandError(f"The results of {video} would overwrite a video. Choose another --out.")
        jobs[free[0].casefold()] = VideoJob(video, target)
    return list(jobs.values())


def predict_videos(
    jobs: list[VideoJob], settings: VideoSettings, predictor: Predictor, again: bool = False
) -> int:
    """Segment videos one after the other, and resume interrupted ones.

    Returns:
        The number of videos that could not be predicted; their errors are printed.
    """
    failed = 0
    for number, job in enumerate(jobs, 1):
        run = VideoRun(job.source, job.target, settings, predictor.classes)
        if again:
            run.forget()
        if run.is_finished:
            console.print(f"{escape(str(job.source))} was done before, in {run.video_file}", soft_wrap=True)
            continue
        name = job.source.name if len(jobs) == 1 else f"{job.source.name} ({number} of {len(jobs)})"
        try:
            _predict_video(name, run, settings, predictor)
        except VideoError as error:
            failed += 1
            console.print(f"[red]skipped[/] {escape(str(job.source))}: {escape(str(error))}", soft_wrap=True)
    return failed


def _predict_video(name: str, run: VideoRun, settings: VideoSettings, predictor: Predictor) -> None:
    columns = (
        "{task.description}",
        BarColumn(),
        TaskProgressColumn(),
        "{task.fields[rate]}",
        TimeRemainingColumn(),
    )
    start = logged = time.monotonic()
    first: int | None = None
    progress = run.run(
        lambda photo, size: predictor.predict(
            photo, settings.variants, settings.working_height, tta=settings.tta, output_size=size
        )
    )
    try:
        with closing(progress), Progress(*columns, console=console) as bar:
            task = bar.add_task(escape(name), total=None, rate="")
            for frames, seconds, duration in progress:
                now = time.monotonic()
                if first is None:  # to start and, after a resume, to reach this frame takes time too
                    first, start = frames, now
                rate = f"{(frames - first) / max(now - start, 1e-9):.2f} frames a second"
                bar.update(task, completed=seconds, total=duration, rate=rate)
                if not console.is_terminal and now > logged + LOG_SECONDS:
                    of = f" of {duration:.0f}" if duration else ""
                    console.print(f"{seconds:.0f}{of} seconds of video, {rate}", highlight=False)
                    logged = now
    except (KeyboardInterrupt, OSError):
        console.print("Finished frames are kept; the same command resumes with the others.")
        raise
    _report(run, predictor)


def _report(run: VideoRun, predictor: Predictor) -> None:
    summary = run.summary()
    for note in filter(None, (predictor.note, *summary["notes"])):
        console.print(escape(note), soft_wrap=True)
    flicker = ", ".join(
        f"{variant} {value:.2%}" for variant, value in summary["flicker"].items() if value is not None
    )
    console.print(
        f"{summary['frames']:,} {'frame is' if summary['frames'] == 1 else 'frames are'} done, in"
        f" {run.video_file}" + (f"; pixels that flicker: {flicker}" if flicker else ""),
        soft_wrap=True,
        highlight=False,
    )
