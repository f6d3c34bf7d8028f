"""Waiting threads of PyTorch release their core soon, so that a busy machine does not stop a prediction."""

import os
import subprocess
import sys

import pytest

SHOW = "import os, seg; print(os.environ.get('GOMP_SPINCOUNT'))"


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if "GOMP" not in key and "OMP_" not in key}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize(
    "environment, expected",
    [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_spin_briefly_unless_the_environment_decides(environment, expected):
    assert run(SHOW, **environment).stdout.strip() == expected


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses GNU OpenMP on Linux only")
def test_the_openmp_library_of_pytorch_reads_it():
    started = run("import seg.inference.predictor", OMP_DISPLAY_ENV="verbose")
    assert "GOMP_SPINCOUNT = '1000'" in started.stderr
