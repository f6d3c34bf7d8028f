"""The strip of a run: the same photos after every epoch."""

import numpy as np
import pytest
from PIL import Image

from seg import dataset, masks, strip, train
from seg.recipe import TrainConfig


@pytest.mark.parametrize("holdout", [3, 0])
def test_every_epoch_leaves_the_masks_of_the_same_photos(pairs, tmp_path, holdout):
    run = tmp_path / "run"
    train.train(TrainConfig(data=pairs, out=run, encoder_weights="none", epochs=2, batch_size=6, height=32, holdout=holdout))
    assert list(strip.epochs(run)) == [1, 2]
    split = dataset.load(pairs, "train")
    shown = [11, 12, 13] if holdout else [0, 4, 9, 13]
    assert len(strip.photos(run)) == len(shown)
    for number, ((photo, truth), index) in enumerate(zip(strip.photos(run), shown, strict=True)):
        assert np.array_equal(masks.read_png(truth.read_bytes()), split.labels[index])
        with Image.open(photo) as picture:
            assert picture.size == (512, 256)
        for folder in strip.epochs(run).values():
            for variant in ("32s", "16s", "8s"):
                assert masks.read_png((folder / f"{number}.{variant}.png").read_bytes()).shape == (256, 256)
    assert not list((run / "strip").glob(".*"))
    assert strip.epochs(tmp_path) == {} and strip.photos(tmp_path) == []
