"""Memory and speed of reading and writing videos, without a network: ``python -m benchmarks.video``.

For each duration, 60 and 180 seconds or the arguments, it writes a video of 1920x1080 pixels and 30 frames a
second, analyzes five frames a second in a process of its own, and prints the peak memory of that process and
of the one that decodes.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import psutil
from av.video.stream import VideoStream
from PIL import Image

from seg.data import scenes
from seg.inference.prediction import Prediction
from seg.inference.video_run import VideoRun, VideoSettings

SIZE, RATE = (1920, 1080), 30
VARIANTS = ("32s", "16s", "8s")
DURATIONS = (60, 180)


def write_drive(path: Path, seconds: int) -> None:
    """Write a video of a camera that moves along a rendered street."""
    width, height = SIZE
    street = scenes.render_scene(3, 2560, 1280).photo[:height]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * RATE):
            pixels = np.ascontiguousarray(street[:, number % 640 :][:, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def analyze(path: Path) -> None:
    """Analyze a video with masks that cost nothing, and print the peak memory in bytes."""

    def predict(photo: Image.Image, size: tuple[int, int]) -> Prediction:
        mask = (np.asarray(photo.convert("L").resize(size[::-1])) >> 4).clip(0, 18)
        return Prediction(dict.fromkeys(VARIANTS, mask), {}, {}, {}, {}, {}, size, "cpu")

    run = VideoRun(path, str(path.with_suffix("")), VideoSettings("none", "", VARIANTS))
    this = psutil.Process()
    own = reader = 0
    with closing(run.run(predict)) as progress:
        for _ in progress:
            own = max(own, this.memory_info().rss)
            reader = max(reader, *(child.memory_info().rss for child in this.children()), 0)
    own = max(own, this.memory_info().rss)  # after the segments were joined
    print(own, reader, run.summary()["frames"])


def main(arguments: Sequence[str]) -> None:
    """Print a table with a row for each duration."""
    if arguments[:1] == ["analyze"]:
        return analyze(Path(arguments[1]))
    print("| seconds of video | analyzed frames | peak MB, program | peak MB, reader | analysis in seconds |")
    print("|---|---|---|---|---|")
    for seconds in [int(argument) for argument in arguments] or DURATIONS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "drive.mp4"
            write_drive(path, seconds)
            start = time.monotonic()
            command = [sys.executable, "-m", "benchmarks.video", "analyze", str(path)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            own, reader, frames = map(int, printed.split())
            elapsed = time.monotonic() - start
            print(
                f"| {seconds} | {frames} | {own / 1e6:.0f} | {reader / 1e6:.0f} | {elapsed:.0f} |", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])
