"""The working height that `publish` chooses."""

import numpy as np

from seg.publishing.publish import choose_height


def counts(right: np.ndarray) -> np.ndarray:
    """Confusion matrices of photos of 100 pixels of each of two classes."""
    return np.stack([[[h, 100 - h], [100 - h, h]] for h in right])


def test_the_lowest_height_that_is_not_worse_is_chosen():
    rng = np.random.default_rng(0)
    base = rng.integers(60, 80, 200)
    noise = rng.permutation(np.resize([3, -3], 200))
    noise[:4] -= 1
    confusions = {
        512: counts(base + 9),
        448: counts(base + 10),  # the best
        384: counts(base + 10 + noise),  # hardly worse on average
        320: counts(base + 5),
    }
    assert choose_height(confusions) == 384
    few = {height: of_height[:50] for height, of_height in confusions.items()}
    assert choose_height({448: few[448], 320: few[320]}) == 448
