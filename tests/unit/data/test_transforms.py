"""Random views keep photo and label together and depend only on seed and step."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from seg.data.cityscapes import IGNORE
from seg.data.preprocess import normalize
from seg.data.transforms import _crop_photos, augment


def batch(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs whose photo encodes the label: red is ten times the train id, in blocks of 16 pixels."""
    ids = torch.randint(0, 19, (n, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ids = ids.repeat_interleave(16, 1).repeat_interleave(16, 2)
    photos = torch.stack((ids * 10, torch.full_like(ids, 90), torch.full_like(ids, 200)), -1)
    return photos, ids


def test_views_depend_only_on_seed_and_step():
    photos, ids = batch()
    first, repeated, next_step = (
        augment(photos, ids, 64, 3, 7),
        augment(photos, ids, 64, 3, 7),
        augment(photos, ids, 64, 3, 8),
    )
    assert torch.equal(first[0], repeated[0]) and torch.equal(first[1], repeated[1])
    assert not torch.equal(first[1], next_step[1])
    assert not torch.equal(first[1], augment(photos, ids, 64, 4, 7)[1])


def test_photo_and_label_have_the_same_view():
    photos, ids = batch(16)
    image, label = augment(photos, ids, 128, 0, 0, color=0)
    assert image.shape == (16, 3, 128, 256) and label.shape == (16, 128, 256) and label.dtype == torch.int64
    labeled = label != IGNORE
    red = normalize(label[:, None].float().repeat(1, 3, 1, 1) * 10 / 255)[:, 0]
    # photo and label agree except at the edges of blocks, where bilinear and nearest sampling differ
    agree = ((image[:, 0] - red).abs() < 0.02)[labeled].float().mean()
    assert agree > 0.75
    mirrored = ((image.flip(-1)[:, 0] - red).abs() < 0.02)[labeled].float().mean()
    assert mirrored < 0.4


def test_views_are_flipped_scaled_and_cropped():
    ids = (
        (torch.arange(256).view(1, 1, 256) // 14).expand(64, 256, 256).to(torch.uint8)
    )  # ids grow to the right
    photos = ids[..., None].repeat(1, 1, 1, 3)
    _, label = augment(photos, ids, 64, 0, 0)
    rows = label[:, 32]
    labeled_rows = [row[row != IGNORE] for row in rows]
    rising = sum(bool(row[-1] > row[0]) for row in labeled_rows)
    assert 16 < rising < 48  # about half are flipped
    assert any(len(row.unique()) <= 11 for row in labeled_rows)  # enlarged: part of the photo
    assert any((row == IGNORE).float().mean() > 0.2 for row in rows)  # reduced: a border around it


def test_color_changes_only_above_strength_zero():
    photos = torch.full((32, 256, 256, 3), 100, dtype=torch.uint8)
    ids = torch.zeros(32, 256, 256, dtype=torch.uint8)
    plain, _ = augment(photos, ids, 32, 0, 0, color=0)
    # sampled without blur and noise, which strength zero also disables
    torch.testing.assert_close(plain, normalize(torch.full((32, 3, 32, 64), 100 / 255)), atol=1e-4, rtol=0)
    changed, _ = augment(photos, ids, 32, 0, 0, color=1)
    assert (changed.mean((2, 3)) - plain.mean((2, 3))).abs().amax(1).median() > 0.1


def whole_photo(n: int = 1, zoom: float = 1.0) -> torch.Tensor:
    """Affine transforms that show the whole photo, or its middle, enlarged."""
    return torch.tensor([[1 / zoom, 0, 0], [0, 1 / zoom, 0]]).repeat(n, 1, 1)


def test_reduced_crops_are_antialiased_as_at_prediction():
    pixels = torch.randint(
        0, 256, (256, 256, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    pixels[:, 255] = pixels[:, 254]  # the last column is left out
    reduced = Image.fromarray(pixels.numpy()).resize((128, 64), Image.Resampling.BILINEAR)
    crop = _crop_photos(pixels.permute(2, 0, 1)[None].float(), whole_photo(), (64, 128), None)
    expected = torch.from_numpy(np.array(reduced)).permute(2, 0, 1)[None].float()
    # Pillow rounds after each of its two passes; the last column has less to average
    torch.testing.assert_close(crop[..., :-1], expected[..., :-1], atol=1.01, rtol=0)
    point_sampled = F.grid_sample(
        pixels.permute(2, 0, 1)[None].float(),
        F.affine_grid(whole_photo(), [1, 1, 64, 128], align_corners=False),
        align_corners=False,
    )
    assert point_sampled.std() > 1.5 * crop.std()


def test_enlarged_crops_are_interpolated_bilinearly():
    photos = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    affine = whole_photo(2, zoom=3.0)
    grid = F.affine_grid(affine, [2, 1, 96, 192], align_corners=False)
    expected = F.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(_crop_photos(photos, affine, (96, 192), None), expected, atol=1e-5, rtol=0)


def test_the_last_column_is_left_out():
    photos, ids = batch(8)
    changed = photos.clone()
    changed[:, :, -1] = 255
    other_ids = ids.clone()
    other_ids[:, :, -1] = 7
    for step in range(4):
        image, label = augment(photos, ids, 64, 0, step)
        same_image, same_label = augment(changed, other_ids, 64, 0, step)
        assert torch.equal(image, same_image) and torch.equal(label, same_label)


def test_soft_labels_have_the_same_view_as_labels():
    photos, ids = batch(8)
    share = torch.arange(256, dtype=torch.uint8).expand(8, 256, 256)
    soft = torch.stack((ids, ids.flip(1), share), -1)
    _, label = augment(photos, soft, 64, 0, 5)
    for plane, alone in enumerate((ids, ids.flip(1), share)):
        assert torch.equal(label[:, plane], augment(photos, alone, 64, 0, 5)[1])


def test_corruptions_change_photos_and_no_labels():
    photos, ids = batch(16)
    image, label = augment(photos, ids, 64, 0, 1)
    corrupted, same_label = augment(photos, ids, 64, 0, 1, corruptions=0.5)
    assert torch.equal(label, same_label)
    changed = (corrupted - image).abs().amax((1, 2, 3)) > 0.05
    assert 4 <= changed.sum() <= 12
    parts = [
        augment(photos[i : i + 8], ids[i : i + 8], 64, 0, 1, shard=(i // 8, 2), corruptions=0.5)[0]
        for i in (0, 8)
    ]
    assert torch.equal(torch.cat(parts), corrupted)
