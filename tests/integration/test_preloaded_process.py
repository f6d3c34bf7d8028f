"""A preloaded process behaves as one that is started by ``python -m``: other tests rely on it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.preloaded import PreloadedProcess

PROBE = """
import os, signal, sys, tempfile, threading
if __name__ == "__main__":
    print(os.getcwd(), os.environ.get("PROBE"), os.environ.get("HOME"), tempfile.gettempdir(), sys.argv[1:])
    threading.Thread(target=lambda: print("thread", flush=True)).start()
    what = sys.argv[1]
    if what == "wait":
        signal.pause()
    if what == "fail":
        raise ValueError("a fault")
    sys.exit({"code": 7, "message": "a message"}.get(what))
"""


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    (tmp_path / "probe.py").write_text(PROBE)
    return tmp_path


@pytest.mark.parametrize("what", ["code", "message", "fail", "end"])
def test_output_and_exit_code_are_those_of_python(probe, what):
    environment = {"PROBE": "set", "PATH": os.environ["PATH"], "TMPDIR": str(probe)}
    process = PreloadedProcess("probe", what, "two", environment=environment, cwd=probe)
    output, errors = process.communicate(60)
    command = [sys.executable, "-m", "probe", what, "two"]
    real = subprocess.run(command, cwd=probe, env=environment, capture_output=True, text=True)
    assert (process.returncode, sorted(output.splitlines())) == (
        real.returncode,
        sorted(real.stdout.splitlines()),
    )
    assert errors.splitlines()[-1:] == real.stderr.splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_signals_reach_the_process(probe, number):
    process = PreloadedProcess("probe", "wait", cwd=probe, merge=True)
    while "thread" not in process.output:
        assert process.poll() is None, process.output
        time.sleep(0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    code = process.wait(60)
    assert code == -number or (number == signal.SIGINT and "KeyboardInterrupt" in process.output)
    process.kill()  # no error after its end
