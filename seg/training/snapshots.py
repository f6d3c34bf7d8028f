"""Snapshots: the masks of a few fixed photos at every evaluation, in a run's folder.

``strip/photo-0.jpg  truth-0.png  epoch-0001/0.8s.png …``; masks and labels are indexed PNGs of train ids,
those of pairs of 256 x 256 pixels.
"""

import io
from pathlib import Path

import numpy as np

from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import restore_aspect
from seg.inference import mask_io
from seg.inference.predictor import Predictor
from seg.system.atomic_io import new_folder, write_atomic

PHOTOS = 4


def save_snapshot(run: Path, epoch: int, predictor: Predictor, split: DecodedSplit, indices: range) -> None:
    """Save the masks of `PHOTOS` pairs, evenly spaced over `indices`, after an epoch.

    Args:
        run: the run's folder.
        epoch: the epoch's number, from 1.
        predictor: the network after the epoch.
        split: the training data.
        indices: the pairs to choose from.
    """
    strip = run / "strip"
    strip.mkdir(exist_ok=True)
    chosen = np.unique(np.linspace(indices.start, indices.stop - 1, PHOTOS).round().astype(int))
    # the folder of an epoch that a resumed run repeats is replaced
    with new_folder(strip / f"epoch-{epoch:04d}", replace=True) as temp_dir:
        for number, i in enumerate(chosen):
            photo = restore_aspect(split.photo(i)) if split.is_pairs else split.photo(i)
            label = split.label(i)
            if not (strip / f"photo-{number}.jpg").exists():
                out = io.BytesIO()
                photo.save(out, "JPEG", quality=90)
                write_atomic(strip / f"photo-{number}.jpg", out.getvalue())
                write_atomic(strip / f"truth-{number}.png", mask_io.png(np.asarray(label), split.classes))
            masks = predictor.predict_masks(photo, predictor.model.variants, [label.shape])
            for variant, [(mask, _)] in masks.items():
                (temp_dir / f"{number}.{variant}.png").write_bytes(mask_io.png(mask, split.classes))


def load_photos(run: Path) -> list[tuple[Path, Path]]:
    """The photos of the snapshots and their labels, as files."""
    photos = sorted((run / "strip").glob("photo-*.jpg"))
    return [(photo, photo.with_name(photo.stem.replace("photo", "truth") + ".png")) for photo in photos]


def load_epochs(run: Path) -> dict[int, Path]:
    """By epoch, the folder of its masks, ``N.VARIANT.png``."""
    return {
        int(folder.name.removeprefix("epoch-")): folder
        for folder in sorted((run / "strip").glob("epoch-" + "[0-9]" * 4))
    }
