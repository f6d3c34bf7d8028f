"""Masks as files that annotation tools import, to be corrected there: CVAT and Label Studio."""

from typing import Any
from xml.etree import ElementTree

import numpy as np

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.errors import printable
from seg.inference.mask_io import alternating_lengths, check_mask

_WORD_BITS, _LENGTH_BITS = 8, (3, 4, 8, 16)
"""Bits of a value, and the sizes of a run's length, in Label Studio's run lengths."""


def cvat_xml(mask: np.ndarray, file_name: str, classes: ClassSet = CITYSCAPES) -> bytes:
    """Convert a mask to an annotation file "CVAT for images 1.1", with one mask per class.

    Source of the format: CVAT documentation, "CVAT annotation format".

    Args:
        mask: H x W uint8 train ids.
        file_name: name of the photo, as in the task.
        classes: the classes of the ids; the task needs labels with their names.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    height, width = mask.shape
    size = {"width": str(width), "height": str(height)}
    image = ElementTree.SubElement(root, "image", {"id": "0", "name": printable(file_name), **size})
    for name, is_class in _classes_in(mask, classes):
        rows, columns = np.flatnonzero(is_class.any(1)), np.flatnonzero(is_class.any(0))
        part = is_class[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        lengths = alternating_lengths(part.ravel())
        box = {"left": columns[0], "top": rows[0], "width": part.shape[1], "height": part.shape[0]}
        attributes = {
            "label": name,
            "source": "auto",
            "occluded": "0",
            "rle": ", ".join(map(str, lengths)),
            **{key: str(value) for key, value in box.items()},
            "z_order": "0",
        }
        ElementTree.SubElement(image, "mask", attributes)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True)


def label_studio(
    mask: np.ndarray, file_name: str, model: str, classes: ClassSet = CITYSCAPES
) -> list[dict[str, Any]]:
    """Convert a mask to a Label Studio task with a prediction, with one brush region per class.

    The labeling interface of the project needs ``<Image name="image" value="$image"/>`` and ``<BrushLabels
    name="tag" toName="image">`` with the names of the classes. Source of the format: Label Studio
    documentation, "Import pre-annotated data", and its reference of BrushLabels.

    Args:
        mask: H x W uint8 train ids.
        file_name: name of the photo; Label Studio expects its address there.
        model: version of the model, for the prediction.
        classes: the classes of the ids.

    Returns:
        JSON values with one task.

    Raises:
        ValueError: if `mask` is not a mask.
    """
    regions = [
        {
            "id": f"region-{number}",
            "type": "brushlabels",
            "from_name": "tag",
            "to_name": "image",
            "original_width": mask.shape[1],
            "original_height": mask.shape[0],
            "image_rotation": 0,
            "value": {"format": "rle", "rle": _packed_runs(is_class), "brushlabels": [name]},
        }
        for number, (name, is_class) in enumerate(_classes_in(mask, classes), 1)
    ]
    prediction = {"model_version": model, "result": regions}
    return [{"data": {"image": file_name}, "predictions": [prediction]}]


def _classes_in(mask: np.ndarray, classes: ClassSet) -> list[tuple[str, np.ndarray]]:
    """Return the name and the H x W bool pixels of each class that occurs."""
    check_mask(mask)
    present = np.unique(mask[mask < len(classes)])
    return [(classes.names[k], mask == k) for k in present.tolist()]


def _packed_runs(is_class: np.ndarray) -> list[int]:
    """Return the bytes of Label Studio's run lengths of an RGBA picture in which all channels are 255 in the
    class and 0 outside.

    A header (count of values, word size, sizes of lengths) is followed by runs: a bit that says whether it is
    one, two bits for the size of its length, its length less one, and its value.
    """
    flat = is_class.ravel()
    header = [f"{4 * flat.size:032b}", f"{_WORD_BITS - 1:05b}", *(f"{bits - 1:04b}" for bits in _LENGTH_BITS)]
    value, longest = False, 2 ** _LENGTH_BITS[-1]
    runs = []
    for length in alternating_lengths(flat):
        remaining, word = 4 * length, f"{255 * value:0{_WORD_BITS}b}"
        while remaining:
            part = min(remaining, longest)
            size = next(i for i, bits in enumerate(_LENGTH_BITS) if part <= 2**bits)
            runs.append(f"1{size:02b}{part - 1:0{_LENGTH_BITS[size]}b}{word}")
            remaining -= part
        value = not value
    bits = "".join((*header, *runs))
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
