"""What a mask (a prediction, HxW uint8 train ids) is written as, and what is counted in one or between several.

This module knows nothing about networks or where a mask came from. Nothing here makes an HxWxK array: masks of 12 megapixels
are ordinary.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from seg.labels import CLASSES, NAMES, colorize
from seg.metrics import confusion


def png(mask: np.ndarray) -> bytes:
    """HxW uint8 -> an 8-bit indexed PNG of that size whose indices are the train ids.

    Its palette is the Cityscapes colours; ids that are no class (255, ignored) are kept and shown black. Lossless: read it back
    with ``read_png``. Raises ValueError if ``mask`` is no mask.
    """
    _check(mask)
    picture = Image.fromarray(mask)
    picture.putpalette(colorize(np.arange(256)).tobytes())  # 256 entries: an index without one breaks the PNG
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def color_png(mask: np.ndarray) -> bytes:
    """HxW uint8 -> an RGB PNG in the Cityscapes colours, ignored pixels black. Raises ValueError if ``mask`` is no mask."""
    _check(mask)
    out = io.BytesIO()
    Image.fromarray(colorize(mask)).save(out, "PNG")
    return out.getvalue()


def confidence_png(confidence: np.ndarray) -> bytes:
    """HxW of 0-1 -> a 16-bit grey PNG of 65535 times that."""
    out = io.BytesIO()
    Image.fromarray(np.rint(confidence.astype(np.float32) * 65535).astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def coco(mask: np.ndarray, file_name: str) -> dict[str, Any]:
    """HxW uint8 -> a COCO annotation file (cocodataset.org, "Data format") of ``file_name``'s photo, for `json`.

    One annotation a class present, as uncompressed run lengths, so holes are kept; category ids are train ids. Raises
    ValueError if ``mask`` is no mask.
    """
    _check(mask)
    annotations: list[dict[str, Any]] = []
    for k in np.unique(mask[mask < len(CLASSES)]).tolist():
        of_class = mask == k
        column = np.flatnonzero(of_class.any(0))
        row = np.flatnonzero(of_class.any(1))
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": k,
                "iscrowd": 1,  # COCO's word for run lengths instead of polygons
                "segmentation": {"size": list(mask.shape), "counts": _run_lengths(of_class)},
                "area": int(of_class.sum()),
                "bbox": [int(column[0]), int(row[0]), int(np.ptp(column)) + 1, int(np.ptp(row)) + 1],
            }
        )
    return {
        "images": [{"id": 1, "file_name": file_name, "width": mask.shape[1], "height": mask.shape[0]}],
        "categories": [{"id": k, "name": c.name, "supercategory": c.category} for k, c in enumerate(CLASSES)],
        "annotations": annotations,
    }


def _run_lengths(of_class: np.ndarray) -> list[int]:
    """HxW bool -> how many pixels are not, then are, then are not …, column by column."""
    flat = of_class.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return [0, *counts] if flat[0] else counts


def read_png(data: bytes) -> np.ndarray:
    """An indexed or 8-bit grey PNG of train ids -> HxW uint8: the indices or grey values as they are.

    Raises ValueError for anything else, a colour picture too: its colours are no ids.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=["PNG"])
        picture.load()
    except Exception as error:  # Pillow raises half a dozen kinds for broken files
        raise ValueError("this is not a whole PNG file") from error
    if picture.mode not in ("P", "L"):
        raise ValueError(f"a mask is an indexed or 8-bit grey PNG; this one has mode {picture.mode}")
    return np.array(picture)


def shares(mask: np.ndarray) -> dict[str, float]:
    """The share of the mask's pixels (0-1) each class covers: name -> share, present classes only, the largest first.

    Ignored pixels (255) are in no class but count as pixels, so with them the shares add up to less than 1.
    Raises ValueError if ``mask`` is no mask.
    """
    _check(mask)
    counts = np.array(Image.fromarray(mask).histogram()[: len(CLASSES)])  # counts bytes without widening them, as bincount would
    return {NAMES[k]: float(counts[k] / mask.size) for k in np.argsort(-counts, kind="stable") if counts[k]}


def overlay(photo: np.ndarray, mask: np.ndarray, opacity: float) -> np.ndarray:
    """The mask's colours laid over the photo: HxWx3 uint8, HxW -> HxWx3 uint8.

    ``opacity`` 0 gives the photo, 1 the colours, exactly. Raises ValueError for shapes that do not fit and opacities outside 0-1.
    """
    _check(mask)
    if photo.dtype != np.uint8 or photo.shape != (*mask.shape, 3):
        raise ValueError(
            f"the mask is {mask.shape}, so the photo must be {(*mask.shape, 3)} uint8, not {photo.shape} {photo.dtype}"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity goes from 0 to 1; it was {opacity}")
    return np.array(Image.blend(Image.fromarray(photo), Image.fromarray(colorize(mask)), opacity))


def disagreement(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """How many classes the masks name for each pixel, minus 1: HxW uint8, 0 where all agree.

    Raises ValueError if there is no mask, or if their shapes differ.
    """
    if not masks:
        raise ValueError("there are no masks to compare")
    for mask in masks.values():
        _check(mask)
    if len({m.shape for m in masks.values()}) > 1:
        raise ValueError(f"masks to compare must have one shape: {', '.join(f'{n} is {m.shape}' for n, m in masks.items())}")
    first, *others = masks.values()
    seen, more = [first], np.zeros(first.shape, np.uint8)
    for mask in others:
        new = mask != seen[0]
        for earlier in seen[1:]:
            new &= mask != earlier
        more += new
        seen.append(mask)
    return more


def disagreement_share(masks: Mapping[str, np.ndarray]) -> float:
    """The share of the pixels (0-1) on which not all masks agree. Raises ValueError as ``disagreement`` does."""
    more = disagreement(masks)
    return np.count_nonzero(more) / more.size


def disagreement_matrix(a: np.ndarray, b: np.ndarray, classes: int = len(CLASSES)) -> np.ndarray:
    """Where two masks differ, as what: KxK float, [i, j] the share of the pixels that ``a`` calls i and ``b`` calls j; sums to 1.

    Raises ValueError for shapes that differ and for ids that are no class.
    """
    for mask in (a, b):
        _check(mask)
        if mask.max() >= classes:
            raise ValueError(f"the id {mask.max()} is none of the {classes} classes")
    if a.shape != b.shape:
        raise ValueError(f"masks to compare must have one shape, not {a.shape} and {b.shape}")
    return confusion(a, b, classes) / a.size


def _check(mask: np.ndarray) -> None:
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask is HxW uint8 with at least one pixel, not {mask.shape} {mask.dtype}")
