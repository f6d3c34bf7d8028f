"""Imports flow one way, and the package knows nothing of Streamlit."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = (
    ("files", "crew", "stopping", "labels", "photo", "preprocess", "encoder", "metrics", "team", "norm", "archive", "fold"),
    ("checkpoint", "fcn", "masks", "scenes", "augment", "line"),
    ("dataset", "results"),
    ("networks", "truth", "ceiling", "runs", "turn", "feed"),
    ("weights",),
    ("predict",),
    ("evaluate", "inside", "resolution", "recipe", "strip", "folder"),
    ("train", "table", "scoring", "batch", "cluster"),
    ("publish", "cost", "launch", "export", "bench"),
    ("growth",),
    ("cli",),
    ("__main__",),
)
"""Each module imports modules of the rows before its own only."""


def imported(file: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def modules(names: set[str], package: str) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


def test_every_module_has_a_row():
    assert {f.stem for f in (ROOT / "seg").glob("*.py")} - {"__init__"} == {name for row in ROWS for name in row}


def test_modules_import_earlier_rows_only():
    known = {f.stem for f in (ROOT / "seg").glob("*.py")}
    for number, row in enumerate(ROWS):
        allowed = {name for earlier in ROWS[:number] for name in earlier}
        for name in row:
            found = modules(imported(ROOT / "seg" / f"{name}.py"), "seg") & known
            assert found <= allowed, f"seg/{name}.py imports {sorted(found - allowed)}"


def test_seg_knows_nothing_of_streamlit_and_pages_nothing_of_the_command_line():
    for file in (ROOT / "seg").glob("*.py"):
        assert not any(name.split(".")[0] in ("streamlit", "pages", "app") for name in imported(file)), file
    for file in [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]:
        assert "cli" not in modules(imported(file), "seg"), file
        assert not any(name.split(".")[0] == "weights" for name in imported(file)), file
