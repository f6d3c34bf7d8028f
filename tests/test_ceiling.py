"""Labels seen through a coarse grid."""

import numpy as np

from seg import ceiling, labels, scenes, table
from seg.dataset import Split


def test_a_fine_grid_keeps_a_label_and_a_coarse_one_loses_what_is_thin():
    label = scenes.render(6, 256, 128).label
    kept = {stride: ceiling.through_grid(label, (128 // stride, 256 // stride)) for stride in (1, 8, 32)}
    known = label != labels.IGNORE
    np.testing.assert_array_equal(kept[1][known], label[known])
    right = {stride: (mask == label)[known].mean() for stride, mask in kept.items()}
    assert 1 > right[8] > right[32] > 0.7
    poles = label == labels.TRAIN_ID["pole"]
    assert poles.any() and not (kept[32] == labels.TRAIN_ID["pole"]).any()


def test_a_ceiling_is_one_where_the_grid_is_fine_enough_and_falls_with_the_stride():
    label = np.zeros((2, 256, 256), np.uint8)
    label[0, :, 128:] = 1
    label[1, 64:128, 64:128] = 2
    label[1, 200:203, 7:9] = 5  # a pole too thin for any of these grids
    split = Split("val", (), "a pole", label, label)
    found = ceiling.over_split(split, table.HEIGHTS, table.STRIDES)
    assert set(found) == {(h, s) for h in table.HEIGHTS for s in table.STRIDES}
    assert found[512, 8] > found[256, 8] > found[256, 32]
    assert found[512, 16] == found[256, 8]  # the same grid
    assert found[512, 8] > 0.7
    plain = np.zeros((1, 256, 256), np.uint8)
    plain[:, :4] = labels.IGNORE
    assert set(ceiling.over_split(Split("val", (), "plain", plain, plain), table.HEIGHTS, table.STRIDES).values()) == {1.0}


def test_a_ceiling_is_computed_once(monkeypatch):
    label = np.zeros((1, 256, 256), np.uint8)
    split = Split("val", (), "kept", label, label)
    assert ceiling.known("kept") == {}
    found = ceiling.over_split(split, (256,), (8, 16))
    assert ceiling.known("kept") == {32: found[256, 8], 16: found[256, 16]}
    monkeypatch.setattr(ceiling, "through_grid", None)
    assert ceiling.over_split(split, (256, 512), (16,)) == {(256, 16): 1.0, (512, 16): 1.0}
