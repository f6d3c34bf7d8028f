"""A mask from an exported network, without this package: python examples/onnx_inference.py fcn.onnx photo.jpg
mask.png

`python -m seg predict` says otherwise on up to 0.9 % of the pixels, along outlines: it brings up scores
before it decides, where this brings up the mask (0.2 %), and on many processors it computes in bf16, where
this computes in fp32.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

if len(sys.argv) != 4:
    sys.exit("Name three files: the network (exported with --photo-in), the photo, and the mask to write.")
try:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    photo = ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB")
except Exception as error:  # ONNX Runtime has kinds of its own
    sys.exit(f"A file cannot be read: {error}")
metadata = session.get_modelmeta().custom_metadata_map
if session.get_inputs()[0].name != "photo" or "resize_mode" not in metadata:
    sys.exit(
        f"{sys.argv[1]} takes no photos: make it with python -m seg export NAME --photo-in --out"
        f" {sys.argv[1]}"
    )

# the working resolution: working_height pixels high, or covering a box twice as wide as that, within limits
width, height = photo.size
high = int(metadata["working_height"])
scale = high / height if metadata["resize_mode"] == "fit_height" else max(high / height, 2 * high / width)
scale = min(
    scale,
    (int(metadata["max_pixels"]) / (width * height)) ** 0.5,
    int(metadata["max_side"]) / max(width, height),
)
size = max(1, round(width * scale)), max(1, round(height * scale))
working = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)

ids = session.run(None, {"photo": np.asarray(working)[None]})[-1][
    0
]  # Cityscapes train ids, of the last variant in the file
try:
    Image.fromarray(ids).resize(photo.size, Image.Resampling.NEAREST).save(sys.argv[3])
except (OSError, ValueError) as error:  # ValueError: an ending that Pillow does not know
    sys.exit(f"The mask cannot be written: {error}")
