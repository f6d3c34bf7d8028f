"""Small videos of rendered scenes, in several containers and with properties that cause trouble."""

import io
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from seg.data import scenes

SIZE = (96, 64)
RATE = 10
MILLISECOND = Fraction(1, 1000)


@cache
def street(seed: int, width: int = 160, height: int = 96) -> np.ndarray:
    return scenes.render_scene(seed, width, height).photo


def frame_pixels(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame of a camera that moves along a street; its first corner is red, which shows a rotation."""
    width, height = size
    pixels = street(3, max(160, width + 64), max(96, height))[:height, number % 64 :][:, :width].copy()
    pixels[: height // 4, : width // 4] = (255, 0, 0)
    return pixels


def write_video(
    path: Path,
    frames: int = 10,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    times: Sequence[float] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    faststart: bool = False,
) -> Path:
    """Writes a video; its suffix decides on the container.

    Args:
        path: the file.
        frames: their number.
        size: width and height of the coded frames.
        codec: the encoder.
        times: seconds of each frame; by default ten a second.
        rotation: counterclockwise degrees of the display matrix.
        mirrored: whether the display matrix mirrors, too.
        aspect: width over height of a pixel.
        faststart: whether the index of an MP4 comes first.
    """
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        if times:
            stream.codec_context.time_base = MILLISECOND
        if aspect:
            stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = aspect
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number, size), format="rgb24")
            if times:
                frame.pts, frame.time_base = round(times[number] * 1000), MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Writes a file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        assert isinstance(stream, AudioStream)
        for number in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_without_frames(path: Path, container_format: str, codec: str) -> Path:
    """Writes a video without a frame."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    return path


def decode(path: Path | bytes) -> list[tuple[float, np.ndarray]]:
    """The times and pixels of the frames of a video."""
    with av.open(io.BytesIO(path) if isinstance(path, bytes) else str(path)) as container:
        return [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]
