#!/bin/sh
# Render a data set, train FCN-32s, 16s and 8s on it and publish the result. Minutes on a CPU; the network learns rendered
# streets only. Usage: sh examples/train_on_scenes.sh [PAIRS [EPOCHS [HEIGHT]]]
set -eu
pairs=${1:-200} epochs=${2:-3} height=${3:-128}
python=${PYTHON:-python}

"$python" -m seg data render --to data/scenes --train "$pairs" --val $((pairs / 5 + 1))
"$python" -m seg train --data data/scenes --out runs/scenes --init-from fcn-resnet50-cityscapes \
    --epochs "$epochs" --height "$height" --batch-size 4 --holdout $((pairs / 10 + 1)) --warmup 10 --lr 5e-4 --encoder-lr 5e-5
"$python" -m seg publish runs/scenes --name fcn-resnet50-scenes --height "$height"
"$python" -m seg weights show fcn-resnet50-scenes
