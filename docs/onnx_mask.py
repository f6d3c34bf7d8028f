"""A mask from an exported network, without this package: python docs/onnx_mask.py fcn.onnx photo.jpg mask.png"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])  # exported with --photo-in
photo = Image.open(sys.argv[2]).convert("RGB")
height = int(session.get_modelmeta().custom_metadata_map["working_height"])
working = photo.resize((round(height * photo.width / photo.height), height), Image.Resampling.BILINEAR)
ids = session.run(None, {"photo": np.asarray(working)[None]})[-1][0]  # the finest network's Cityscapes train ids
Image.fromarray(ids).resize(photo.size, Image.Resampling.NEAREST).save(sys.argv[3])
