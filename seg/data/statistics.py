"""Class frequencies of labels, and statistics of the label decoder on a sample of pairs."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from seg.data import cityscapes, label_decoder
from seg.data.pairs import SIDE, OnProgress, exact_label, read_pair


def class_pixel_counts(label: np.ndarray, classes: int = len(cityscapes.CLASSES)) -> np.ndarray:
    """Count the pixels of each class.

    Args:
        label: n x H x W uint8 train ids.
        classes: K, the number of classes.

    Returns:
        n x (K + 1): pixels of each class, and finally the ignored pixels.
    """
    counts = np.stack([np.bincount(image.reshape(-1), minlength=256) for image in label])
    return counts[:, [*range(classes), cityscapes.IGNORE]]


@dataclass(frozen=True)
class LabelStatistics:
    """Pixel counts of decoded labels, at 256 x 256.

    Attributes:
        reasons: 6, by `label_decoder.IgnoreReason`.
        decoded: 20, by class, with the ignored pixels last.
        nearest: the same for decoding by nearest color.
        exact: the same for the exact labels; all 0 if there are none.
        right: pixels in `kept` whose decoded class is that of the exact label.
        kept: pixels that have a class in both the decoded and the exact label.
    """

    reasons: np.ndarray
    decoded: np.ndarray
    nearest: np.ndarray
    exact: np.ndarray
    right: int
    kept: int

    def __add__(self, other: "LabelStatistics") -> "LabelStatistics":
        return LabelStatistics(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


def label_statistics(files: tuple[Path, ...], on_progress: OnProgress | None = None) -> LabelStatistics:
    """Decode the labels of pairs and sum their statistics.

    Args:
        files: the files of the pairs.
        on_progress: called with the number of pairs done and of all.

    Raises:
        DatasetError: if a file is damaged.
    """
    statistics = []
    for done, file in enumerate(files, 1):
        _, picture = read_pair(file)
        label, reasons, _ = label_decoder.decode_with_reasons(picture)
        full_size_label = exact_label(file)
        if full_size_label is None:
            ground_truth = np.full_like(label, cityscapes.IGNORE)
        else:
            ground_truth = cityscapes.downsample_majority(full_size_label, SIDE)
        in_both = (ground_truth != cityscapes.IGNORE) & (label != cityscapes.IGNORE)
        nearest_label = label_decoder.decode_nearest_color(picture)
        decoded, nearest = class_pixel_counts(np.stack([label, nearest_label]))
        statistics.append(
            LabelStatistics(
                np.bincount(reasons.reshape(-1), minlength=len(label_decoder.IgnoreReason)),
                decoded,
                nearest,
                class_pixel_counts(ground_truth[None])[0] * (full_size_label is not None),
                int((label == ground_truth)[in_both].sum()),
                int(in_both.sum()),
            )
        )
        if on_progress:
            on_progress(done, len(files))
    return reduce(add, statistics)


def class_shares(label: np.ndarray, classes: int = len(cityscapes.CLASSES)) -> tuple[np.ndarray, float]:
    """Compute class frequencies.

    Args:
        label: n x H x W uint8 train ids, or one H x W label.
        classes: K, the number of classes.

    Returns:
        The share of each class among the pixels with a class (K values), and the share of ignored pixels.
    """
    # one image at a time, because bincount widens its argument to eight bytes per pixel
    counts = np.sum([np.bincount(part.reshape(-1), minlength=256) for part in label], axis=0)
    class_counts = counts[:classes]
    return class_counts / max(class_counts.sum(), 1), float(counts[cityscapes.IGNORE] / max(counts.sum(), 1))
