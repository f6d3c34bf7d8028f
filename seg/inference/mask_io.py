"""Conversion of masks (H x W uint8 train ids) to PNG, COCO and overlays, and their class shares.

No function creates an H x W x K array, because masks of 12 megapixels are common.
"""

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from seg.data.cityscapes import CITYSCAPES, LABEL_IDS
from seg.data.classes import ClassSet
from seg.data.photo_files import MASK_COMMENT
from seg.inference.polygons import outline_segments


def png(mask: np.ndarray, classes: ClassSet = CITYSCAPES) -> bytes:
    """Encode a mask as an 8-bit indexed PNG whose indices are the train ids.

    The encoding is lossless; `read_png` reads it back. Ids without a class (255, ignored) are shown black.

    Args:
        mask: H x W uint8 train ids.
        classes: the classes of the ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    out = io.BytesIO()
    comment = None
    if classes != CITYSCAPES:  # whose palette identifies a mask
        comment = PngInfo()
        comment.add_text("Comment", MASK_COMMENT)
    indexed_image(mask, classes).save(out, "PNG", pnginfo=comment)
    return out.getvalue()


def indexed_image(mask: np.ndarray, classes: ClassSet = CITYSCAPES) -> Image.Image:
    """Return a mask as an indexed picture (mode P) with the colors of its classes.

    Args:
        mask: H x W uint8 train ids.
        classes: the classes of the ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    picture = Image.fromarray(mask)
    # 256 entries: an index without one breaks the PNG
    picture.putpalette(classes.colorize(np.arange(256)).tobytes())
    return picture


def color_png(mask: np.ndarray, classes: ClassSet = CITYSCAPES) -> bytes:
    """Encode a mask as an RGB PNG in the colors of its classes, with ignored pixels black.

    Args:
        mask: H x W uint8 train ids.
        classes: the classes of the ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    out = io.BytesIO()
    Image.fromarray(classes.colorize(mask)).save(out, "PNG")
    return out.getvalue()


def confidence_png(confidence: np.ndarray) -> bytes:
    """Encode an H x W confidence from 0 to 1 as a 16-bit gray PNG, scaled to 0-65535."""
    out = io.BytesIO()
    Image.fromarray(np.rint(confidence.astype(np.float32) * 65535).astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def coco(mask: np.ndarray, file_name: str, classes: ClassSet = CITYSCAPES) -> dict[str, Any]:
    """Convert a mask to the contents of a COCO annotation file (cocodataset.org, "Data format").

    Args:
        mask: H x W uint8 train ids.
        file_name: name of the photo.
        classes: the classes of the ids.

    Returns:
        JSON values with one annotation per class present, as uncompressed run lengths, so holes are kept.
        Category ids are train ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    annotations: list[dict[str, Any]] = []
    for k in _ids_in(mask, classes):
        is_class = mask == k
        columns = np.flatnonzero(is_class.any(0))
        rows = np.flatnonzero(is_class.any(1))
        counts = alternating_lengths(is_class.ravel("F"))  # column by column
        annotations.append(
            {
                "category_id": k,
                "iscrowd": 1,  # COCO's flag for run lengths instead of polygons
                "segmentation": {"size": list(mask.shape), "counts": counts},
                "area": int(is_class.sum()),
                "bbox": [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1],
            }
        )
    return _coco_file(mask, file_name, annotations, classes)


def coco_polygons(mask: np.ndarray, file_name: str, classes: ClassSet = CITYSCAPES) -> dict[str, Any]:
    """Convert a mask to a COCO annotation file with polygons and ``iscrowd`` 0.

    Args:
        mask: H x W uint8 train ids.
        file_name: name of the photo.
        classes: the classes of the ids.

    Returns:
        JSON values with one annotation per connected segment of a class. Category ids are train ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    annotations = [
        {
            "category_id": k,
            "iscrowd": 0,
            "segmentation": segment.polygons,
            "area": segment.area,
            "bbox": list(segment.box),
        }
        for k in _ids_in(mask, classes)
        for segment in outline_segments(mask == k)
    ]
    return _coco_file(mask, file_name, annotations, classes)


def label_ids_png(mask: np.ndarray) -> bytes:
    """Encode a mask as a gray PNG of Cityscapes label ids, as the Cityscapes benchmark expects it.

    Pixels without a class get the id 0, unlabeled.

    Args:
        mask: H x W uint8 train ids.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    table = np.zeros(256, np.uint8)
    table[: len(LABEL_IDS)] = LABEL_IDS
    out = io.BytesIO()
    Image.fromarray(table[mask]).save(out, "PNG")
    return out.getvalue()


