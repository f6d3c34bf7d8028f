"""The instructions of a Dockerfile, and what .dockerignore leaves of a repository."""

import shlex
import subprocess
from pathlib import Path


def instructions(file: Path) -> list[tuple[str, str]]:
    """Return each instruction with its arguments; continued lines are joined, comments left out."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    parts = [line.partition(" ") for line in joined.splitlines() if line]
    return [(kind, arguments.strip()) for kind, _, arguments in parts]


def sources(arguments: str) -> tuple[list[str], str]:
    """Return the sources and the target of a COPY instruction."""
    paths = [word for word in shlex.split(arguments) if not word.startswith("--")]
    return paths[:-1], paths[-1]


def build_context(root: Path) -> list[str]:
    """Return the files, except ignored ones, that a .dockerignore of the form "nothing but these" leaves."""
    lines = (root / ".dockerignore").read_text().split()
    assert lines.index("*") < min(i for i, line in enumerate(lines) if line.startswith("!"))
    included = tuple(line.removeprefix("!") for line in lines if line.startswith("!"))
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [
        name
        for name in listed.splitlines()
        if any(name == path or name.startswith(f"{path}/") for path in included)
    ]
