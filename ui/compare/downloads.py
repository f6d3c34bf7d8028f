"""Download files of a photo's masks: PNG, COCO, CSV and zip. Independent of Streamlit."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.inference import annotation_tools, mask_io, redaction
from seg.system.csv_table import csv_bytes
from seg.system.file_names import sanitize_name
from seg.system.request_queue import RequestQueue
from seg.system.single_flight import SingleFlight
from ui.shared import rate_limit
from ui.state.photos import reader


@dataclass(frozen=True)
class Kind:
    """A file format for masks."""

    label: str
    ending: str  # after the photo's stem and the mask's name
    mime: str
    help: str


KINDS = {
    "mask": Kind(
        "Mask",
        "png",
        "image/png",
        "Indexed PNG of the photo's own size. The indices are train ids, the order of the classes.",
    ),
    "colors": Kind("Colors", "colors.png", "image/png", "RGB PNG in the colors of the classes."),
    "overlay": Kind(
        "Overlay", "overlay.png", "image/png", "PNG of the photo with the class colors at 60 % opacity."
    ),
    "blurred": Kind(
        "Blurred photo",
        "blurred.jpg",
        "image/jpeg",
        "The photo with people and vehicles of the mask blurred. What the network misses stays visible: look"
        " before you publish it.",
    ),
    "confidence": Kind("Confidence", "confidence.png", "image/png", "16-bit grayscale PNG: 65535 is 100 %."),
    "coco": Kind(
        "COCO", "coco.json", "application/json", "COCO annotations: one run-length encoded mask per class."
    ),
    "polygons": Kind(
        "COCO polygons",
        "polygons.json",
        "application/json",
        "COCO annotations with iscrowd 0: polygons of every connected segment of a class.",
    ),
    "cvat": Kind(
        "CVAT",
        "cvat.xml",
        "application/xml",
        "CVAT for images 1.1: one mask per class, for corrections.",
    ),
    "label_studio": Kind(
        "Label Studio",
        "label-studio.json",
        "application/json",
        "A Label Studio task whose prediction has one brush region per class, for corrections.",
    ),
    "label_ids": Kind(
        "Label ids",
        "labelIds.png",
        "image/png",
        "Grayscale PNG of Cityscapes label ids, as the Cityscapes benchmark expects it.",
    ),
}
MODEL = "street-fcn"
"""Version of the model in Label Studio's predictions."""

OPACITY = 0.6
"""Opacity of the class colors in overlays."""


_ENCODING, _SINGLE_FLIGHT = RequestQueue(rate_limit.MAX_QUEUE), SingleFlight()


def safe_stem(name: str) -> str:
    """Return the stem of an uploaded file's name with only characters that are safe on every system."""
    return sanitize_name(name).rpartition("/")[2]


def kinds_of(classes: ClassSet) -> dict[str, Kind]:
    """Return the file formats for masks of some classes."""
    offered = {"label_ids": classes == CITYSCAPES, "blurred": redaction.has_private_classes(classes)}
    return {key: kind for key, kind in KINDS.items() if offered.get(key, True)}


def make(
    kind: str, name: str, data: bytes, mask: bytes, confidence: bytes, classes: ClassSet = CITYSCAPES
) -> bytes:
    """Encode a mask as a download file.

    Args:
        kind: Key of `KINDS`.
        name: File name of the photo.
        data: File of the photo.
        mask: Indexed PNG of train ids.
        confidence: 16-bit PNG.
        classes: Classes of the mask.
    """
    if kind in ("mask", "confidence"):
        return mask if kind == "mask" else confidence
    ids = mask_io.read_png(mask)
    if kind == "colors":
        return mask_io.color_png(ids, classes)
    if kind == "coco":
        return json.dumps(mask_io.coco(ids, name, classes)).encode()
    if kind == "polygons":
        return json.dumps(mask_io.coco_polygons(ids, name, classes)).encode()
    if kind == "cvat":
        return annotation_tools.cvat_xml(ids, name, classes)
    if kind == "label_studio":
        return json.dumps(annotation_tools.label_studio(ids, name, MODEL, classes)).encode()
    if kind == "label_ids":
        return mask_io.label_ids_png(ids)
    out = io.BytesIO()
    with reader.photo(data) as photo:
        if kind == "blurred":
            Image.fromarray(redaction.blur_private(np.asarray(photo), ids, classes)).save(
                out, "JPEG", quality=92
            )
        else:
            overlay = mask_io.overlay(np.asarray(photo), ids, OPACITY, classes)
            Image.fromarray(overlay).save(out, "PNG", compress_level=1)
    return out.getvalue()


def shares_csv(shares: Mapping[str, Mapping[str, float]]) -> bytes:
    """Return a CSV with a row per class that occurs and a column of shares (0 to 1) per mask."""
    classes = dict.fromkeys(name for of_mask in shares.values() for name in of_mask)
    rows = [[name, *(f"{of_mask.get(name, 0):.6f}" for of_mask in shares.values())] for name in classes]
    return csv_bytes([["class", *shares], *rows])


def bundle(
    name: str,
    data: bytes,
    pngs: Mapping[str, tuple[bytes, bytes]],
    classes: Mapping[str, ClassSet],
    shares: Mapping[str, Mapping[str, float]],
    record: Mapping[str, Any],
) -> bytes:
    """Return a zip of every mask in every format, the class shares as CSV and the metadata as JSON.

    Args:
        name: File name of the photo.
        data: File of the photo.
        pngs: Mask and confidence PNG by the id of the mask.
        classes: Classes by the id of the mask.
        shares: Class shares (0 to 1) by the id of the mask.
        record: Metadata of the prediction.
    """
    stem = safe_stem(name)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for id, (mask, confidence) in pngs.items():
            for kind, info in kinds_of(classes[id]).items():
                compression = (
                    zipfile.ZIP_DEFLATED if info.ending.endswith(("json", "xml")) else zipfile.ZIP_STORED
                )  # PNGs are compressed already
                content = make(kind, name, data, mask, confidence, classes[id])
                archive.writestr(_entry(f"{stem}.{id}.{info.ending}", compression), content)
        archive.writestr(_entry(f"{stem}.shares.csv"), shares_csv(shares))
        archive.writestr(_entry(f"{stem}.json"), json.dumps(record, indent=1) + "\n")
    return out.getvalue()


def _entry(name: str, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """Return the entry of a file in a zip. Its time is constant: equal zips are stored once."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = compression, 0o600 << 16
    return entry


def encode_in_turn(key: tuple, encode: Callable[[], bytes]) -> bytes:
    """Encode a download, one at a time for all visitors; equal ones that are requested meanwhile share it.

    Args:
        key: Identifies the content.
        encode: Encodes the file.

    Raises:
        QueueFullError: Too many downloads are waiting.
    """

    def in_turn() -> bytes:
        with _ENCODING.acquire():
            return encode()

    return _SINGLE_FLIGHT.do(key, in_turn)
