"""Properties of photos by which results are divided: brightness and the share of small objects.

They are kept in the cache folder by the digest of the split: ``comparisons/DATA/traits.npz``.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from seg import paths
from seg.data.decode_cache import DecodedSplit
from seg.data.pairs import OnProgress
from seg.evaluation.comparison import thirds
from seg.system.atomic_io import write_atomic
from seg.system.npz_file import read_arrays

SMALL_SEGMENT = 0.01
"""Largest share of the picture that a small segment covers."""

TRAITS = ("brightness", "small objects")
"""The groups of slices by these properties."""

TRAITS_VERSION = 1
"""Increases whenever the traits of the same photos change."""


@dataclass(frozen=True)
class PhotoTraits:
    """Properties of the photos of a split.

    Attributes:
        brightness: n, mean luma of each photo, 0 to 1.
        small_share: n, the share of the labelled pixels of each photo that belong to small classes.
        is_small: K bool, which classes are small: at least half of their pixels in the split belong to
            connected segments that cover at most `SMALL_SEGMENT` of their picture.
    """

    brightness: np.ndarray
    small_share: np.ndarray
    is_small: np.ndarray

    def groups(self, indices: Sequence[int]) -> dict[str, dict[str, np.ndarray]]:
        """Return slices of some of the photos, as `comparison.compare` takes them."""
        chosen = list(indices)
        brightness = thirds(self.brightness[chosen], ("dark third", "middle third", "bright third"))
        groups = {TRAITS[0]: brightness}
        if self.is_small.any():
            names = ("few small objects", "some small objects", "many small objects")
            groups[TRAITS[1]] = thirds(self.small_share[chosen], names, "{:.1%}")
        return groups

    def small_classes(self, names: Sequence[str]) -> list[str]:
        """Return the names of the small classes."""
        return [name for name, small in zip(names, self.is_small, strict=True) if small]


def load_traits(split: DecodedSplit, on_progress: OnProgress | None = None) -> PhotoTraits:
    """Return the properties of the photos of a split, measured once and then read from the cache folder.

    Args:
        split: the split.
        on_progress: called with the number of photos measured and of all.

    Raises:
        OSError: if the cache cannot be written.
    """
    file = comparisons_dir(split.digest) / f"traits-v{TRAITS_VERSION}.npz"
    try:
        traits = PhotoTraits(**read_arrays(file))
        if len(traits.brightness) == len(split) and len(traits.is_small) == len(split.classes):
            return traits
    except (OSError, ValueError, TypeError):
        pass  # not measured yet, or damaged
    traits = measure_traits(split, on_progress)
    content = io.BytesIO()
    np.savez_compressed(content, **vars(traits))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, content.getvalue())
    return traits


def comparisons_dir(digest: str) -> Path:
    """Return the folder of what comparisons on a split keep.

    Args:
        digest: content hash of the split.
    """
    return paths.cache() / "comparisons" / digest[:16]


def measure_traits(split: DecodedSplit, on_progress: OnProgress | None = None) -> PhotoTraits:
    """Measure the properties of the photos of a split.

    Args:
        split: the split.
        on_progress: called with the number of photos measured and of all.
    """
    count, classes = len(split), len(split.classes)
    brightness = np.zeros(count)
    pixels = np.zeros((count, classes), np.int64)
    in_small_segments = np.zeros(classes, np.int64)
    for i in range(count):
        brightness[i] = np.asarray(split.photo(i).convert("L")).mean() / 255
        label = split.label(i)
        pixels[i] = np.bincount(label.ravel(), minlength=256)[:classes]
        in_small_segments += _in_small_segments(label, pixels[i])
        if on_progress:
            on_progress(i + 1, count)
    totals = pixels.sum(0)
    is_small = (totals > 0) & (2 * in_small_segments >= totals)
    small_share = pixels[:, is_small].sum(1) / np.maximum(1, pixels.sum(1))
    return PhotoTraits(brightness, small_share, is_small)


def _in_small_segments(label: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return K counts of the pixels of each class in connected segments (8 neighbors) of at most
    `SMALL_SEGMENT` of the picture."""
    counts = np.zeros(len(pixels), np.int64)
    limit = SMALL_SEGMENT * label.size
    for k in np.flatnonzero(pixels):
        segments, _ = ndimage.label(label == k, np.ones((3, 3), int))
        areas = np.bincount(segments.ravel())[1:]
        counts[k] = areas[areas <= limit].sum()
    return counts
