"""The snapshots of a run: masks of the same photos at every evaluation."""

import numpy as np
import pytest
from PIL import Image

from seg.data.datasets import load_split
from seg.inference import mask_io
from seg.training import lifecycle, snapshots
from seg.training.config import TrainConfig


@pytest.mark.slow
@pytest.mark.parametrize("holdout", [3, 0])
def test_every_evaluation_saves_masks_of_the_same_photos(pairs, tmp_path, holdout):
    run = tmp_path / "run"
    lifecycle.train(
        TrainConfig(
            data=pairs,
            out=run,
            encoder_weights="none",
            epochs=2,
            batch_size=6,
            height=32,
            holdout=holdout,
            evaluate_every=1,
        )
    )
    assert list(snapshots.load_epochs(run)) == [1, 2]
    split = load_split(pairs, "train")
    indices = [11, 12, 13] if holdout else [0, 4, 9, 13]
    assert len(snapshots.load_photos(run)) == len(indices)
    for number, ((photo, truth), index) in enumerate(zip(snapshots.load_photos(run), indices, strict=True)):
        assert np.array_equal(mask_io.read_png(truth.read_bytes()), split.labels[index])
        with Image.open(photo) as picture:
            assert picture.size == (512, 256)
        for folder in snapshots.load_epochs(run).values():
            for variant in ("32s", "16s", "8s"):
                assert mask_io.read_png((folder / f"{number}.{variant}.png").read_bytes()).shape == (256, 256)
    assert not list((run / "strip").glob(".*"))
    assert snapshots.load_epochs(tmp_path) == {} and snapshots.load_photos(tmp_path) == []
