"""Writing of side-by-side videos: the photo and the masks of each frame, as H.264 that browsers play.

A video is written in segments, which `join` puts together without encoding them again.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from seg.data.video import VideoError
from seg.system.atomic_io import new_file

CODEC = "libx264"

MAX_SIDE = 1920
"""Largest width and height of a side-by-side video in pixels."""

MIN_SIDE = 16
"""Smallest width and height of a picture in it: H.264 codes blocks of 16 pixels."""

TIME_BASE = Fraction(1, 1000)
"""Times of frames are whole milliseconds."""

_ENCODER_OPTIONS = {
    "preset": "veryfast",
    "crf": "23",
    "g": "10",  # a browser seeks to every tenth frame
    "bf": "0",  # frames in their order, so that segments can be joined
    "rc-lookahead": "10",  # of the default 40, each of which is kept in memory
}


class Layout(NamedTuple):
    """The arrangement of equal pictures in a side-by-side video.

    Attributes:
        columns, rows: number of pictures beside and below each other.
        width, height: size of each picture in pixels; even, as H.264 requires.
    """

    columns: int
    rows: int
    width: int
    height: int


def arrange(width: int, height: int, count: int) -> Layout:
    """Return the layout of pictures: two beside each other, more in rows of two.

    Args:
        width, height: size of the frames of the original video.
        count: number of pictures.
    """
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    scale = min(1.0, MAX_SIDE / (columns * width), MAX_SIDE / (rows * height))
    return Layout(columns, rows, _even(width * scale), _even(height * scale))


def compose(pictures: Mapping[str, np.ndarray], layout: Layout) -> np.ndarray:
    """Draw pictures with their names beside each other.

    Args:
        pictures: by name, H x W x 3 uint8 of the layout's size.
        layout: the arrangement.

    Returns:
        H x W x 3 uint8.
    """
    canvas = Image.new("RGB", (layout.columns * layout.width, layout.rows * layout.height))
    draw = ImageDraw.Draw(canvas)
    font_size = max(9, min(layout.height // 16, layout.width // 16, 28))
    font, margin = ImageFont.load_default(font_size), font_size // 3
    for number, (name, pixels) in enumerate(pictures.items()):
        x, y = number % layout.columns * layout.width, number // layout.columns * layout.height
        canvas.paste(Image.fromarray(pixels), (x, y))
        right = x + 3 * margin + round(draw.textlength(name, font))
        draw.rectangle((x + margin, y + margin, right, y + margin + round(1.4 * font_size)), fill="black")
        draw.text((x + 2 * margin, y + margin + round(0.7 * font_size)), name, "white", font, anchor="lm")
    return np.asarray(canvas)


class SegmentWriter:
    """Encodes frames of a part of a video in memory.

    Args:
        size: width and height.

    Attributes:
        count: number of frames added.

    Raises:
        VideoError: if PyAV has no encoder for H.264.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.count = 0
        self._buffer = io.BytesIO()
        self._reformatter = VideoReformatter()
        self._container = av.open(self._buffer, "w", format="mp4")
        try:
            stream = self._container.add_stream(CODEC, rate=25, options=dict(_ENCODER_OPTIONS))
        except ValueError as error:
            self._container.close()
            raise VideoError(
                "The installed PyAV has no encoder for H.264; install a wheel of it: pip install"
                " --force-reinstall --only-binary :all: av"
            ) from error
        assert isinstance(stream, VideoStream)
        self._stream = stream
        stream.width, stream.height = size
        stream.pix_fmt, stream.time_base = "yuv420p", TIME_BASE
        context = stream.codec_context
        context.time_base, context.thread_count = TIME_BASE, 1
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = 1, 1  # ITU-R BT.709

    def add(self, pixels: np.ndarray) -> None:
        """Encode a frame, H x W x 3 uint8."""
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(pixels, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = self.count, TIME_BASE  # `join` writes the true times
        self.count += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the segment as an MP4 file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()


def join(segments: Iterable[tuple[Path, Sequence[float]]], path: Path, last_seconds: float) -> None:
    """Join segments to a video whose index comes first, so that a browser can play it while it loads.

    Args:
        segments: files of `SegmentWriter` and the times of their frames in seconds.
        path: the video to write; an existing one is replaced.
        last_seconds: how long the last frame is shown.

    Raises:
        OSError: if the disk is full.
    """
    with new_file(path, ".mp4") as temp_path:
        with av.open(str(temp_path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            stream = None
            previous = -1
            pending: av.Packet | None = None
            for file, times in segments:
                with av.open(str(file), format="mp4") as part:
                    if stream is None:
                        stream = output.add_stream_from_template(part.streams.video[0])
                        stream.time_base = TIME_BASE
                    packets = (packet for packet in part.demux(video=0) if packet.size)
                    for packet, seconds in zip(packets, times, strict=True):
                        previous = max(previous + 1, round(seconds / TIME_BASE))
                        if pending is not None:
                            pending.duration = previous - (pending.pts or 0)
                            output.mux_one(pending)
                        packet.pts = packet.dts = previous
                        packet.time_base, packet.stream = TIME_BASE, stream
                        pending = packet
            if pending is not None:
                pending.duration = max(1, round(last_seconds / TIME_BASE))
                output.mux_one(pending)


def video_size(file: Path) -> tuple[int, int]:
    """Return the width and height of a video of `join`."""
    with av.open(str(file), format="mp4") as container:
        context = container.streams.video[0].codec_context
        return context.width, context.height


def _even(length: float) -> int:
    return max(MIN_SIDE, round(length / 2) * 2)
