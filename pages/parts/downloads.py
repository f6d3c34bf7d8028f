"""The files that a page hands out for one photo; knows nothing of Streamlit."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from seg import masks
from seg.photo import read_photo


@dataclass(frozen=True)
class Kind:
    """A kind of file that a mask is handed out as."""

    label: str
    ending: str  # after the photo's stem and the mask's name
    mime: str
    help: str


KINDS = {
    "mask": Kind("Mask", "png", "image/png", "Indexed PNG of the photo's own size; its indices are the Cityscapes train ids."),
    "colours": Kind("Colours", "colours.png", "image/png", "RGB PNG in the Cityscapes colours."),
    "overlay": Kind("Overlay", "overlay.png", "image/png", "The colours over the photo at 60 %, full size, as a PNG."),
    "confidence": Kind("Confidence", "confidence.png", "image/png", "16-bit grey PNG: 65535 is 100 %."),
    "coco": Kind("COCO", "coco.json", "application/json", "COCO annotations: run lengths of each class, holes kept."),
}
OPACITY = 0.6
"""Of the overlays."""


def safe_stem(name: str) -> str:
    """An uploaded file's name -> a stem that is a harmless file name on every system."""
    base = re.split(r"[/\\]", name)[-1]
    stem = base.rsplit(".", 1)[0] if "." in base.lstrip(".") else base
    return re.sub(r"[^\w .-]", "_", stem).strip(" .")[:80] or "photo"


def make(kind: str, name: str, data: bytes, mask: bytes, confidence: bytes) -> bytes:
    """One of `KINDS` of a photo's mask, from name and file of the photo and from the PNGs of mask and confidence."""
    if kind in ("mask", "confidence"):
        return mask if kind == "mask" else confidence
    ids = masks.read_png(mask)
    if kind == "colours":
        return masks.color_png(ids)
    if kind == "coco":
        return json.dumps(masks.coco(ids, name)).encode()
    out = io.BytesIO()
    Image.fromarray(masks.overlay(np.asarray(read_photo(data)), ids, OPACITY)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def shares_csv(shares: Mapping[str, Mapping[str, float]]) -> str:
    """One row per class that any mask has, one column of shares (0-1) per mask."""
    classes = dict.fromkeys(name for of_mask in shares.values() for name in of_mask)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["class", *shares])
    rows.writerows([name, *(f"{of_mask.get(name, 0):.6f}" for of_mask in shares.values())] for name in classes)
    return out.getvalue()


def bundle(
    name: str,
    data: bytes,
    found: Mapping[str, tuple[bytes, bytes]],
    shares: Mapping[str, Mapping[str, float]],
    record: Mapping[str, Any],
) -> bytes:
    """A zip of every mask in every kind, the class shares as CSV, and `record` as JSON.

    `found` has the PNGs of mask and confidence by the mask's name.
    """
    stem = safe_stem(name)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for id, (mask, confidence) in found.items():
            for kind, what in KINDS.items():
                packed = zipfile.ZIP_DEFLATED if kind == "coco" else zipfile.ZIP_STORED  # PNGs are deflated
                content = make(kind, name, data, mask, confidence)
                archive.writestr(f"{stem}.{id}.{what.ending}", content, compress_type=packed)
        archive.writestr(f"{stem}.shares.csv", shares_csv(shares))
        archive.writestr(f"{stem}.json", json.dumps(record, indent=1) + "\n")
    return out.getvalue()
