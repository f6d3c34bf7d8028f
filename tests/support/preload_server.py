"""A process that has imported PyTorch, Streamlit and `seg`, and forks a process for each command.

``python -m tests.support.preload_server FD`` reads requests from a socket until the other side closes it. A
request is JSON with ``module``, ``arguments``, ``cwd``, ``environment`` and ``new_session``. Four descriptors
come with it: the standard input, output and error of the command, and a socket that receives its process id
and its exit code, as four bytes each.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import suppress

import accelerate.commands.launch  # noqa: F401  # imported once, for all commands
import plotly.graph_objects  # noqa: F401
import segmentation_models_pytorch  # noqa: F401
import streamlit.web.bootstrap  # noqa: F401
import streamlit.web.cli  # noqa: F401
import torch._dynamo  # noqa: F401  # optimizers import it

import seg.cli.data
import seg.cli.evaluation
import seg.cli.predict
import seg.cli.training
import seg.cli.weights  # noqa: F401

REQUEST_BYTES = 1 << 20


def next_command(requests: socket.socket) -> dict | None:
    """Wait for requests and fork.

    Returns:
        In a forked process, the command that it carries out; in the server None, when nobody sends requests.
    """
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 4)
        if not data:
            return None
        keeper = os.fork()
        if not keeper:
            return _fork_kept(json.loads(data), requests, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):  # none is left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _fork_kept(command: dict, requests: socket.socket, descriptors: list[int]) -> dict:
    """Fork the process of a command; this process stays to report its exit code."""
    requests.close()
    *streams, descriptor = descriptors
    report = socket.socket(fileno=descriptor)
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        for number in (signal.SIGINT, signal.SIGTERM):  # those of a terminal's process group
            signal.signal(number, signal.SIG_IGN)
        report.sendall(pid.to_bytes(4, "big"))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            report.sendall(code.to_bytes(4, "big", signed=True))
        finally:
            os._exit(0)
    report.close()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    return command


def become(command: dict) -> None:
    """Be the process ``python -m MODULE`` of a command, and end it."""
    if command["new_session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["environment"])
    tempfile.tempdir = None  # what the imports found before is not that of this environment
    search = command["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [command["cwd"], *filter(None, search)]
    sys.argv = [command["module"], *command["arguments"]]
    code = 0
    try:
        runpy.run_module(command["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    # as the interpreter does, but without freeing hundreds of thousands of imported objects one by one
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # collections in the forks would copy the memory of all imported objects
    request = next_command(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        become(request)
