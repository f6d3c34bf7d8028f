"""Grid references: scores of labels reduced to a coarse grid."""

import numpy as np

from seg.data import cityscapes, scenes
from seg.data.decode_cache import PairDataset
from seg.evaluation import grid_reference, leaderboard


def test_only_a_coarse_grid_loses_thin_objects():
    label = scenes.render_scene(6, 256, 128).label
    quantized = {
        stride: grid_reference.quantize_to_grid(label, (128 // stride, 256 // stride))
        for stride in (1, 8, 32)
    }
    labeled = label != cityscapes.IGNORE
    np.testing.assert_array_equal(quantized[1][labeled], label[labeled])
    right = {stride: (mask == label)[labeled].mean() for stride, mask in quantized.items()}
    assert 1 > right[8] > right[32] > 0.7
    poles = label == cityscapes.TRAIN_ID["pole"]
    assert poles.any() and not (quantized[32] == cityscapes.TRAIN_ID["pole"]).any()


def test_references_fall_as_the_stride_grows():
    label = np.zeros((2, 256, 256), np.uint8)
    label[0, :, 128:] = 1
    label[1, 64:128, 64:128] = 2
    label[1, 200:203, 7:9] = 5  # a pole too thin for any of these grids
    split = PairDataset("val", (), "a pole", label, label)
    references = grid_reference.reference_scores(split, leaderboard.HEIGHTS, leaderboard.STRIDES)
    assert set(references) == {(h, s) for h in leaderboard.HEIGHTS for s in leaderboard.STRIDES}
    assert references[512, 8] > references[256, 8] > references[256, 32]
    assert references[512, 16] == references[256, 8]  # the same grid
    assert references[512, 8] > 0.7
    plain = np.zeros((1, 256, 256), np.uint8)
    plain[:, :4] = cityscapes.IGNORE
    assert set(
        grid_reference.reference_scores(
            PairDataset("val", (), "plain", plain, plain), leaderboard.HEIGHTS, leaderboard.STRIDES
        ).values()
    ) == {1.0}


def test_a_grid_reference_is_computed_once(monkeypatch):
    label = np.zeros((1, 256, 256), np.uint8)
    split = PairDataset("val", (), "kept", label, label)
    assert grid_reference.stored_references("kept") == {}
    references = grid_reference.reference_scores(split, (256,), (8, 16))
    assert grid_reference.stored_references("kept") == {32: references[256, 8], 16: references[256, 16]}
    monkeypatch.setattr(grid_reference, "quantize_to_grid", None)
    assert grid_reference.reference_scores(split, (256, 512), (16,)) == {(256, 16): 1.0, (512, 16): 1.0}
