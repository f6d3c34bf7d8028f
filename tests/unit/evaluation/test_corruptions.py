"""Corruptions of photos: reproducible, graded, and equal in both directions of the scene."""

import numpy as np
import pytest
from PIL import Image

from seg.data import scenes
from seg.data.fog import AIR_LIGHT, FARTHEST
from seg.data.pairs import PAIR_ASPECT
from seg.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """A rendered photo with 256 x 512 square pixels."""
    return scenes.render_scene(3, 512, 256).photo


def reduced(photo: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BOX))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_reproducible_and_grows_with_strength(name, street):
    before = street.copy()
    for photo, aspect in (
        (street, None),
        (reduced(street, 256, 256), PAIR_ASPECT),
        (street[:131, :183], None),
    ):
        results = [corrupt(photo, name, strength, 7, aspect) for strength in STRENGTHS]
        for strength, result in zip(STRENGTHS, results, strict=True):
            assert result.shape == photo.shape and result.dtype == np.uint8
            assert np.array_equal(result, corrupt(photo, name, strength, 7, aspect))
        distances = [distance(result, photo) for result in results]
        assert 0.5 < distances[0] and distances == sorted(set(distances))
    assert np.array_equal(street, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_pairs_are_corrupted_as_their_scenes_are(name, strength, street):
    squeezed = reduced(street, 256, 256)
    expected = reduced(corrupt(street, name, strength, 7), 256, 256)
    error = distance(corrupt(squeezed, name, strength, 7, PAIR_ASPECT), expected)
    assert error < (0.6 if name == "JPEG compression" else 0.4) * distance(expected, squeezed)
    if name not in ("fog", "darkness", "overexposure"):  # these change each pixel by itself
        assert error < 0.75 * distance(corrupt(squeezed, name, strength, 7), expected)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_strength_means_the_same_at_every_size(name, street):
    large = np.asarray(Image.fromarray(street).resize((1024, 512), Image.Resampling.BICUBIC))
    expected = corrupt(street, name, 2, 7)
    error = distance(reduced(corrupt(large, name, 2, 7), 512, 256), expected)
    assert error < (0.5 if name == "JPEG compression" else 0.15) * distance(expected, street)


def test_defocus_spreads_a_light_to_a_circle():
    photo = np.zeros((255, 255, 3), np.uint8)
    photo[126:129, 127] = 255
    light = corrupt(photo, "defocus", 3, 0, PAIR_ASPECT)[..., 0].astype(float)
    rows, columns = np.nonzero(light)
    deviations = [
        np.sqrt(np.average((along - 127.0) ** 2, weights=light[rows, columns])) for along in (rows, columns)
    ]
    assert deviations[0] == pytest.approx(2 * deviations[1], rel=0.05)
    assert deviations[0] == pytest.approx(0.04 * 255 / 2, rel=0.05)  # a disk's deviation is half its radius


def test_fog_is_dense_above_the_horizon_and_thin_nearby():
    fog = corrupt(np.zeros((200, 3, 3), np.uint8), "fog", 3, 0)[:, 0, 0].astype(int)
    assert (fog[:84] == round(AIR_LIGHT * (1 - np.exp(-0.02 * FARTHEST)))).all()
    assert (np.diff(fog) <= 0).all() and fog[-1] == round(AIR_LIGHT * (1 - np.exp(-0.02 * 2.64 / 0.5775)))


def test_exposure_scales_linear_light_and_clips():
    gray = np.array([[[255, 188, 0]]], np.uint8)
    assert corrupt(gray, "darkness", 1, 0).tolist() == [[[137, 99, 0]]]
    assert corrupt(gray, "overexposure", 1, 0).tolist() == [[[255, 255, 0]]]


def test_seeds_choose_noise_and_motion(street):
    for name in CORRUPTIONS:
        differs = not np.array_equal(corrupt(street, name, 2, 1), corrupt(street, name, 2, 2))
        assert differs == (name in ("noise", "motion blur"))


def test_unknown_corruptions_and_strengths_are_refused(street):
    with pytest.raises(KeyError):
        corrupt(street, "rain", 1, 0)
    with pytest.raises(ValueError):
        corrupt(street, "fog", 4, 0)
