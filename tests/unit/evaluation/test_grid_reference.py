"""Cell-share references: scores of labels reduced to the output grid of a network."""

from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F
from torch import from_numpy

from seg.data import cityscapes, scenes
from seg.data.decode_cache import DecodedSplit
from seg.evaluation import grid_reference, leaderboard
from seg.evaluation.grid_reference import GridReference, cell_share_mask, optimized_mask


def dataset(name: str, labels: np.ndarray) -> DecodedSplit:
    """A split with these labels; the other arrays are not used here."""
    files = tuple(Path(f"{number}.png") for number in range(len(labels)))
    return DecodedSplit("val", files, name, labels, labels, labels, labels)


def street(width: int = 256, height: int = 128) -> np.ndarray:
    return scenes.render_scene(6, width, height).label


def test_only_a_coarse_grid_loses_thin_objects():
    label = street()
    reduced = {stride: cell_share_mask(label, label.shape, stride) for stride in (1, 8, 32)}
    labeled = label != cityscapes.IGNORE
    np.testing.assert_array_equal(reduced[1][labeled], label[labeled])
    right = {stride: (mask == label)[labeled].mean() for stride, mask in reduced.items()}
    assert 1 > right[8] > right[32] > 0.7
    poles = label == cityscapes.TRAIN_ID["pole"]
    assert poles.any() and not (reduced[32] == cityscapes.TRAIN_ID["pole"]).any()


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_optimized_scores_exceed_cell_shares(stride):
    label = street()
    labeled = label != cityscapes.IGNORE
    shares, optimized = (
        (reduce(label, label.shape, stride) == label)[labeled].mean()
        for reduce in (cell_share_mask, optimized_mask)
    )
    assert shares + 0.01 < optimized <= 1


def test_cell_shares_agree_with_pooling_where_cells_are_whole_pixels():
    """A label at twice the working size: a cell of eight working pixels is sixteen of the label."""
    label = street(512, 256)
    classes = np.unique(label[label != cityscapes.IGNORE])
    planes = from_numpy((label == classes[:, None, None]).astype(np.float32))[None]
    pooled = F.avg_pool2d(planes, 16)
    shares = pooled / pooled.sum(1, keepdim=True).clamp(min=1e-6)
    working = F.interpolate(shares, scale_factor=8, mode="bilinear", align_corners=False)
    enlarged = F.interpolate(working, size=label.shape, mode="bilinear", align_corners=False)
    expected = classes[enlarged[0].argmax(0).numpy()]
    assert (cell_share_mask(label, (128, 256), 8) == expected).mean() > 0.9999


def test_the_grid_covers_the_padded_image():
    """A working image 40 pixels high is padded to 64, so its grid of stride 32 has two rows of 32 pixels."""
    label = np.zeros((40, 64), np.uint8)
    label[32:] = 1
    mask = cell_share_mask(label, (40, 64), 32)
    assert (mask[:31] == 0).all() and (mask[33:] == 1).all()


def test_references_fall_as_the_stride_grows():
    label = np.zeros((2, 256, 256), np.uint8)
    label[0, :, 128:] = 1
    label[1, 64:128, 64:128] = 2
    label[1, 200:203, 7:9] = 5  # a pole too thin for any of these grids
    references = grid_reference.reference_scores(
        dataset("a pole", label), leaderboard.HEIGHTS, leaderboard.STRIDES
    )
    assert set(references) == {(h, s) for h in leaderboard.HEIGHTS for s in leaderboard.STRIDES}
    shares = {case: reference.cell_shares for case, reference in references.items()}
    assert shares[512, 8] > shares[256, 8] > shares[256, 32]
    assert shares[512, 16] == shares[256, 8]  # the same grid
    assert shares[512, 8] > 0.7
    plain = np.zeros((1, 256, 256), np.uint8)
    plain[:, :4] = cityscapes.IGNORE
    references = grid_reference.reference_scores(
        dataset("plain", plain), leaderboard.HEIGHTS, leaderboard.STRIDES, optimized_heights=[256]
    )
    assert {reference.cell_shares for reference in references.values()} == {1.0}
    assert references[256, 8] == GridReference(1.0, 1.0, 1.0)


def test_a_reference_is_computed_once(monkeypatch):
    split = dataset("kept", np.zeros((1, 256, 256), np.uint8))
    assert grid_reference.stored_references("kept") == {}
    references = grid_reference.reference_scores(split, (256,), (8, 16))
    assert grid_reference.stored_references("kept") == references
    fitted = grid_reference.reference_scores(split, (256,), (8,), optimized_heights=(256,))
    assert fitted[256, 8].sample_optimized == 1.0
    monkeypatch.setattr(grid_reference, "_Grid", None)
    again = grid_reference.reference_scores(split, (256,), (8, 16), optimized_heights=())
    assert again[256, 8] == fitted[256, 8] and again[256, 16] == references[256, 16]
