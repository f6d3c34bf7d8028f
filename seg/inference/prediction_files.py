"""Reading of one photo, and writing of its predictions: ``STEM.VARIANT.png``, on request
``STEM.VARIANT.labelIds.png`` and ``STEM.VARIANT.confidence.png``, and finally ``STEM.json``.

This module does not import PyTorch, so worker processes stay small and start quickly.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from seg.data import archives
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.image_io import READING_SECONDS, PhotoError, read_photo
from seg.data.label_import import photo_of_pair
from seg.errors import user_message
from seg.inference import mask_io
from seg.system.atomic_io import write_atomic, write_json
from seg.system.resource_limits import processor_time_limit

ExtraFile = Literal["labelIds", "confidence"]
"""Files beside a mask that are written on request: Cityscapes label ids, and the confidence."""


def extra_file(target: str, variant: str, kind: ExtraFile) -> Path:
    """Return the path of a file beside a mask.

    Args:
        target: path prefix of the files.
        variant: the variant.
        kind: which file.
    """
    return Path(f"{target}.{variant}.{kind}.png")


def file_fingerprint(source: str) -> dict[str, int]:
    """Return the size in bytes and the modification time in nanoseconds of a file.

    Raises:
        OSError: if the file cannot be accessed.
    """
    stat = os.stat(source)
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns}


def read(source: str, member: str = "") -> tuple[Image.Image, dict[str, int], float]:
    """Read a photo from a picture file, or from a file in a zip.

    Call it in a worker process: the system ends a process that reads for more than `READING_SECONDS`.

    Args:
        source: path of the file.
        member: name of the picture in the zip `source`; empty if `source` is the picture.

    Returns:
        The photo, of a pair without its label; the `file_fingerprint` of `source`; and the seconds that
        reading took.

    Raises:
        PhotoError: if the file cannot be read as a picture.
    """
    start = time.perf_counter()
    try:
        # before reading, so that a file that changes now is predicted again
        fingerprint = file_fingerprint(source)
    except OSError:
        fingerprint = {}  # read_photo raises an error with a message
    with processor_time_limit(READING_SECONDS):
        if member:
            try:
                photo = read_photo(archives.read_member(Path(source), member))
            except (archives.ArchiveError, OSError) as error:
                raise PhotoError(user_message(error)) from None
        else:
            photo = read_photo(Path(source))
        photo = photo_of_pair(photo) or photo
    return photo, fingerprint, time.perf_counter() - start


def write(
    target: str,
    masks: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    stale_variants: Sequence[str] = (),
    label_ids: bool = False,
    confidences: Mapping[str, np.ndarray] | None = None,
    classes: ClassSet = CITYSCAPES,
) -> float:
    """Write the masks and the metadata of one photo.

    The JSON file exists only if the masks beside it are those that it describes.

    Args:
        target: path prefix of the files.
        masks: H x W uint8 train ids by variant.
        metadata: JSON values; the class shares of each mask are added.
        stale_variants: variants whose masks an earlier prediction may have left; they are deleted.
        label_ids: whether to write the masks with Cityscapes label ids, too.
        confidences: H x W from 0 to 1 by variant, if they are to be written. Extra files of earlier
            predictions are deleted.
        classes: the classes of the masks.

    Returns:
        The seconds that writing took.

    Raises:
        OSError: if a file cannot be written.
    """
    start = time.perf_counter()
    metadata_file = Path(f"{target}.json")
    metadata_file.parent.mkdir(parents=True, exist_ok=True)
    metadata_file.unlink(missing_ok=True)
    for variant in stale_variants:
        Path(f"{target}.{variant}.png").unlink(missing_ok=True)
    for variant in (*stale_variants, *masks):
        for kind in get_args(ExtraFile):
            extra_file(target, variant, kind).unlink(missing_ok=True)
    for variant, mask in masks.items():
        write_atomic(Path(f"{target}.{variant}.png"), mask_io.png(mask, classes))
        if label_ids:
            write_atomic(extra_file(target, variant, "labelIds"), mask_io.label_ids_png(mask))
    for variant, confidence in (confidences or {}).items():
        write_atomic(extra_file(target, variant, "confidence"), mask_io.confidence_png(confidence))
    shares = {variant: mask_io.shares(mask, classes) for variant, mask in masks.items()}
    write_json(metadata_file, {**metadata, "shares": shares})
    return time.perf_counter() - start
