"""Reading of video files: `Video.frames` decodes frames one by one and turns them upright.

The container is detected from the content of a file, never from its name. Only one decoded frame is in memory
besides those that the decoder needs.
"""

import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from seg.data.file_types import HEAD_BYTES, unsupported_type, video_container
from seg.data.image_io import MAX_MEGAPIXELS, READING_SECONDS
from seg.errors import StreetFCNError
from seg.system.resource_limits import processor_time_limit

VIDEO_FORMATS = "MP4, MOV, WebM, MKV or AVI"
"""The supported containers, for messages and help texts."""

MAX_FRAME_PIXELS = 3840 * 2160
"""Larger frames are reduced: a network works at a fraction of this size."""

MAX_GAP = 60.0
"""Seconds between two frames. A longer gap, or a step back, is a jump of the clock and not of the scene."""

NO_FRAMES = "The video has no frame that can be decoded; export or download it again."

DEFAULT_RATE = 25
"""Frames a second of a video that states no rate."""

_GRID_TOLERANCE = 1e-4
"""Share of the interval between analyzed frames by which a time may be too early."""


class VideoError(StreetFCNError, ValueError):
    """The file cannot be used as a video. The message names the problem and a remedy."""


class Frame(NamedTuple):
    """An upright frame.

    Attributes:
        seconds: time since the first frame.
        pixels: H x W x 3 uint8, RGB, square pixels.
    """

    seconds: float
    pixels: np.ndarray


class FrameSource(Protocol):
    """Frames of a video, from this process or another one.

    Attributes:
        seconds: duration as the file states it; None if it does not.
        notes: sentences for the user, complete after the last frame.
    """

    seconds: float | None
    notes: list[str]

    def frames(self, rate: float, skip: int = 0) -> Generator[Frame]:
        """See `Video.frames`."""
        ...


class Video:
    """An open video file; use it as a context manager.

    Args:
        path: the file.

    Attributes:
        seconds: duration as the file states it; None if it does not.
        notes: sentences for the user, complete after the last frame.

    Raises:
        VideoError: if the file has no video that can be read.
    """

    def __init__(self, path: Path) -> None:
        self._container = _open(path)
        try:
            self._stream = _video_stream(self._container)
            size = self._stream.codec_context.width, self._stream.codec_context.height
            if size[0] * size[1] > MAX_MEGAPIXELS * 1_000_000:
                raise VideoError(
                    f"The video has {size[0]} x {size[1]} pixels, and {MAX_MEGAPIXELS} megapixels are the"
                    " most; export it smaller."
                )
        except BaseException:
            self._container.close()
            raise
        self._stream.codec_context.thread_count = 1  # the network needs the other cores
        self._aspect = float(self._stream.sample_aspect_ratio or 1)  # of a pixel
        self.seconds = _stated_seconds(self._container, self._stream)
        self.notes: list[str] = []

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self, rate: float, skip: int = 0) -> Generator[Frame]:
        """Decode frames in order, at most `rate` a second. The times of the file decide, so that a variable
        frame rate is followed.

        Args:
            rate: the time is divided into intervals of ``1 / rate`` seconds; the first frame of each counts.
            skip: number of these frames that are decoded but left out.

        Yields:
            The frames. The first one has the time 0.

        Raises:
            VideoError: if there is none.
        """
        clock = _Clock(1 / float(self._stream.average_rate or DEFAULT_RATE))
        due = number = 0
        converter: _Converter | None = None
        for frame in self._decode():
            converter = converter or _Converter(frame, self._aspect)
            seconds = clock.time_of(frame)
            interval = math.floor(seconds * rate + _GRID_TOLERANCE)
            if interval < due:
                continue
            due, number = interval + 1, number + 1
            if number > skip:
                yield Frame(seconds, converter.pixels(frame))
        if converter is None:
            raise VideoError(NO_FRAMES)
        if self.seconds and clock.seconds + 2 * clock.nominal < self.seconds * 0.98 - 0.5:
            self.notes.append(
                f"The video is cut off: it states {self.seconds:.1f} seconds and has frames for"
                f" {clock.seconds + clock.nominal:.1f}. These are done."
            )

    def _decode(self) -> Iterator[av.VideoFrame]:
        is_damaged = False
        packets = self._container.demux(self._stream)
        packet: av.Packet | None = None
        while True:
            try:
                with processor_time_limit(READING_SECONDS):
                    packet = next(packets, None)
                    decoded = self._stream.codec_context.decode(packet)  # None: what the decoder still has
            except MemoryError:
                raise
            except (av.FFmpegError, EOFError):
                is_damaged = True
                continue
            yield from decoded
            if packet is None or not packet.size:
                break
        if is_damaged:
            self.notes.append("Some parts of the video are damaged; their frames are left out.")


