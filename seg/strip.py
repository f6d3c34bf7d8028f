"""A strip of fixed photos in a run's folder, and what the network made of them after every epoch.

``strip/photo-0.jpg  truth-0.png  epoch-0001/0.8s.png …``; masks and truths are indexed PNGs of train ids, 256 x 256.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from seg import masks, preprocess
from seg.checkpoint import write_atomic
from seg.dataset import Split
from seg.predict import Predictor

PHOTOS = 4


def record(run: Path, epoch: int, predictor: Predictor, split: Split, indices: range) -> None:
    """Keeps the masks that every variant makes of `PHOTOS` of the pairs at `indices` after an epoch (1 is the first)."""
    strip = run / "strip"
    strip.mkdir(exist_ok=True)
    chosen = np.unique(np.linspace(indices.start, indices.stop - 1, PHOTOS).round().astype(int))
    holding = Path(tempfile.mkdtemp(dir=strip, prefix=".writing-"))
    try:
        for number, i in enumerate(chosen):
            photo = preprocess.unsquash(Image.fromarray(split.photos[i]))
            if not (strip / f"photo-{number}.jpg").exists():
                out = io.BytesIO()
                photo.save(out, "JPEG", quality=90)
                write_atomic(strip / f"photo-{number}.jpg", out.getvalue())
                write_atomic(strip / f"truth-{number}.png", masks.png(np.asarray(split.labels[i])))
            for variant, (mask, _) in predictor.decide(photo, predictor.model.variants, split.labels[i].shape).items():
                (holding / f"{number}.{variant}.png").write_bytes(masks.png(mask))
        final = strip / f"epoch-{epoch:04d}"
        shutil.rmtree(final, ignore_errors=True)  # of an epoch that a resumed run does again
        os.chmod(holding, 0o755)
        holding.rename(final)
    finally:
        shutil.rmtree(holding, ignore_errors=True)


def photos(run: Path) -> list[tuple[Path, Path]]:
    """The photos and their truths."""
    found = sorted((run / "strip").glob("photo-*.jpg"))
    return [(photo, photo.with_name(photo.stem.replace("photo", "truth") + ".png")) for photo in found]


def epochs(run: Path) -> dict[int, Path]:
    """Epoch -> folder of its masks, ``N.VARIANT.png``."""
    return {int(folder.name.removeprefix("epoch-")): folder for folder in sorted((run / "strip").glob("epoch-*"))}
