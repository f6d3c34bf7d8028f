"""People and vehicles cannot be recognized in blurred photos, and nothing else changes."""

import numpy as np
import pytest

from seg.data.cityscapes import CITYSCAPES, IGNORE, TRAIN_ID
from seg.data.classes import ClassSet
from seg.inference.redaction import blur_private, has_private_classes


@pytest.mark.parametrize("name", ["person", "rider", "car", "bicycle"])
def test_private_classes_are_blurred_with_a_margin(name):
    photo = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    mask = np.full((200, 300), TRAIN_ID["road"], np.uint8)
    mask[:20] = IGNORE
    mask[60:120, 80:160] = TRAIN_ID[name]
    result = blur_private(photo, mask)
    changed = (result != photo).any(-1)
    assert changed[58:122, 78:162].mean() > 0.98
    changed[58:122, 78:162] = False
    assert not changed.any()
    # of noise only means over squares are left
    assert result[60:120, 80:160].std() < 0.15 * photo.std()


def test_photos_without_them_stay_unchanged():
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    mask = np.full((40, 60), TRAIN_ID["building"], np.uint8)
    np.testing.assert_array_equal(blur_private(photo, mask), photo)


def test_data_sets_without_such_categories_have_none():
    assert has_private_classes(CITYSCAPES)
    assert not has_private_classes(ClassSet.of(["a", "b"], ["x", "y"], [[1, 2, 3], [4, 5, 6]]))
