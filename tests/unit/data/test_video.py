"""Frames of videos: containers, times, rotation, and files that cannot be read."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from seg.data import video as video_module
from seg.data.file_types import HEAD_BYTES, video_container
from seg.data.isolated_video import IsolatedVideo
from seg.data.video import Video, VideoError
from tests.support.video_files import (
    frame_pixels,
    write_sound,
    write_video,
    write_without_frames,
)


def times(source, rate: float = 5, skip: int = 0) -> list[float]:
    return [round(frame.seconds, 3) for frame in source.frames(rate, skip)]


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
def test_frames_of_every_container_are_read_at_a_rate(tmp_path, name, codec):
    file = write_video(tmp_path / name, codec=codec)
    with Video(file.rename(tmp_path / "no-suffix")) as video:
        frames = list(video.frames(5))
        assert video.seconds == pytest.approx(1) and not video.notes
    assert [round(frame.seconds, 3) for frame in frames] == [0, 0.2, 0.4, 0.6, 0.8]
    for number, frame in enumerate(frames):
        assert np.abs(frame.pixels - frame_pixels(2 * number).astype(int)).mean() < 12
    with Video(tmp_path / "no-suffix") as video:
        assert times(video, 1000) == [number / 10 for number in range(10)]
    with Video(tmp_path / "no-suffix") as video:
        assert times(video, 5, skip=3) == [0.6, 0.8]


def test_variable_frame_rates_keep_the_times_of_the_file(tmp_path):
    stated = [0, 0.1, 0.2, 1.5, 1.6, 3, 3.01, 3.02, 3.03, 4]
    with Video(write_video(tmp_path / "a.mp4", times=stated)) as video:
        assert times(video) == [0, 0.2, 1.5, 1.6, 3, 4]
    jump = [0, 0.1, 0.2, 5000, 5000.1]
    with Video(write_video(tmp_path / "b.mp4", 5, times=jump)) as video:
        assert len(read := times(video, 1000)) == 5 and read[-1] < 1
    late = [7, 7.1, 7.2]
    with Video(write_video(tmp_path / "c.mkv", 3, times=late)) as video:
        assert times(video, 1000) == [0, 0.1, 0.2]


@pytest.mark.parametrize(
    "rotation, is_mirrored, corner",
    [
        (90, False, "bottom left"),
        (180, False, "bottom right"),
        (-90, False, "top right"),
        (0, True, "top right"),
        (90, True, "bottom right"),
    ],
)
def test_frames_are_turned_as_their_display_matrix_says(tmp_path, rotation, is_mirrored, corner):
    with Video(write_video(tmp_path / "a.mp4", 1, rotation=rotation, mirrored=is_mirrored)) as video:
        (frame,) = video.frames(5)
    assert frame.pixels.shape == ((96, 64, 3) if rotation % 180 else (64, 96, 3))
    rows = {"top": 3, "bottom": -3}
    columns = {"left": 3, "right": -3}
    vertical, horizontal = corner.split()
    red, green, _ = frame.pixels[rows[vertical], columns[horizontal]].astype(int)
    assert red > 200 and green < 60


def test_pixels_are_square_and_large_frames_are_reduced(tmp_path, monkeypatch):
    with Video(write_video(tmp_path / "a.mp4", 1, aspect=Fraction(4, 3))) as video:
        assert next(video.frames(5)).pixels.shape == (64, 128, 3)
    monkeypatch.setattr(video_module, "MAX_FRAME_PIXELS", 96 * 64 / 4)
    with Video(write_video(tmp_path / "b.mp4", 1)) as video:
        assert next(video.frames(5)).pixels.shape == (32, 48, 3)
    monkeypatch.setattr(video_module, "MAX_MEGAPIXELS", 0.005)
    with pytest.raises(VideoError, match="96 x 64 pixels, and 0.005 megapixels are the most"):
        Video(tmp_path / "b.mp4")


def test_truncated_videos_give_their_frames_and_a_note(tmp_path):
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx")):
        data = write_video(tmp_path / name, 60, codec=codec, faststart=name == "a.mp4").read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
        video = IsolatedVideo(tmp_path / name)
        read = times(video, 1000)
        assert 5 < len(read) < 55 and read[-1] < 5.5
        assert any("is cut off: it states 6.0 seconds" in note for note in video.notes), video.notes


@pytest.mark.parametrize(
    "content, message",
    [
        (lambda path: path.write_bytes(b""), "The file is empty"),
        (lambda path: path.write_text("no video\n" * 200), "is no video as far as its content shows"),
        (
            lambda path: path.write_bytes(b"FLV\x01" + bytes(2000)),
            "looks like a video .* choose a video as MP4",
        ),
        (write_sound, "no video stream, only sound"),
        (lambda path: write_without_frames(path, "avi", "mpeg4"), "no frame that can be decoded"),
        (lambda path: write_without_frames(path, "webm", "libvpx"), "no frame that can be decoded"),
        (lambda path: write_without_frames(path, "mp4", "libx264"), "no video stream, and no frames"),
        (
            lambda path: path.write_bytes(write_video(path, 30).read_bytes()[:3000]),
            "cut off or damaged: its index cannot be read",
        ),
    ],
)
def test_files_without_a_readable_video_get_one_sentence(tmp_path, content, message):
    content(tmp_path / "a.mp4")
    video = IsolatedVideo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=message) as caught:
        list(video.frames(5))
    assert "\n" not in str(caught.value)


def test_playlists_are_no_videos_and_name_no_files(tmp_path):
    other = write_video(tmp_path / "a.mp4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{other}'\n"
    for content in (playlist, concat):
        assert video_container(content.encode()[:HEAD_BYTES]) is None
        (tmp_path / "b.mp4").write_text(content)
        with pytest.raises(VideoError, match="no video"):
            Video(tmp_path / "b.mp4")


def test_many_frames_take_no_more_memory(tmp_path):
    file = write_video(tmp_path / "a.mp4", 400, rotation=90)
    assert len(times(IsolatedVideo(file, memory=150_000_000), 1000)) == 400


def test_damaged_parts_are_left_out_with_a_note(tmp_path):
    file = write_video(tmp_path / "a.avi", 60, codec="mpeg4")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    file.write_bytes(data)
    assert len(times(IsolatedVideo(file), 1000)) > 20


def test_a_reader_that_ends_becomes_a_message(tmp_path, monkeypatch):
    file = write_video(tmp_path / "a.mp4", 30)
    with pytest.raises(VideoError, match="The process that reads this video ended"):
        list(IsolatedVideo(file, memory=100_000).frames(1000))
    frames = IsolatedVideo(file).frames(1000)
    next(frames)
    frames.close()  # ends the process: no warning about a running one
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(VideoError, match="The process that reads this video ended"):
        list(IsolatedVideo(file).frames(5))
