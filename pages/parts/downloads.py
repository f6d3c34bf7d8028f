"""The files that a page hands out for one photo; knows nothing of Streamlit."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from seg import masks


def safe_stem(name: str) -> str:
    """An uploaded file's name -> a stem that is a harmless file name on every system."""
    base = re.split(r"[/\\]", name)[-1]
    stem = base.rsplit(".", 1)[0] if "." in base.lstrip(".") else base
    return re.sub(r"[^\w .-]", "_", stem).strip(" .")[:80] or "photo"


def shares_csv(shares: Mapping[str, Mapping[str, float]]) -> str:
    """One row per class that any variant found, one column of shares (0-1) per variant."""
    classes = dict.fromkeys(name for of_variant in shares.values() for name in of_variant)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["class", *shares])
    rows.writerows([name, *(f"{of_variant.get(name, 0):.6f}" for of_variant in shares.values())] for name in classes)
    return out.getvalue()


def bundle(
    stem: str,
    photo: Image.Image,
    pngs: Mapping[str, bytes],
    variants: Sequence[str],
    opacity: float,
    record: Mapping[str, Any],
) -> bytes:
    """A zip of each variant's mask and overlay, the class shares as CSV, and `record` as JSON.

    The masks are the exact indexed PNGs; the overlays are pictures to look at, so JPEG will do.
    """
    out = io.BytesIO()
    pixels = np.asarray(photo)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for variant in variants:
            archive.writestr(f"{stem}.{variant}.png", pngs[variant])
            picture = io.BytesIO()
            laid = masks.overlay(pixels, masks.read_png(pngs[variant]), opacity)
            Image.fromarray(laid).save(picture, "JPEG", quality=92, subsampling=0)
            archive.writestr(f"{stem}.{variant}.overlay.jpg", picture.getvalue())
        archive.writestr(f"{stem}.shares.csv", shares_csv({v: record["shares"][v] for v in variants}))
        archive.writestr(f"{stem}.json", json.dumps(record, indent=1) + "\n")
    return out.getvalue()
