"""Reading of untrusted videos in a process of its own: ``python -m seg.data.isolated_video``.

A file that makes a decoder crash, hang or allocate gigabytes ends this process and nothing else. It decodes
while the network computes, and waits if the network is slower.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import numpy as np

from seg import paths
from seg.data.image_io import READING_SECONDS
from seg.data.reader_process import receive, send
from seg.data.video import Frame, Video, VideoError
from seg.system.resource_limits import limit_memory

MEMORY = 1_500_000_000
"""Bytes that the process may take. A video of 4K with sixteen reference frames takes less than half of it."""

STOPPED = (
    f"Reading this video was stopped: a single frame took more than {READING_SECONDS} seconds. Export it as"
    " MP4 with H.264."
)
FAILED = (
    "The process that reads this video ended: the video is damaged in an unusual way, or takes too much"
    " memory. Export it smaller, as MP4 with H.264."
)

_SMALL = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of the process: the memory that arenas and threads reserve would count."""


class IsolatedVideo:
    """A video as `Video`, read by another process. Its errors are raised by `frames`.

    Args:
        path: the file.
        memory: bytes that the process may take.

    Attributes:
        seconds: duration as the file states it, once there is a frame; None if it does not.
        notes: sentences for the user, complete after the last frame.
    """

    def __init__(self, path: Path, memory: int = MEMORY) -> None:
        self._path, self._memory = path, memory
        self.seconds: float | None = None
        self.notes: list[str] = []

    def frames(self, rate: float, skip: int = 0) -> Generator[Frame]:
        """Decode frames as `Video.frames`; the process ends with this iterator.

        Raises:
            VideoError: if the file has no video that can be read, or takes too long or too much memory.
        """
        arguments = [str(self._memory), str(self._path.absolute()), str(rate), str(skip)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seg.data.isolated_video", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=paths.child_environment() | _SMALL,
            start_new_session=True,  # Ctrl-C in the terminal ends this process, which ends it
        )
        assert process.stdout
        try:
            while True:
                message, data = receive(process.stdout)
                if "error" in message:
                    raise VideoError(message["error"])
                if "notes" in message:
                    self.notes = message["notes"]
                    return
                self.seconds = message["duration"]
                yield Frame(message["seconds"], np.frombuffer(data, np.uint8).reshape(message["shape"]))
        except EOFError:
            raise VideoError(STOPPED if process.wait(60) == -signal.SIGXCPU else FAILED) from None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def main() -> None:
    """Write the frames of a video to standard output, as messages of `reader_process`."""
    output = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print would get into the frames or into the terminal
        os.dup2(nowhere, stream)
    memory, path, rate, skip = sys.argv[1:]
    limit_memory(int(memory))
    with suppress(BrokenPipeError):
        try:
            with Video(Path(path)) as video:
                for seconds, pixels in video.frames(float(rate), int(skip)):
                    facts = {"seconds": seconds, "duration": video.seconds, "shape": pixels.shape}
                    send(output, facts, pixels.tobytes())
                send(output, {"notes": video.notes}, b"")
        except VideoError as error:
            send(output, {"error": str(error)}, b"")
        except MemoryError:
            send(output, {"error": FAILED}, b"")


if __name__ == "__main__":
    main()