class _Clock:
    """Times of frames since the first one, which always increase."""

    def __init__(self, nominal: float) -> None:
        self.nominal, self.seconds = nominal, 0.0
        self._start: float | None = None

    def time_of(self, frame: av.VideoFrame) -> float:
        stated = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        if self._start is None:
            self._start = stated or 0.0
            return self.seconds
        step = math.nan if stated is None else stated - self._start - self.seconds
        if not 0 < step <= MAX_GAP:  # no time, or the clock jumped
            step = self.nominal
            self._start = self._start if stated is None else stated - self.seconds - step
        self.seconds += step
        return self.seconds


def _open(path: Path) -> InputContainer:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise VideoError(
            f"The file {path} cannot be opened ({error}); check that you may read it."
        ) from error
    container = video_container(head)
    if container is None:
        file_type = unsupported_type(head)
        looks = f"looks like {file_type.description}" if file_type else "is no video"
        raise VideoError(
            f"This file {looks} as far as its content shows; choose a video as {VIDEO_FORMATS}."
            if head
            else "The file is empty; export or download the video again."
        )
    # the container is named, because FFmpeg would also follow the files and addresses that playlists name
    with _user_errors():
        return av.open(str(path.absolute()), format=container)


def _video_stream(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise VideoError("The video has an unknown compression; export it as MP4 with H.264.")
            return stream
    content = "only sound" if container.streams.audio else "and no frames"
    raise VideoError(f"The file has no video stream, {content}; choose a video.")


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


@contextmanager
def _user_errors() -> Iterator[None]:
    try:
        yield
    except MemoryError:  # also of FFmpeg
        raise
    except EOFError as error:
        raise VideoError(NO_FRAMES) from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(
            "The video is cut off or damaged: its index cannot be read; export or download it again."
        ) from error


class _Converter:
    """Converts frames to upright pixels of the size that the first frame has.

    Args:
        first: the first frame.
        aspect: width over height of its pixels.
    """

    def __init__(self, first: av.VideoFrame, aspect: float) -> None:
        width, height = first.width * aspect, first.height
        scale = min(1.0, math.sqrt(MAX_FRAME_PIXELS / (width * height)))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        # only of one frame: a frame whose side data was read is in a cycle and keeps its memory for a while
        self._quarters, self._is_mirrored = _orientation(first)
        # one for all frames: each keeps threads and buffers
        self._reformatter = VideoReformatter()

    def pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """Return the pixels of a frame, H x W x 3 uint8."""
        rgb = self._reformatter.reformat(frame, *self._size, "rgb24", interpolation="AREA", threads=1)
        pixels = rgb.to_ndarray()
        pixels = pixels[:, ::-1] if self._is_mirrored else pixels
        return np.ascontiguousarray(np.rot90(pixels, self._quarters))


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Return the counterclockwise quarter turns that make a frame upright, and whether it is mirrored first.

    The display matrix maps (x, y) to (a x + c y, b x + d y), y downwards; its numbers are 16.16 fixed point.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, Buffer):
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5] / 65536
    is_mirrored = a * d - b * c < 0
    if is_mirrored:  # the same matrix after a flip of x
        a, b = -a, -b
    return round(math.degrees(math.atan2(-b, a)) / 90) % 4, is_mirrored
