"""The segmentation of a video: results, interruptions, full disks, flicker, and the layout."""

import csv
import errno
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data.cityscapes import NAMES, PALETTE
from seg.data.video import Frame, Video, VideoError
from seg.inference import video_run, video_writer
from seg.inference.prediction import Prediction
from seg.inference.video_run import VideoRun, VideoSettings, flicker_of, result_files
from seg.inference.video_writer import Layout, arrange
from tests.support.video_files import decode, write_video

SETTINGS = VideoSettings("weights", "0" * 64, ("32s", "8s"), 96)


def predict(photo: Image.Image, size: tuple[int, int]) -> Prediction:
    """A replacement for a network: bright pixels are road, dark ones sidewalk; 8s has a car at the left."""
    dark = np.asarray(photo.convert("L").resize(size[::-1])) < 128
    coarse = dark.astype(np.uint8)
    fine = coarse.copy()
    fine[:, : size[1] // 4] = 13
    return Prediction({"32s": coarse, "8s": fine}, {}, {}, {}, {}, {}, (96, 192), "cpu")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def results(folder: Path) -> set[str]:
    return {path.name for path in result_files(str(folder / "a"))}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames."""
    monkeypatch.setattr(video_run, "SEGMENT_FRAMES", 4)


class Counted:
    """Frames of a street without a file."""

    def __init__(self, count: int, error: str = "") -> None:
        self.count, self.error = count, error
        self.seconds: float | None = count / 5
        self.notes: list[str] = []

    def frames(self, rate: float, skip: int = 0) -> Iterator[Frame]:
        for number in range(skip, self.count):
            yield Frame(number / rate, np.full((64, 96, 3), 10 * number % 256, np.uint8))
        if self.error:
            raise VideoError(self.error)


def test_a_video_becomes_video_table_and_summary(tmp_path):
    source = write_video(tmp_path / "a.mp4", 10)
    run = VideoRun(source, str(tmp_path / "out/a"), SETTINGS, video=Video(source))
    assert not run.is_finished
    progress = list(run.run(predict))
    assert [frames for frames, _, _ in progress] == [1, 2, 3, 4, 5] and progress[-1].fraction == 0.8
    assert run.is_finished and files_in(tmp_path / "out") == results(tmp_path)
    frames = decode(run.video_file)
    assert [seconds for seconds, _ in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    data = run.video_file.read_bytes()
    assert frames[0][1].shape == (2 * 64, 2 * 96, 3) and data.index(b"moov") < data.index(b"mdat")
    car = frames[0][1][64 + 40 : 64 + 60, 4:20].reshape(-1, 3).mean(0)
    assert np.abs(car - PALETTE[13]).max() < 12  # the colors survive the conversion
    rows = list(csv.DictReader(io.StringIO(run.table_file.read_text("utf-8-sig"))))
    assert len(rows) == 10 and [row["variant"] for row in rows[:2]] == ["32s", "8s"]
    assert list(rows[0])[4:] == list(NAMES) and float(rows[1]["car"]) == 0.25
    assert rows[0]["flicker"] == "" and 0 <= float(rows[2]["flicker"]) <= 1
    summary = run.summary()
    assert summary["frames"] == 5 and summary["seconds"] == 0.8 and not summary["notes"]
    assert summary["shares"]["8s"]["car"] == pytest.approx(0.25) and summary["flicker"]["8s"] is not None


def test_an_interrupted_run_resumes_with_equal_results(tmp_path, few):
    (tmp_path / "a.mp4").write_bytes(b"source")
    whole = VideoRun(tmp_path / "a.mp4", str(tmp_path / "whole/a"), SETTINGS, video=Counted(23))
    list(whole.run(predict))
    target = str(tmp_path / "parts/a")
    for stop in (6, 15, 16):
        run = VideoRun(tmp_path / "a.mp4", target, SETTINGS, video=Counted(23))
        progress = run.run(predict)
        while next(progress).frames < stop:
            pass
        progress.close()
        assert not run.is_finished and not results(tmp_path) & files_in(tmp_path / "parts")
    (tmp_path / "parts/.a.video/000002.json").unlink()  # as if the process had been killed there
    run = VideoRun(tmp_path / "a.mp4", target, SETTINGS, video=Counted(23))
    assert next(run.run(predict)).frames < 16
    list(VideoRun(tmp_path / "a.mp4", target, SETTINGS, video=Counted(23)).run(predict))
    assert files_in(tmp_path / "parts") == results(tmp_path)
    assert (tmp_path / "parts/a.video.csv").read_bytes() == whole.table_file.read_bytes()
    assert len(decode(run.video_file)) == 23
    assert [s for s, _ in decode(run.video_file)] == [s for s, _ in decode(whole.video_file)]


def test_other_settings_or_another_video_start_again(tmp_path, few):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"source")
    target = str(tmp_path / "out/a")

    def started(settings: VideoSettings) -> int:
        progress = VideoRun(source, target, settings, video=Counted(30)).run(predict)
        first = next(progress).frames
        for _ in range(9):
            next(progress)
        progress.close()
        return first

    assert started(SETTINGS) == 1 and started(SETTINGS) > 1
    other = VideoSettings("weights", "1" * 64, ("32s", "8s"), 96)
    assert started(other) == 1 and started(other) > 1
    source.write_bytes(b"another source")
    assert started(other) == 1
    run = VideoRun(source, target, other, video=Counted(30))
    list(run.run(predict))
    assert run.is_finished and not VideoRun(source, target, SETTINGS).is_finished
    run.forget()
    assert not run.is_finished
    list(run.run(predict))
    run.video_file.write_bytes(b"")
    assert not run.is_finished
    run.summary_file.write_text("[")
    assert not run.is_finished


def test_a_full_disk_keeps_segments_and_leaves_no_part(tmp_path, few, monkeypatch):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"source")
    target, written = str(tmp_path / "out/a"), []

    def full(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(video_run, "write_atomic", full)
        with pytest.raises(OSError):
            list(VideoRun(source, target, SETTINGS, video=Counted(12)).run(predict))
    assert files_in(tmp_path / "out") == {
        ".a.video",
        *(f".a.video/{name}" for name in ("run.json", "000000.mp4", "000000.json")),
    }
    monkeypatch.setattr(video_writer, "new_file", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    run = VideoRun(source, target, SETTINGS, video=Counted(12))
    with pytest.raises(OSError):
        list(run.run(predict))
    assert not run.is_finished and not results(tmp_path) & files_in(tmp_path / "out")
    monkeypatch.undo()
    list(VideoRun(source, target, SETTINGS, video=Counted(12)).run(predict))
    assert files_in(tmp_path / "out") == results(tmp_path)


def test_a_video_that_fails_late_keeps_its_frames(tmp_path, few):
    (tmp_path / "a.mp4").write_bytes(b"source")
    run = VideoRun(tmp_path / "a.mp4", str(tmp_path / "out/a"), SETTINGS, video=Counted(6, "It is damaged."))
    list(run.run(predict))
    assert run.summary()["notes"] == ["It is damaged. The frames before are done."]
    assert run.summary()["frames"] == 6 and files_in(tmp_path / "out") == results(tmp_path)
    none = VideoRun(tmp_path / "a.mp4", str(tmp_path / "none/a"), SETTINGS, video=Counted(0, "It is empty."))
    with pytest.raises(VideoError, match="It is empty"):
        list(none.run(predict))
    assert not files_in(tmp_path / "none")


def test_a_limit_of_frames_ends_the_analysis(tmp_path, few):
    (tmp_path / "a.mp4").write_bytes(b"source")
    limited = VideoSettings("weights", "0" * 64, ("8s",), max_frames=6)
    run = VideoRun(tmp_path / "a.mp4", str(tmp_path / "out/a"), limited, video=Counted(20))
    assert [progress.frames for progress in run.run(predict)] == [1, 2, 3, 4, 5, 6]
    assert run.summary()["notes"] == ["The first 6 analyzed frames are done; that is the limit."]


def test_flicker_counts_changes_of_class_where_the_photo_rests():
    photo = np.full((10, 10, 3), 100, np.uint8)
    moved = photo.copy()
    moved[:5] += video_run.STILL + 1  # the upper half changes
    moved[5:, :, 0] -= video_run.STILL  # noise
    mask = np.zeros((10, 10), np.uint8)
    changed = mask.copy()
    changed[:7, :5] = 1  # 25 pixels above, which do not count, and 10 below
    assert flicker_of(None, (photo, {"8s": mask})) == (0.0, {"8s": None})
    still, flicker = flicker_of((photo, {"8s": mask, "16s": mask}), (moved, {"8s": changed, "16s": mask}))
    assert still == 0.5 and flicker == {"8s": 0.2, "16s": 0.0}
    moved[:] = 255
    assert flicker_of((photo, {"8s": mask}), (moved, {"8s": changed})) == (0.0, {"8s": None})


@pytest.mark.parametrize(
    "size, count, layout",
    [
        ((1920, 1080), 2, Layout(2, 1, 960, 540)),
        ((1920, 1080), 3, Layout(2, 2, 960, 540)),
        ((1920, 1080), 4, Layout(2, 2, 960, 540)),
        ((1080, 1920), 4, Layout(2, 2, 540, 960)),
        ((97, 65), 2, Layout(2, 1, 96, 64)),
        ((4000, 9), 2, Layout(2, 1, 960, 16)),
        ((1, 1), 2, Layout(2, 1, 16, 16)),
    ],
)
def test_pictures_fit_into_a_video_of_even_size(size, count, layout):
    assert arrange(*size, count) == layout


@pytest.mark.parametrize("size", [(97, 65), (1, 1), (700, 3)])
def test_odd_and_extreme_sizes_are_written(tmp_path, size):
    class Odd(Counted):
        def frames(self, rate: float, skip: int = 0) -> Iterator[Frame]:
            yield Frame(0.0, np.zeros((size[1], size[0], 3), np.uint8))

    (tmp_path / "a.mp4").write_bytes(b"source")
    run = VideoRun(tmp_path / "a.mp4", str(tmp_path / "out/a"), SETTINGS, video=Odd(1))
    list(run.run(predict))
    ((_, pixels),) = decode(run.video_file)
    assert not pixels.shape[0] % 2 and not pixels.shape[1] % 2


def test_a_missing_encoder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, "CODEC", "no_such_encoder")
    (tmp_path / "a.mp4").write_bytes(b"source")
    run = VideoRun(tmp_path / "a.mp4", str(tmp_path / "out/a"), SETTINGS, video=Counted(3))
    with pytest.raises(VideoError, match="no encoder for H.264"):
        list(run.run(predict))
    assert not files_in(tmp_path / "out")
