"""The files of the container agree with the project and with each other."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from tests.support import dockerfile

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / file).read_text()))


def test_the_lock_without_cuda_has_the_same_versions():
    everything, without_cuda = pins("requirements.txt"), pins("requirements/cpu.txt")
    assert without_cuda.items() < everything.items()
    left_out = everything.keys() - without_cuda.keys()
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= left_out
    assert all(re.match("torch|triton|nvidia-|cuda-", name) for name in left_out)


def test_pytorch_without_cuda_is_installed_first(tmp_path):
    pip = tmp_path / "pip"
    pip.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    pip.chmod(0o755)
    install = ["sh", "requirements/install.sh", str(pip), "cpu"]
    environment = os.environ | {"PYTORCH_CPU_INDEX": "https://example.org/cpu"}
    subprocess.run(install, cwd=ROOT, env=environment, check=True)
    first, second = (tmp_path / "calls").read_text().splitlines()
    versions = pins("requirements.txt")
    pinned = [f"{name}=={versions[name]}" for name in ("torch", "torchvision")]
    assert first.split()[-4:] == ["--index-url", "https://example.org/cpu", *pinned]
    assert second.endswith("requirements/cpu.txt")
    assert subprocess.run([*install[:-1], "gpu"], cwd=ROOT, capture_output=True).returncode == 1


def test_everything_that_is_copied_is_in_the_build_context():
    context = dockerfile.build_context(ROOT)
    for kind, arguments in dockerfile.instructions(ROOT / "Dockerfile"):
        if kind == "COPY":
            for source in dockerfile.sources(arguments)[0]:
                assert source == "." or source in context, source
    assert {"app.py", "seg/cli/main.py", "ui/shared/layout.py", ".streamlit/config.toml"} < set(context)
    shipped = {path.parent.name for path in ROOT.glob("weights/*/card.json")}
    assert {name.split("/")[1] for name in context if name.endswith("model.safetensors")} <= shipped
    assert not [name for name in context if name.startswith(("tests", "docs", "data", "runs"))]


def test_the_container_has_no_rights_and_keeps_what_it_writes():
    steps = dockerfile.instructions(ROOT / "Dockerfile")
    assert ("USER", "street") in steps and steps.index(("USER", "street")) < len(steps) - 1
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])  # of this computer only
        assert {volume.split(":")[1] for volume in service["volumes"]} == {"/data", "/app/weights"}
        assert service["build"]["args"]["TORCH"] in ("cpu", "cuda")
