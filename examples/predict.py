"""Segment a photo with the shipped FCN-8s and save the mask: ``python examples/predict.py street.jpg
mask.png``."""

import sys

from seg import Predictor, StreetFCNError
from seg.data.cityscapes import NAMES

if len(sys.argv) != 3:
    sys.exit("Name two files: the photo and the mask to write.")
try:
    prediction = Predictor.from_pretrained("fcn-resnet50-cityscapes").predict(sys.argv[1])
except StreetFCNError as error:
    sys.exit(str(error))

mask = prediction.masks["8s"]  # H x W uint8 train ids
for train_id, name in enumerate(NAMES):
    share = (mask == train_id).mean()
    if share >= 0.01:
        print(f"{name:15}{share:6.1%}")
prediction.to_image("8s").save(sys.argv[2])
