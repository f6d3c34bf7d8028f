"""Where Street FCN keeps its files. Each folder can be moved by an environment variable, which is read on
every call.

In a clone of the project, everything is in the clone. Installed by pip, the shipped files are in the package,
data, runs and published weights are in the working directory, and the cache is in the user's cache folder.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).absolute().parent
_CLONE = _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None
_SHIPPED = _CLONE or _PACKAGE / "bundle"


def cache() -> Path:
    """Decoded data, evaluations and locks; ``SEG_CACHE`` moves it."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "street-fcn"
    return _folder("SEG_CACHE", _CLONE / ".cache" if _CLONE else user)


def data() -> Path:
    """Data sets that the app offers; ``SEG_DATA`` moves it."""
    return _folder("SEG_DATA", _working("data"))


def default_dataset() -> Path:
    """The data set that commands use by default: the Cityscapes Image Pairs in `data`."""
    return data() / "cityscapes-image-pairs"


def runs() -> Path:
    """Trainings that the app starts and lists; ``SEG_RUNS`` moves it."""
    return _folder("SEG_RUNS", _working("runs"))


def default_run() -> Path:
    """The run that ``train`` creates by default, in `runs`."""
    return runs() / "fcn"


def weights() -> Path:
    """The registry that `publish` writes to; ``SEG_WEIGHTS`` moves it."""
    return _folder("SEG_WEIGHTS", _CLONE / "weights" if _CLONE else Path("weights"))


def networks() -> Path:
    """ONNX files of others that Compare offers; ``SEG_NETWORKS`` moves it."""
    return _folder("SEG_NETWORKS", _working("networks"))


def registries() -> tuple[Path, ...]:
    """The registries in which weights are looked up: that of `weights`, then the shipped one unless
    ``SEG_WEIGHTS`` is set."""
    shipped = _SHIPPED / "weights"
    return (weights(),) if is_moved("SEG_WEIGHTS") or weights() == shipped else (weights(), shipped)


def baselines() -> Path:
    """A registry of cards only: of trained networks that the leaderboard compares with and that are not
    shipped."""
    return _SHIPPED / "baselines"


def app() -> Path:
    """The folder of app.py, its pages and its Streamlit settings."""
    return _SHIPPED


def package_parent() -> Path:
    """The folder that Python must search for ``seg``; for processes in another working directory."""
    return _PACKAGE.parent


def is_importable() -> bool:
    """Whether ``python -m seg`` works in the working directory: in the clone, or anywhere if installed."""
    return _CLONE is None or Path.cwd() == _CLONE


def is_clone(folder: Path) -> bool:
    """Whether a folder is the clone of the project that this package belongs to."""
    return folder == _CLONE


def child_environment() -> dict[str, str]:
    """Return the environment of a process that must import this package, and nothing from its working
    directory."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # an empty entry is the working directory
    searched = [str(package_parent()), *filter(None, inherited)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(searched), "PYTHONSAFEPATH": "1"}


def recorded(path: Path) -> Path:
    """Find a path that a run has recorded: relative ones are looked up in the working directory, then in the
    clone, since the run may have been started there."""
    in_clone = _CLONE / path if _CLONE else path
    return in_clone if in_clone.exists() and not path.exists() else path


def is_moved(variable: str) -> bool:
    """Whether an environment variable moves a folder."""
    return bool(os.environ.get(variable))


def _folder(variable: str, default: Path) -> Path:
    """The folder that an environment variable names, or the default if it is unset or empty."""
    return Path(os.environ.get(variable) or default)


def _working(name: str) -> Path:
    """A folder of the clone, relative to the working directory if it is inside; without a clone, a folder of
    the working directory."""
    if _CLONE is None:
        return Path(name)
    folder, current = _CLONE / name, Path.cwd()
    return folder.relative_to(current) if folder.is_relative_to(current) else folder
