"""Processes that are started in a folder of somebody else, whose modules must not run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seg import jobs
from seg.cli.app import App

ROOT = Path(__file__).parents[2]
SHADOWED = ("seg", "ui", "multiprocessing", "streamlit", "numpy", "torch", "random", "struct", "pickle")


CAPTURED = {"capture_output": True, "text": True, "timeout": 120}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with modules that leave a mark when they are imported."""
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write('{name} ')")
    return tmp_path


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}


def test_workers_import_nothing_from_the_working_directory(foreign: Path, tmp_path_factory):
    # a script's folder, not the working directory, is searched
    script = tmp_path_factory.mktemp("bin") / "street-fcn"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from seg.system.worker_pool import worker_pool\n"
        "if __name__ == '__main__':\n"
        "    with worker_pool() as pool:\n"
        "        print(list(pool.map(abs, [-1, -2])))\n"
    )
    command = [sys.executable, str(script)]
    ended = subprocess.run(
        command, cwd=foreign, env=clean_environment(), capture_output=True, text=True, timeout=120
    )
    assert ended.stdout == "[1, 2]\n", ended.stderr
    assert not (foreign / "mark").exists(), (foreign / "mark").read_text()


def test_commands_of_the_app_import_nothing_from_the_working_directory(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(foreign)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)  # two empty entries: the working directory
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    process = jobs.spawn_watched("data", "render", "--to", "new", "--train", "1", "--val", "1")
    with process.stderr as stderr:
        assert process.wait(120) == 0, stderr.read()
    assert (foreign / "new" / "train" / "1.jpg").is_file()
    assert not (foreign / "mark").exists(), (foreign / "mark").read_text()
    assert "python -P -m seg runs" in jobs.displayed_command(["runs"])


def test_the_server_imports_nothing_from_the_working_directory(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command: started.append(command) or 0)
    with pytest.raises(SystemExit):
        App().run()
    until = started[0].index("run")
    command = [*started[0][:until], "--version"]
    ended = subprocess.run(
        command, cwd=foreign, env=clean_environment(), capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0 and "Streamlit, version" in ended.stdout, ended.stderr
    assert not (foreign / "mark").exists(), (foreign / "mark").read_text()
