"""Rendering of a dataset of pairs."""

import io
import os
import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from seg.data.cityscapes import NAMES, PALETTE, colorize
from seg.data.scenes.compose import render_scene
from seg.data.scenes.options import SceneOptions
from seg.system.folders import vacate
from seg.system.worker_pool import worker_pool

OnProgress = Callable[[int, int], object]


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
    for abandoned in to.parent.glob(f".{to.name}.rendering-*"):  # by a killed process
        if not psutil.pid_exists(int(abandoned.name.rpartition("-")[2])):
            shutil.rmtree(abandoned, ignore_errors=True)
    build_dir = temp_dir(to, os.getpid())
    for split in ("train", "val"):
        for folder in (build_dir / split, build_dir / "exact" / split):
            folder.mkdir(parents=True, exist_ok=True)
    jobs = [("train", i + 1) for i in range(train)] + [("val", i + 1) for i in range(val)]
    try:
        with worker_pool() as pool:
            futures = [
                pool.submit(_write_pair, build_dir, seed, split, index, options) for split, index in jobs
            ]
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if on_progress is not None:
                    on_progress(done, len(jobs))
    except BaseException:
        shutil.rmtree(build_dir, ignore_errors=True)
        raise
    try:
        build_dir.rename(to)  # also replaces an empty folder
    except OSError:
        shutil.rmtree(build_dir, ignore_errors=True)
        raise FileExistsError(not_empty) from None


def active_renders(folder: Path) -> tuple[Path, ...]:
    """Return the `temp_dir` of every dataset that a process is rendering in `folder`, sorted."""
    paths = (
        path for path in folder.glob(".*.rendering-*") if psutil.pid_exists(int(path.name.rpartition("-")[2]))
    )
    return tuple(sorted(paths))


def temp_dir(to: Path, pid: int) -> Path:
    """Return the folder in which the process `pid` renders the dataset `to`."""
    return to.with_name(f".{to.name}.rendering-{pid}")
