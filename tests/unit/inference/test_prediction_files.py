"""Photos are read as the app reads them."""

import numpy as np

from seg.data.image_io import read_photo
from seg.data.label_import import split_pair
from seg.data.pairs import find_pairs
from seg.inference import prediction_files


def test_the_photo_of_a_pair_is_read_without_its_label(pairs):
    file = find_pairs(pairs, "val")[0]
    photo, fingerprint, _ = prediction_files.read(str(file))
    expected, _ = split_pair(read_photo(file))
    assert photo.size == (512, 256) and fingerprint["bytes"] == file.stat().st_size
    np.testing.assert_array_equal(np.asarray(photo), np.asarray(expected))
