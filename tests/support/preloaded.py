"""Processes that start at once: they are forked from one that has imported PyTorch, Streamlit and `seg`.

Each is a process of its own, as if started by ``python -m MODULE``: with its own working directory,
environment, signals and exit code. Only the seconds of the imports are saved.
"""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


class PreloadedProcess:
    """A process with the methods of `subprocess.Popen`; its output goes to files, which never fill up.

    Args:
        module: what ``python -m`` runs.
        arguments: those of the module.
        environment: the environment variables.
        cwd: the working directory.
        merge: let standard error go to standard output.
        stderr: a file or descriptor for standard error instead.
        new_session: start a process group, for signals to all its processes.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        merge: bool = False,
        stderr: IO | int | None = None,
        new_session: bool = False,
    ) -> None:
        self._output = tempfile.TemporaryFile("w+b")
        self._errors = self._output if merge else tempfile.TemporaryFile("w+b")
        self._report, report = socket.socketpair()
        request = {
            "module": module,
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "environment": dict(os.environ if environment is None else environment),
            "new_session": new_session,
        }
        with report, open(os.devnull) as nothing:
            files = (nothing, self._output, stderr or self._errors, report)
            descriptors = [file if isinstance(file, int) else file.fileno() for file in files]
            socket.send_fds(_server(), [json.dumps(request).encode()], descriptors)
        self.pid = self._receive()
        self.returncode: int | None = None

    def __del__(self) -> None:
        for file in (self._report, self._output, self._errors):
            file.close()

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""
        self._report.settimeout(0)
        return self._wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises TimeoutExpired."""
        self._report.settimeout(timeout)
        if self._wait() is None:
            raise subprocess.TimeoutExpired("a preloaded process", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end -> standard output and standard error. Raises TimeoutExpired."""
        self.wait(timeout)
        return self.output, _text(self._errors)

    @property
    def output(self) -> str:
        """What the process has written to standard output so far."""
        return _text(self._output)

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _wait(self) -> int | None:
        if self.returncode is None:
            with suppress(TimeoutError, BlockingIOError):
                self.returncode = self._receive()
        return self.returncode

    def _receive(self) -> int:
        return int.from_bytes(self._report.recv(4), "big", signed=True)


def _text(file: IO[bytes]) -> str:
    """The content of a file; its position stays, since the process writes there."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


@functools.cache
def _server() -> socket.socket:
    """Start the server of this test process -> the socket for requests; the server ends with this process."""
    requests, other = socket.socketpair()
    with other:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preload_server", str(other.fileno())],
            cwd=ROOT,
            pass_fds=[other.fileno()],
            start_new_session=True,  # Ctrl-C ends this process, which ends it
        )

    def end() -> None:
        requests.close()
        server.wait()

    atexit.register(end)
    return requests