def _ids_in(mask: np.ndarray, classes: ClassSet) -> list[int]:
    return np.unique(mask[mask < len(classes)]).tolist()


def _coco_file(
    mask: np.ndarray, file_name: str, annotations: list[dict[str, Any]], classes: ClassSet
) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": file_name, "width": mask.shape[1], "height": mask.shape[0]}],
        "categories": [
            {"id": k, "name": c.name, "supercategory": c.category} for k, c in enumerate(classes.classes)
        ],
        "annotations": [
            {"id": number, "image_id": 1} | annotation for number, annotation in enumerate(annotations, 1)
        ],
    }


def alternating_lengths(flat: np.ndarray) -> list[int]:
    """Return the lengths of the alternating runs outside and inside of a class, of N bool pixels; the first
    may be 0."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return [0, *counts] if flat[0] else counts


def read_png(data: bytes) -> np.ndarray:
    """Decode an indexed or 8-bit gray PNG of train ids.

    Args:
        data: contents of the file.

    Returns:
        The indices or gray values, H x W uint8.

    Raises:
        ValueError: for any other file, including color pictures, whose colors are not ids.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=["PNG"])
        picture.load()
    except Exception as error:  # Pillow raises many unrelated types for broken files
        raise ValueError("this is not a whole PNG file") from error
    if picture.mode not in ("P", "L"):
        raise ValueError(f"a mask must be an indexed or 8-bit gray PNG; this file has mode {picture.mode}")
    return np.array(picture)


def shares(mask: np.ndarray, classes: ClassSet = CITYSCAPES) -> dict[str, float]:
    """Compute the share of pixels (0-1) that each class covers.

    Ignored pixels (255) belong to no class but count as pixels, so with them the shares add up to less than
    1.

    Args:
        mask: H x W uint8 train ids.
        classes: the classes of the ids.

    Returns:
        Share by class name, for the classes present, in descending order.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    check_mask(mask)
    # unlike bincount, a histogram does not widen the bytes
    counts = np.array(Image.fromarray(mask).histogram()[: len(classes)])
    order = np.argsort(-counts, kind="stable")
    return {classes.names[k]: float(counts[k] / mask.size) for k in order if counts[k]}


def overlay(
    photo: np.ndarray, mask: np.ndarray, opacity: float, classes: ClassSet = CITYSCAPES
) -> np.ndarray:
    """Blend the colors of a mask with its photo.

    Args:
        photo: H x W x 3 uint8.
        mask: H x W uint8 train ids.
        opacity: 0 returns the photo and 1 the mask's colors, exactly.
        classes: the classes of the ids.

    Returns:
        The blend, H x W x 3 uint8.

    Raises:
        ValueError: if the shapes differ or the opacity is outside 0-1.
    """
    check_mask(mask)
    if photo.dtype != np.uint8 or photo.shape != (*mask.shape, 3):
        raise ValueError(
            f"the mask is {mask.shape}, so the photo must be {(*mask.shape, 3)} uint8, not {photo.shape}"
            f" {photo.dtype}"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity goes from 0 to 1; it was {opacity}")
    return np.array(Image.blend(Image.fromarray(photo), Image.fromarray(classes.colorize(mask)), opacity))


def check_mask(mask: np.ndarray) -> None:
    """Raise ValueError unless an array is a mask: H x W uint8 with at least one pixel."""
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask must be HxW uint8 with at least one pixel, not {mask.shape} {mask.dtype}")
