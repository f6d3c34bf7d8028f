"""Reading of untrusted pictures in processes of their own, with limits of processor time and memory.

A file of some kilobytes can keep a decoder busy for hours or make it allocate gigabytes. A server reads
uploads here, so that such a file ends a small process instead of the service.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psutil
from PIL import Image

from seg import paths
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.image_io import READING_SECONDS, TOO_MUCH_MEMORY, PhotoError
from seg.data.label_import import ImportedLabel, LabelCoding, LabelImportError
from seg.data.reader_process import receive, send
from seg.system.request_queue import RequestQueue

MEMORY = 1_500_000_000
"""Bytes that a process may take for reading a picture."""

MEMORY_SHARE = 0.3
"""Share of the machine's memory that all processes together may take."""

BYTES_PER_SECOND = 5_000_000
"""By which the time for a file is estimated; for usual files it is too little."""

STOPPED = (
    f"Reading this picture was stopped after {READING_SECONDS} seconds: its file is built in an unusual way."
    " Save it again as JPEG or PNG."
)

_SMALL = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of the processes: the memory that arenas and threads reserve would count."""


class IsolatedReader:
    """Processes that read pictures; threads share them. They start when they are first needed, and end with
    this process, or with the block if this is used as a context manager.

    Args:
        processes: their number; by default one per core, as far as the memory of the machine allows.
        seconds: processor time for a picture.
        memory: bytes for a picture.
        visitor: returns for whom the present thread reads. Visitors take turns, see `RequestQueue`, and each
            has one picture read at a time. By default pictures are read in order of arrival.
    """

    def __init__(
        self,
        processes: int | None = None,
        seconds: int = READING_SECONDS,
        memory: int = MEMORY,
        visitor: Callable[[], Hashable] = object,
    ) -> None:
        fitting = int(psutil.virtual_memory().total * MEMORY_SHARE / memory)
        count = processes or max(1, min(os.cpu_count() or 1, fitting))
        self._seconds = seconds
        self._processes = [_ReaderProcess(memory) for _ in range(count)]
        self._idle = list(self._processes)
        self._turns = RequestQueue(holders=count, visitor=visitor)

    def __enter__(self) -> "IsolatedReader":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()

    def read_photo(self, data: bytes) -> Image.Image:
        """Read a photo as `image_io.read_photo`, from the content of its file.

        Raises:
            PhotoError: if the file cannot be used, or takes too long or too much memory to read.
        """
        with self.photo(data) as photo:
            return photo

    @contextmanager
    def photo(
        self, data: bytes, on_position: Callable[[int], object] = lambda ahead: None
    ) -> Iterator[Image.Image]:
        """Read a photo as `read_photo`. The next one is read after the end of the block: a photo that is used
        only there keeps others out of the memory.

        Args:
            data: the content of its file.
            on_position: receives the number of pictures ahead, see `RequestQueue.acquire`.

        Raises:
            PhotoError: if the file cannot be used, or takes too long or too much memory to read.
        """
        with self._answer({"what": "photo"}, data, on_position) as (message, pixels):
            if "error" in message:
                raise PhotoError(message["error"])
            photo = Image.frombuffer("RGB", tuple(message["size"]), pixels, "raw", "RGB", 0, 1)
            photo.info |= {key: tuple(v) if isinstance(v, list) else v for key, v in message["info"].items()}
            yield photo

    def check_header(self, data: bytes) -> None:
        """Check a photo as `image_io.check_header`.

        Raises:
            PhotoError: if the file cannot be used, or takes too long or too much memory to check.
        """
        with self._answer({"what": "header"}, data) as (message, _):
            if "error" in message:
                raise PhotoError(message["error"])

    @contextmanager
    def label(
        self,
        data: bytes,
        size: tuple[int, int],
        coding: LabelCoding | None = None,
        classes: ClassSet = CITYSCAPES,
    ) -> Iterator[ImportedLabel]:
        """Read a label as `label_import.read_label`. The next picture is read after the end of the block.

        Raises:
            LabelImportError: if the file cannot be used, or takes too long or too much memory to read.
        """
        request = {"what": "label", "size": size, "coding": coding, "classes": classes.classes}
        with self._answer(request, data) as (message, ids):
            if "error" in message:
                raise LabelImportError(message["error"])
            width, height = message["size"]
            label = np.frombuffer(ids, np.uint8).reshape(height, width)
            yield ImportedLabel(label, message["coding"], message["other_coding"], classes)

    @contextmanager
    def _answer(
        self,
        request: dict[str, Any],
        data: bytes,
        on_position: Callable[[int], object] = lambda ahead: None,
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        with self._turns.acquire(on_position, len(data) / BYTES_PER_SECOND):
            process = self._idle.pop()
            try:
                yield process.request(request | {"seconds": self._seconds}, data)
            finally:
                self._idle.append(process)


class _ReaderProcess:
    """One process, which is started again after it was ended. One thread uses it at a time."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._process: subprocess.Popen | None = None

    def request(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request; if the process ends during it, a message with ``error``."""
        process = self._running()
        try:
            assert process.stdin and process.stdout
            send(process.stdin, request, data)
            return receive(process.stdout)
        except (OSError, EOFError):
            stopped = process.wait(60) == -signal.SIGXCPU
            self.end()
            return {"error": STOPPED if stopped else TOO_MUCH_MEMORY}, b""
        except BaseException:  # otherwise the next request would get this answer
            self.end()
            raise

    def end(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin and process.stdout
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):  # of a request that was not read
            process.stdin.close()

    def _running(self) -> subprocess.Popen:
        if self._process is not None and self._process.poll() is not None:
            self.end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "seg.data.reader_process", str(self._memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=paths.child_environment() | _SMALL,
                start_new_session=True,  # Ctrl-C in the server's terminal ends the server, which ends it
            )
        return self._process
