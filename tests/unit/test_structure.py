"""Imports flow one way between packages, and the package is independent of Streamlit."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ORDER = (
    *(
        "errors",
        "paths",
        "system",
        "data",
        "models",
        "inference",
        "evaluation",
        "training",
        "publishing",
        "interpretability",
    ),
    *("profiling", "jobs", "cli", "__main__"),
)
"""Each package or top-level module of seg imports only itself and those before it."""


def imported(file: Path) -> set[str]:
    """Full names of all modules that a file imports, at any level."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def test_every_package_is_in_the_order():
    modules = {
        path.stem
        for path in (ROOT / "seg").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert modules - {"__init__"} == set(ORDER)


def test_packages_import_only_those_before_them():
    for file in (ROOT / "seg").rglob("*.py"):
        own = file.relative_to(ROOT / "seg").parts[0].removesuffix(".py")
        if own != "__init__":
            used = {name.split(".")[1] for name in imported(file) if name.startswith("seg.")} & set(ORDER)
            assert used <= set(ORDER[: ORDER.index(own) + 1]), file


def test_seg_and_the_app_keep_their_import_boundaries():
    for file in (ROOT / "seg").rglob("*.py"):
        assert not any(
            name.split(".")[0] in ("streamlit", "pages", "ui", "app") for name in imported(file)
        ), file
    for file in [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "ui").rglob("*.py")]:
        names = imported(file)
        assert not any(name.startswith("seg.cli") or name.split(".")[0] == "weights" for name in names), file
