"""The steps of the Dockerfile in a clean Debian, where no Docker daemon is needed; only with --stress."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import dockerfile
from tests.support.visitor import await_server, free_port

ROOT = Path(__file__).parents[2]
PATH = "/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "python3,python3-venv,ca-certificates"
HOST_FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this computer reaches the package index."""


class CleanRoot:
    """A folder with Debian and Python, in which the instructions of a Dockerfile are run."""

    def __init__(self, folder: Path, torch: str) -> None:
        self.folder, self.workdir, self.user = folder, "/", "root"
        self.environment = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        self.environment |= {"PATH": PATH, "TORCH": torch, "HOME": "/root"}
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder], check=True
        )
        for name in HOST_FILES:
            if Path(name).is_file():
                (folder / name[1:]).unlink(missing_ok=True)
                shutil.copy(name, folder / name[1:])
        self.run("python3 -m venv /opt/python")

    def apply(self, kind: str, arguments: str) -> None:
        """Run an instruction."""
        if kind == "RUN":
            self.run(arguments)
        elif kind == "ENV":
            self.environment |= dict(word.split("=", 1) for word in shlex.split(arguments))
        elif kind == "WORKDIR":
            self.workdir = arguments
            self.path(".").mkdir(parents=True, exist_ok=True)
        elif kind == "USER":
            self.user = arguments
            self.environment["HOME"] = f"/home/{arguments}"
        elif kind == "COPY":
            self.copy(*dockerfile.sources(arguments), is_owned="--chown=street" in arguments)

    def copy(self, sources: list[str], target: str, is_owned: bool) -> None:
        names = dockerfile.build_context(ROOT) if sources == ["."] else sources
        for name in names:
            place = self.path(target) / (name if sources == ["."] else Path(name).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place)
        if is_owned:
            self.run(f"chown -R street {self.workdir}")

    def path(self, name: str) -> Path:
        return self.folder / self.workdir[1:] / name

    def command(self, command: str) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        script = f"cd {self.workdir} && {command}"
        inside = ["env", "-i", *variables, "sh", "-c", script]
        return ["chroot", f"--userspec={self.user}", str(self.folder), *inside]

    def run(self, command: str) -> None:
        subprocess.run(self.command(command), check=True)


@pytest.fixture
def clean_root(stress, tmp_path):
    if not stress:
        pytest.skip("only with --stress: it installs everything in a new Debian")
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("needs root and debootstrap")
    root = CleanRoot(tmp_path / "root", "cpu" if os.environ.get("PYTORCH_CPU_INDEX") else "cuda")
    for device in ("null", "urandom"):
        subprocess.run(["cp", "-a", f"/dev/{device}", root.folder / "dev"], check=True)
    shared_memory = root.folder / "dev" / "shm"  # of the processes that a command starts
    shared_memory.mkdir(exist_ok=True)
    shared_memory.chmod(0o1777)
    subprocess.run(["mount", "-t", "proc", "proc", root.folder / "proc"], check=True)
    yield root
    subprocess.run(["umount", root.folder / "proc"], check=True)


@pytest.mark.timeout(1800)
def test_the_steps_of_the_dockerfile_give_a_working_app(clean_root):
    steps = dockerfile.instructions(ROOT / "Dockerfile")
    for kind, arguments in steps:
        clean_root.apply(kind, arguments)
    port = free_port()
    clean_root.environment["STREAMLIT_SERVER_PORT"] = str(port)
    command = shlex.join(json.loads(dict(steps)["CMD"]))
    server = subprocess.Popen(clean_root.command(f"exec {command}"))
    try:
        await_server(server, port)
        healthy = dict(steps)["HEALTHCHECK"].partition("CMD ")[2]
        clean_root.run(healthy)
        clean_root.run("python -m seg data render --to /data/sets/one --train 3 --val 2")
        clean_root.run("python -m seg predict /data/sets/one/val/1.jpg --out /data/masks")
        assert (clean_root.folder / "data" / "masks" / "1.8s.png").is_file()
        clean_root.run('test "$(id -u)" = 1000 && ! touch /etc/mine 2> /dev/null')
    finally:
        server.terminate()
        server.wait(30)
