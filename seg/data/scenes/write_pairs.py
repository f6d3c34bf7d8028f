"""Rendering of a dataset of pairs."""

import io
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from seg.data.cityscapes import NAMES, PALETTE, colorize
from seg.data.scenes.compose import render_scene
from seg.data.scenes.options import SceneOptions
from seg.system.folders import vacate
from seg.system.status_file import at_work, is_locked, is_running, read_status, write_status
from seg.system.worker_pool import worker_pool

OnProgress = Callable[[int, int], object]

_STATUS = "rendering"
"""Name of the status in the folder of a running rendering."""


def scene_seed(seed: int, split: str, index: int) -> int:
    """Return the seed of a scene; different for every seed of a dataset, split and index.

    Args:
        seed: the seed of the dataset.
        split: ``train`` or ``val``.
        index: the number of the pair, from 1.
    """
    return int(
        np.random.SeedSequence([seed, ("train", "val").index(split), index]).generate_state(1, np.uint64)[0]
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def _write_pair(folder: Path, seed: int, split: str, index: int, options: SceneOptions | None) -> None:
    photo, label = render_scene(scene_seed(seed, split, index), options=options)
    pair = Image.new("RGB", (512, 256))
    for column, half in ((0, photo), (256, colorize(label))):
        pair.paste(Image.fromarray(half).resize((256, 256), Image.Resampling.BOX), (column, 0))
    exact = Image.fromarray(label, "P")
    exact.putpalette([*PALETTE.reshape(-1).tolist(), *[0] * (3 * (256 - len(NAMES)))])
    jpeg, png = io.BytesIO(), io.BytesIO()
    pair.save(jpeg, "JPEG", quality=95)  # the quantization tables and 4:2:0 of the real dataset
    exact.save(png, "PNG")
    _write(folder / "exact" / split / f"{index}.png", png.getvalue())
    _write(folder / split / f"{index}.jpg", jpeg.getvalue())


def write_pairs(
    to: Path,
    train: int,
    val: int,
    seed: int,
    on_progress: OnProgress | None = None,
    options: SceneOptions | None = None,
) -> None:
    """Render a dataset with the layout of the Kaggle dataset "cityscapes-image-pairs", and its exact labels.

    ``train/1.jpg``, … and ``val/1.jpg``, … are 512 x 256 JPEGs, the photo on the left and the colored label
    on the right; ``exact/train/1.png``, … are 1024 x 512 indexed PNGs of train ids. The splits share no
    scene. Everything is written to `temp_dir` beside the folder, which is renamed when it is complete.

    Args:
        to: the folder, new or empty.
        train: number of pairs in train.
        val: number of pairs in val.
        seed: the seed of the dataset.
        on_progress: called with the number of pairs written and of all.
        options: what all scenes have in common; the rest varies by seed.

    Raises:
        FileExistsError: if the folder is not empty.
        OSError: if it cannot be written.
    """
    not_empty = f"{to} is not empty; write to a new or empty folder."
    if not vacate(to):
        raise FileExistsError(not_empty)
    to = to.absolute()
    for folder in to.parent.glob(f".{to.name}.rendering-*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    build_dir = temp_dir(to, os.getpid())
    for split in ("train", "val"):
        for folder in (build_dir / split, build_dir / "exact" / split):
            folder.mkdir(parents=True, exist_ok=True)
    jobs = [("train", i + 1) for i in range(train)] + [("val", i + 1) for i in range(val)]
    try:
        with at_work(build_dir, _STATUS):
            _render_all(build_dir, jobs, seed, on_progress, options)
        for file in (f"{_STATUS}.json", f".{_STATUS}.lock"):
            (build_dir / file).unlink(missing_ok=True)
    except BaseException:
        shutil.rmtree(build_dir, ignore_errors=True)
        raise
    try:
        build_dir.rename(to)  # also replaces an empty folder
    except OSError:
        shutil.rmtree(build_dir, ignore_errors=True)
        raise FileExistsError(not_empty) from None


def _render_all(
    build_dir: Path,
    jobs: Sequence[tuple[str, int]],
    seed: int,
    on_progress: OnProgress | None,
    options: SceneOptions | None,
) -> None:
    """Render the pairs with these splits and numbers, and report the progress in the folder."""

    def report(done: int) -> None:
        write_status(build_dir, _STATUS, {"status": "running", "done": done, "total": len(jobs)})

    report(0)
    with worker_pool() as pool:
        futures = [pool.submit(_write_pair, build_dir, seed, split, index, options) for split, index in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            report(done)
            if on_progress is not None:
                on_progress(done, len(jobs))


def active_renders(folder: Path) -> tuple[Path, ...]:
    """Return the `temp_dir` of every dataset that a process is rendering in `folder`, sorted."""
    candidates = folder.glob(".*.rendering-*")
    return tuple(sorted(path for path in candidates if is_running(read_status(path, _STATUS))))


def _is_abandoned(folder: Path) -> bool:
    """Return whether the process that rendered in a `temp_dir` has ended."""
    if status := read_status(folder, _STATUS):
        return not is_running(status) and not is_locked(folder, _STATUS)
    pid = folder.name.rpartition("-")[2]  # versions before 1.1 wrote no status
    return pid.isascii() and pid.isdigit() and not psutil.pid_exists(int(pid[:9]))


def temp_dir(to: Path, pid: int) -> Path:
    """Return the folder in which the process `pid` renders the dataset `to`."""
    return to.with_name(f".{to.name}.rendering-{pid}")
